"""Is the loop by hand as fast as the library's? Is int8 faster? Measured in pairs, beside what memory allows.

Speeds on a shared machine drift; the ratio of two runs that follow each other does not. So every pair runs
both, in alternating order, and what counts is the median of the ratios.
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
from step1_foundations.support.memory import seconds_to_decode

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shared.config import Settings

PROMPT_TOKENS, NEW_TOKENS = 200, 80


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
    """The seconds of both and the ratios second / first of n pairs; which one goes first alternates."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(n):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[which]()
            seconds[which].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(*seconds, strict=True)]
    return Spread.of(seconds[0]), Spread.of(seconds[1]), Spread.of(ratios)


def library(model: Any, prompt: torch.Tensor) -> list[int]:
    """The ids that `model.generate` generates greedily after prompt (1, T)."""
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS
    )
    new: list[int] = out[0, prompt.shape[1] :].tolist()
    return new


def by_hand(model: PreTrainedModel, prompt: torch.Tensor) -> list[int]:
    """The ids that our loop generates greedily; like `generate`, with the end-of-turn token if it comes."""
    done = generate(model, prompt, NEW_TOKENS, stop_ids=stop_ids_of(model))
    if done.stop_reason == "interrupt":  # here Ctrl-C means the whole benchmark
        raise KeyboardInterrupt
    return done.ids if done.stop_id is None else [*done.ids, done.stop_id]


@dataclass(frozen=True)
class Comparison:
    """Two ways to generate, timed in pairs."""

    names: tuple[str, str]
    memory_allows: tuple[float | None, float | None]  # seconds
    first: Spread  # seconds
    second: Spread  # seconds
    ratio: Spread  # second / first, pair by pair
    same_tokens: int  # generated before the texts differ


def compare_loops(model: PreTrainedModel, prompt: torch.Tensor, n: int) -> Comparison:
    """`model.generate` against the loop by hand, with the same model."""
    names = f"generate, {dtype_of(model)}", f"by hand, {dtype_of(model)}"
    return compare(names, model, model, prompt.to(model.device), n)


def compare_int8(settings: Settings, prompt: torch.Tensor, n: int) -> Comparison:
    """What `from_pretrained` and `generate` give by default, against the loop by hand on int8 weights."""
    auto = quiet_transformers().AutoModelForCausalLM
    default = auto.from_pretrained(weights.ensure(settings.model, settings), local_files_only=True).eval()
    small = models.load_causal_lm(settings=settings, dtype="bfloat16", device="cpu")
    quantize_int8(small)
    return compare(
        (f"generate, its default ({dtype_of(default)})", "by hand, int8"), default, small, prompt, n
    )


def compare(
    names: tuple[str, str], first: PreTrainedModel, second: PreTrainedModel, prompt: torch.Tensor, n: int
) -> Comparison:
    """Time n pairs of `library` on the first model and `by_hand` on the second, after one run of both."""
    texts = library(first, prompt), by_hand(second, prompt)
    same = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), len(texts[1]))
    bounds = seconds_to_decode(first, NEW_TOKENS), seconds_to_decode(second, NEW_TOKENS)
    times = time_pairs(lambda: library(first, prompt), lambda: by_hand(second, prompt), n)
    return Comparison(names, bounds, *times, same)


def dtype_of(model: Any) -> str:
    """`bfloat16`, not `torch.bfloat16`."""
    return str(model.dtype).removeprefix("torch.")


def benchmark_prompt(settings: Settings) -> torch.Tensor:
    """The first 200 tokens of a text of this repository: (1, 200)."""
    text = (Path(shared.__file__).parent / "models" / "tiny_corpus.txt").read_text(encoding="utf-8")
    tokenizer = models.load_tokenizer(settings=settings)
    ids: torch.Tensor = tokenizer(text, return_tensors="pt").input_ids[:, :PROMPT_TOKENS]
    return ids
