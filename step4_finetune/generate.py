"""Replies of a model to many prompts at once: greedy, in batches of similar length.

    >>> replies(model, tokenizer, [[{"role": "user", "content": "Where is my parcel?"}]])
    [Reply(text='Dear member, ...', tokens=61, finished=True)]

Greedy, because a comparison of two models should not depend on luck. Prompts are padded on the left, so that
all of a batch write their first token at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from step4_finetune.data import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Reply:
    """What a model wrote; `finished` is False where it was cut at the limit of tokens."""

    text: str
    prompt_tokens: int
    tokens: int
    finished: bool


@torch.inference_mode()
def replies(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[Message]],
    max_new_tokens: int = 128,
    batch_size: int = 16,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Reply]:
    """One greedy reply to each prompt (a list of chat messages), in their order."""
    rendered: list[Any] = [
        tokenizer.apply_chat_template(list(each), add_generation_prompt=True, return_dict=False)
        for each in prompts
    ]
    order = sorted(range(len(prompts)), key=lambda at: len(rendered[at]))
    found: dict[int, Reply] = {}
    ends = _ends(model, tokenizer)
    write: Any = model.generate
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch: Any = tokenizer.pad(
            {"input_ids": [rendered[at] for at in chosen]}, padding_side="left", return_tensors="pt"
        ).to(model.device)
        out: Any = write(
            **batch,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=tokenizer.pad_token_id,
        )
        for at, ids in zip(chosen, out[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            end = next((n for n, token in enumerate(ids) if token in ends), None)
            text: Any = tokenizer.decode(ids[:end], skip_special_tokens=True)
            count = len(ids) if end is None else end + 1
            found[at] = Reply(text.strip(), len(rendered[at]), count, end is not None)
        progress(len(found), len(prompts))
    return [found[at] for at in range(len(prompts))]


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """The tokens that end a reply."""
    named: Any = model.generation_config.eos_token_id if model.generation_config else None
    return {*(named if isinstance(named, list) else [named]), tokenizer.eos_token_id} - {None}
