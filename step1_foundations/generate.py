"""The loop at the heart of every language model: tokenize, forward, choose, decode, again.

    $ python -m step1_foundations "Explain what a transformer is:"

    prompt ids        (1, T)         prefill: one forward over the whole prompt fills the KV cache
    logits            (1, 1, V)      only the last place is asked for
    next id           (1, 1)         decode: one forward per new token, which reads the cache
    ...               until the model says end-of-turn, or max_new_tokens is reached

Greedy, it writes token for token what `model.generate(do_sample=False)` writes. It does one sequence at a
time; batches are step 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from shared import hardware, models
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from step1_foundations.int8 import quantize_int8
from step1_foundations.sampling import Sampling, choose
from step1_foundations.support.text import context_of, encode, text_pieces

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedModel


@dataclass
class Generation:
    """What was written, why it ended (`stop`, `length` or `interrupt`), and how long each phase took."""

    ids: list[int] = field(default_factory=list)
    stop_reason: str = "length"
    stop_id: int | None = None  # the token that ended it; not among the ids
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompt: torch.Tensor,
    max_new_tokens: int = 80,
    how: Sampling = Sampling(),  # noqa: B008  (frozen: shared safely)
    stop_ids: frozenset[int] = frozenset(),
    generator: torch.Generator | None = None,
    on_token: Callable[[int], None] = lambda _token: None,
) -> Generation:
    """Continue `prompt` (ids of shape (1, T)); `on_token` hears each new id as it comes.

    The first forward reads the prompt, each later one only the token that was chosen last: the rest is in the
    `cache`, which goes along every time. Only the last place's logits are asked for (`logits_to_keep=1`), and
    `choose` gets them with all ids so far, those of prompt and answer in one row. An id is among the result's
    when `on_token` hears it. One of `stop_ids` ends the answer: it is the result's `stop_id`, not among its
    ids and not heard. `prefill_seconds` is the time to the first choice. What is chosen last is never read.

    Ctrl-C ends the loop, not the program: what was written until then is returned.
    """
    done = Generation()
    cache = DynamicCache(config=model.config)
    start = time.perf_counter()
    try:
        ### BEGIN SOLUTION 1.8: The cached loop
        sequence, ids = prompt[0].tolist(), prompt  # all ids so far; the ids that the next forward reads
        for step in range(max_new_tokens):
            logits = model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1]  # (V,)
            token = choose(logits, torch.tensor(sequence, device=logits.device), how, generator)
            if step == 0:
                done.prefill_seconds = time.perf_counter() - start
            if token in stop_ids:
                done.stop_reason, done.stop_id = "stop", token
                break
            done.ids.append(token)
            sequence.append(token)
            on_token(token)
            ids = torch.tensor([[token]], device=prompt.device)
        ### END SOLUTION
    except KeyboardInterrupt:
        done.stop_reason = "interrupt"
    done.decode_seconds = time.perf_counter() - start - done.prefill_seconds
    return done


def stop_ids_of(model: PreTrainedModel) -> frozenset[int]:
    """The ids that mean "I have finished", from the model's generation config."""
    eos = model.generation_config.eos_token_id if model.generation_config else model.config.eos_token_id
    return frozenset([eos] if isinstance(eos, int) else eos or [])


def read_seconds(size: int) -> float:
    """How long torch takes to read `size` bytes of memory once, best of three: the pace to hold against."""
    buffer = torch.ones(max(1, size // 4))

    def once() -> float:
        start = time.perf_counter()
        buffer.sum()
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(3))


def weight_bytes(model: Any) -> int:
    """Bytes that one decode step reads: every weight once, but one row only of an untied embedding table."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    if getattr(head, "weight", None) is not table:
        tensors.pop(table.data_ptr())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def run(
    settings: Settings,
    prompt: str,
    how: Sampling,
    max_new_tokens: int,
    *,
    chat: bool,
    quantize: str | None,
    write: Callable[[str], None],
) -> dict[str, Any]:
    """Load the model, write the answer piece by piece through `write`, and return the facts.

    Raises:
        UserError: nothing to answer, too long for the context, or a limit that allows nothing.
    """
    if max_new_tokens < 1:
        raise UserError(f"--max-new-tokens {max_new_tokens} is not allowed: use 1 or more")
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(settings=settings)
    context = context_of(model)
    ids = encode(tokenizer, prompt, context - 1, chat=chat).to(model.device)  # one place is left to write in
    if quantize:
        quantize_int8(model)
    decode = text_pieces(tokenizer)
    with torch.inference_mode():  # the first forwards of a process also set torch up: not to be timed
        for length in (8, 1):
            model(input_ids=ids[:, :length], use_cache=False)
    done = generate(
        model,
        ids,
        min(max_new_tokens, context - ids.shape[1]),
        how,
        stop_ids_of(model),
        torch.Generator(model.device).manual_seed(settings.seed),
        lambda token: write(decode(token)),
    )
    n_in, n_out = ids.shape[1], len(done.ids)
    # The first token comes out of the prefill; the one that says "stop" is decoded like the others.
    decoded = n_out if done.stop_reason == "stop" else max(0, n_out - 1)
    per_second = decoded / done.decode_seconds if decoded else 0.0
    size = weight_bytes(model)
    bound = 1 / read_seconds(size) if model.device.type == "cpu" else None
    return {
        "command": "step1_foundations generate",
        "headline": f"{n_out} tokens at {per_second:.0f} tokens/s"
        + (f", {per_second / bound:.0%} of what memory allows" if bound else ""),
        "prompt": prompt,
        "text": tokenizer.decode(done.ids, skip_special_tokens=True),
        "model": settings.model,
        "weights": weights.source_of(weights.ensure(settings.model, settings)),
        "dtype": "int8" if quantize else str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "threads": torch.get_num_threads(),
        "stop_reason": done.stop_reason,
        "input_tokens": n_in,
        "output_tokens": n_out,
        "prefill_tokens_per_second": round(n_in / done.prefill_seconds, 1) if done.prefill_seconds else None,
        "decode_tokens_per_second": round(per_second, 1),
        "weight_megabytes": round(size / 1e6, 1),
        "bandwidth_bound_tokens_per_second": round(bound, 1) if bound else None,
        "share_of_bound": round(per_second / bound, 3) if bound else None,
        "machine": hardware.describe(),
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """The foot of an answer: counts and speeds. The text itself was streamed before."""
    ended = {
        "stop": "the model ended its turn",
        "length": "cut at the limit",
        "interrupt": "stopped by Ctrl-C",
    }
    lines = [
        f"{facts['input_tokens']} tokens in, {facts['output_tokens']} out; {ended[facts['stop_reason']]}",
        f"prefill {facts['prefill_tokens_per_second'] or 0:.0f} tokens/s, "
        f"decode {facts['decode_tokens_per_second']:.0f} tokens/s",
    ]
    if facts["share_of_bound"] is not None:
        lines[-1] += (
            f": {facts['share_of_bound']:.0%} of the {facts['bandwidth_bound_tokens_per_second']:.0f} "
            "that memory allows "
            f"({facts['weight_megabytes']:.0f} MB of weights read per token)"
        )
    lines.append(
        f"{facts['model']} ({facts['weights']}), {facts['dtype']}, {facts['threads']} threads; "
        f"{facts['machine']}"
    )
    console.print()
    for line in lines:
        console.print(line, style="dim", soft_wrap=True)
