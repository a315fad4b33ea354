"""Is our generation loop as fast as the library's? Is int8 faster? How fast could decoding be at most?

Speeds on a shared machine drift, but the ratio of two successive runs is stable. So both variants are timed
in pairs, in alternating order, and the result is the median of the ratios. Each decode step reads all weights
once, so the time to read them is the lower bound.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import shared
from shared import models
from shared.models import weights
from shared.models.quiet import quiet_transformers
from step1_foundations.generate import generate, stop_ids_of
from step1_foundations.int8 import quantize_int8

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shared.config import Settings

PROMPT_TOKENS = 200
NEW_TOKENS = 80


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest of several measurements."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Rounded to three decimals."""
        return cls(round(min(values), 3), round(statistics.median(values), 3), round(max(values), 3))


def time_pairs(first: Callable[[], Any], second: Callable[[], Any], n: int) -> tuple[Spread, Spread, Spread]:
    """The seconds of both functions and the ratios second / first over n pairs, in alternating order."""
    first_seconds = []
    second_seconds = []
    for pair in range(n):
        if pair % 2 == 0:
            first_seconds.append(seconds_of(first))
            second_seconds.append(seconds_of(second))
        else:
            second_seconds.append(seconds_of(second))
            first_seconds.append(seconds_of(first))
    ratios = [b / a for a, b in zip(first_seconds, second_seconds, strict=True)]
    return Spread.of(first_seconds), Spread.of(second_seconds), Spread.of(ratios)


def seconds_of(function: Callable[[], Any]) -> float:
    """The seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def generate_with_library(model: Any, prompt: torch.Tensor) -> list[int]:
    """The ids that `model.generate` generates greedily after prompt (1, T)."""
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS
    )
    return out[0, prompt.shape[1] :].tolist()


def generate_by_hand(model: PreTrainedModel, prompt: torch.Tensor) -> list[int]:
    """The ids that our loop generates greedily, with the token that ends the answer, as `model.generate`."""
    done = generate(model, prompt, NEW_TOKENS, stop_ids=stop_ids_of(model))
    if done.stop_reason == "interrupt":  # Ctrl-C stops the whole benchmark
        raise KeyboardInterrupt
    return done.ids if done.stop_id is None else [*done.ids, done.stop_id]


@dataclass(frozen=True)
class Comparison:
    """Two ways to generate, timed in pairs."""

    names: tuple[str, str]
    memory_allows: tuple[float | None, float | None]  # seconds to read the weights once per token
    first: Spread  # seconds
    second: Spread  # seconds
    ratio: Spread  # second / first, for each pair
    same_tokens: int  # how many tokens are the same before the texts differ


def compare_loops(model: PreTrainedModel, prompt: torch.Tensor, n: int) -> Comparison:
    """`model.generate` and our loop, with the same model."""
    names = (f"generate, {dtype_of(model)}", f"by hand, {dtype_of(model)}")
    return compare(names, model, model, prompt.to(model.device), n)


def compare_int8(settings: Settings, prompt: torch.Tensor, n: int) -> Comparison:
    """`from_pretrained` and `generate` with their defaults, and our loop on int8 weights."""
    auto = quiet_transformers().AutoModelForCausalLM
    default = auto.from_pretrained(weights.ensure(settings.model, settings), local_files_only=True).eval()
    small = models.load_causal_lm(settings=settings, dtype="bfloat16", device="cpu")
    quantize_int8(small)
    names = (f"generate, its default ({dtype_of(default)})", "by hand, int8")
    return compare(names, default, small, prompt, n)


def compare(
    names: tuple[str, str], first: PreTrainedModel, second: PreTrainedModel, prompt: torch.Tensor, n: int
) -> Comparison:
    """Time n pairs of `model.generate` on the first model and our loop on the second, after a warm-up."""

    def with_library() -> list[int]:
        return generate_with_library(first, prompt)

    def by_hand() -> list[int]:
        return generate_by_hand(second, prompt)

    same_tokens = count_same(with_library(), by_hand())
    bounds = (seconds_to_decode(first, NEW_TOKENS), seconds_to_decode(second, NEW_TOKENS))
    first_seconds, second_seconds, ratio = time_pairs(with_library, by_hand, n)
    return Comparison(names, bounds, first_seconds, second_seconds, ratio, same_tokens)


def count_same(first: list[int], second: list[int]) -> int:
    """How many ids are the same before two texts differ; all of the second's if they never do."""
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return len(second)


def dtype_of(model: Any) -> str:
    """`bfloat16`, not `torch.bfloat16`."""
    return str(model.dtype).removeprefix("torch.")


def benchmark_prompt(settings: Settings) -> torch.Tensor:
    """The first 200 tokens of a text in this repository: (1, 200)."""
    text = (Path(shared.__file__).parent / "models" / "tiny_corpus.txt").read_text(encoding="utf-8")
    tokenizer = models.load_tokenizer(settings=settings)
    return tokenizer(text, return_tensors="pt").input_ids[:, :PROMPT_TOKENS]


def read_weights(model: Any) -> list[torch.Tensor]:
    """The weights that one decode step reads: each tensor once, but not an untied embedding table."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    table = model.get_input_embeddings().weight  # (V, d)
    head = model.get_output_embeddings()
    if getattr(head, "weight", None) is not table:
        tensors.pop(table.data_ptr())  # a decode step reads only one of its rows
    return list(tensors.values())


def megabytes(tensors: list[torch.Tensor]) -> float:
    """The size of the tensors in megabytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def seconds_to_decode(model: Any, tokens: int) -> float | None:
    """Seconds to read the weights once per token, a lower bound for decoding; None for a GPU."""
    if model.device.type != "cpu":
        return None
    return tokens * seconds_to_read(read_weights(model))


@torch.inference_mode()
def seconds_to_read(tensors: list[torch.Tensor]) -> float:
    """Seconds that this machine takes to read the tensors once, without copying them: best of three."""
    parts = []
    for tensor in tensors:
        flat = tensor.detach().view(-1)
        even = flat[: len(flat) // 2 * 2]  # two int8 numbers are as long as one bfloat16
        parts.append(even.view(torch.bfloat16))  # so that one kernel reads all dtypes

    def read_all() -> None:
        for part in parts:
            part.sum()

    read_all()  # warm up
    return min(seconds_of(read_all) for _ in range(3))
