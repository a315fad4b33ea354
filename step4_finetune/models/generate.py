"""A model's replies to many prompts, in batches of similar length.

    >>> replies(model, tokenizer, [[{"role": "user", "content": "Where is my parcel?"}]])
    [Reply(text='Dear member, ...', tokens=61, finished=True)]

Greedy unless a temperature is given, so that a comparison of models does not depend on luck. A prefix that
all prompts share (a guide, few-shot examples) is read once; its keys and values are copied into every batch.
A reply that begins to repeat itself ends there, without the repetition (`repeated_tail`).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    StoppingCriteriaList,
)

from step4_finetune.data.rows import Message
from step4_finetune.models.chat import common_prefix, prompt_ids

SHORTEST_PREFIX = 64  # tokens that are worth a forward pass of their own
SENTENCE = range(8, 41)  # tokens of a run that may not stand twice in a row,
WORDS = range(2, 8)  # and of one that may not stand FEW times
FEW = 4


@dataclass(frozen=True)
class Reply:
    """A reply; `finished` is False where it was cut at `max_new_tokens`, or where it repeated itself."""

    text: str
    prompt_tokens: int
    tokens: int
    finished: bool


@torch.inference_mode()
def replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[Message] | str],
    max_new_tokens: int = 128,
    batch_size: int = 32,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    temperature: float = 0.0,
) -> list[Reply]:
    """One reply to each prompt (chat messages, or a text to continue), in their order."""
    rendered: list[list[int]] = [
        tokenizer(each)["input_ids"] if isinstance(each, str) else prompt_ids(tokenizer, each)
        for each in prompts
    ]
    order = sorted(range(len(prompts)), key=lambda at: len(rendered[at]))
    found: dict[int, Reply] = {}
    ends = _end_tokens(model, tokenizer)
    generate: Any = model.generate
    prefix = _common_prefix(model, rendered)
    prefix_cache = DynamicCache(config=model.config)
    if prefix:
        model(input_ids=torch.tensor([prefix], device=model.device), cache=prefix_cache, use_cache=True)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch: Any = tokenizer.pad(
            {"input_ids": [rendered[at][len(prefix) :] for at in chosen]},
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        cache = None
        if prefix:
            cache = copy.deepcopy(prefix_cache)
            cache.batch_repeat_interleave(len(chosen))
            before = torch.tensor([prefix], device=model.device).expand(len(chosen), -1)
            batch["input_ids"] = torch.cat([before, batch["input_ids"]], dim=1)
            batch["attention_mask"] = torch.cat([torch.ones_like(before), batch["attention_mask"]], dim=1)
        out: Any = generate(
            **batch,
            max_new_tokens=max_new_tokens,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_p=None,
            top_k=0 if temperature else None,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=StoppingCriteriaList([StopOnRepetition(batch["input_ids"].shape[1])]),
            **({"cache": cache} if cache else {}),
        )
        for at, ids in zip(chosen, out[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            found[at] = _reply(ids, ends, tokenizer, len(rendered[at]))
        progress(len(found), len(prompts))
    return [found[at] for at in range(len(prompts))]


class StopOnRepetition(StoppingCriteria):
    """Ends a reply that says the same again and again; the others of its batch go on."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:  # noqa: ARG002
        """input_ids: (batch, tokens) with the prompt; returns (batch,), True where a reply ends."""
        stops = [bool(repeated_tail(row)) for row in input_ids[:, self.prompt_tokens :].tolist()]
        return torch.tensor(stops, device=input_ids.device)


def repeated_tail(ids: Sequence[int]) -> int:
    """How many tokens at the end say again what stands right before them; 0 if they say something new.

    >>> repeated_tail([5, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8])
    8
    """
    for run, times in [*((n, 2) for n in SENTENCE), *((n, FEW) for n in WORDS)]:
        tail = list(ids[-run:])
        if len(ids) >= times * run and list(ids[-times * run :]) == tail * times:
            return (times - 1) * run
    return 0


def _reply(ids: list[int], ends: set[int], tokenizer: PreTrainedTokenizerFast, prompt_tokens: int) -> Reply:
    """The reply that these tokens are, up to its end or to where it repeats itself."""
    end = next((n for n, token in enumerate(ids) if token in ends), None)
    written = ids[:end]
    repeated = repeated_tail(written)
    text: Any = tokenizer.decode(written[: len(written) - repeated], skip_special_tokens=True)
    count = len(ids) if end is None else end + 1
    return Reply(text.strip(), prompt_tokens, count, end is not None and not repeated)


def _common_prefix(model: PreTrainedModel, rendered: Sequence[list[int]]) -> list[int]:
    """The tokens that all prompts begin with, leaving at least one to read in each.

    Empty where they are few, or where an adapter looks for its invocation in each prompt (invocation.py).
    """
    if len(rendered) < 2 or hasattr(model, "peft_config"):
        return []
    common = common_prefix(rendered)[: min(map(len, rendered)) - 1]
    return common if len(common) >= SHORTEST_PREFIX else []


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """The tokens that end a reply."""
    named: Any = model.generation_config.eos_token_id if model.generation_config else None
    return {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id} - {None}
