"""Is the loop by hand as fast as the library's? Is int8 faster? Measured in pairs, beside what memory allows.

Speeds on a shared machine drift; the ratio of two runs that follow each other does not. So every pair runs
both, in alternating order, and what counts is the median of the ratios. Both must generate the same tokens
(int8 rounds, and may not), or the comparison is refused.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

import shared
from shared import hardware, models
from shared.catalog import default
from shared.errors import UserError
from shared.models import weights
from shared.models.quiet import quiet_transformers
from step1_foundations.generate import generate, stop_ids_of
from step1_foundations.int8 import quantize_int8
from step1_foundations.support.memory import megabytes, read_weights, seconds_to_decode

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shared.config import Settings

PROMPT_TOKENS, NEW_TOKENS = 200, 80
COMPARED_POSITIONS = 64  # where the logits of int8 are compared with the default's


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
    first(), second()  # to warm up
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
    """Two ways to generate, timed in pairs, and how alike their output is."""

    names: tuple[str, str]
    memory_allows: tuple[float | None, float | None]  # seconds
    first: Spread  # seconds
    second: Spread  # seconds
    ratio: Spread  # second / first, pair by pair
    same_tokens: int  # generated before the texts differ
    logit_cosine: float | None = None  # mean over the prompt's last positions


def compare_loops(model: PreTrainedModel, prompt: torch.Tensor, n: int) -> Comparison:
    """`model.generate` against the loop by hand, with the same model.

    Raises:
        UserError: they generate different tokens, so their speeds can't be compared.
    """
    written = by_hand(model, prompt)
    if written != library(model, prompt):
        raise UserError("the loop by hand and model.generate generate different tokens here")
    names = f"generate, {dtype_of(model)}", f"by hand, {dtype_of(model)}"
    bound = seconds_to_decode(model, NEW_TOKENS)
    times = time_pairs(lambda: library(model, prompt), lambda: by_hand(model, prompt), n)
    return Comparison(names, (bound, bound), *times, len(written))


def compare_int8(settings: Settings, prompt: torch.Tensor, n: int) -> Comparison:
    """What `from_pretrained` and `generate` give by default, against the loop by hand on int8 weights."""
    folder, prompt = weights.ensure(settings.model, settings), prompt.cpu()
    auto = quiet_transformers().AutoModelForCausalLM
    default = auto.from_pretrained(folder, local_files_only=True).eval()
    small = models.load_causal_lm(settings=settings, dtype="bfloat16", device="cpu")
    quantize_int8(small)
    names = f"generate, its default ({dtype_of(default)})", "by hand, int8"
    bounds = seconds_to_decode(default, NEW_TOKENS), seconds_to_decode(small, NEW_TOKENS)
    times = time_pairs(lambda: library(default, prompt), lambda: by_hand(small, prompt), n)
    same = common_length(library(default, prompt), by_hand(small, prompt))
    return Comparison(names, bounds, *times, same, logit_cosine(default, small, prompt))


def dtype_of(model: Any) -> str:
    """`bfloat16`, not `torch.bfloat16`."""
    return str(model.dtype).removeprefix("torch.")


def benchmark_prompt(settings: Settings) -> torch.Tensor:
    """The first 200 tokens of a text of this repository: (1, 200)."""
    text = (Path(shared.__file__).parent / "models" / "tiny_corpus.txt").read_text(encoding="utf-8")
    tokenizer = models.load_tokenizer(settings=settings)
    ids: torch.Tensor = tokenizer(text, return_tensors="pt").input_ids[:, :PROMPT_TOKENS]
    return ids


@torch.inference_mode()
def logit_cosine(model: PreTrainedModel, other: PreTrainedModel, ids: torch.Tensor) -> float:
    """Mean cosine between the logits of two models over the last positions of ids (1, T)."""
    a, b = (
        each(input_ids=ids, use_cache=False, logits_to_keep=COMPARED_POSITIONS).logits[0].float()
        for each in (model, other)
    )
    return float(F.cosine_similarity(a, b, dim=-1).mean())


def common_length(a: list[int], b: list[int]) -> int:
    """How many tokens two texts share before they differ."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@dataclass(frozen=True)
class Memory:
    """Peak memory in MB of a process that loads a model and generates with it."""

    libraries_mb: float  # the same with a tiny model: Python and its libraries
    peak_mb: float
    weights_mb: float

    @property
    def per_weight(self) -> float:
        """The peak without the libraries, as a multiple of the weights."""
        return (self.peak_mb - self.libraries_mb) / self.weights_mb


def load_and_measure(settings: Settings) -> tuple[PreTrainedModel, torch.Tensor, Memory]:
    """The model, the prompt (1, 200), and the memory that a first run takes.

    To be called first in a process: peak memory never falls.
    """
    prompt, tiny = benchmark_prompt(settings), models.load_causal_lm(default("smoke").id)
    by_hand(tiny, prompt.clamp(max=tiny.config.vocab_size - 1).to(tiny.device))
    before = hardware.peak_memory_mb()
    model = models.load_causal_lm(settings=settings)
    prompt = prompt.to(model.device)
    by_hand(model, prompt)
    return model, prompt, Memory(before, hardware.peak_memory_mb(), megabytes(read_weights(model)))
