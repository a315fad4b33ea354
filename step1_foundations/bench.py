"""Is the hand-written loop as fast as the library's? Measured in pairs, same model, prompt and threads.

    $ python -m step1_foundations bench
    generate / hand loop                              1.04    1.05  1.06
    int8 / generate's defaults                        0.60    0.61  0.62

Speeds on a shared machine drift; a ratio of two runs that follow each other does not. So every pair runs
both, in turns of who goes first, and the table shows the ratio's smallest, median and largest value. Both
must write the same tokens (int8 rounds, and may write others), or the comparison is refused.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

import shared
from shared import hardware, models
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.models.quiet import quiet_transformers
from step1_foundations.generate import generate, stop_ids_of
from step1_foundations.int8 import quantize_int8

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedModel

PROMPT_TOKENS, NEW_TOKENS = 200, 80
COMPARED_PLACES = 64  # where the logits of int8 are held against the default's
Writer = Callable[[], list[int]]


def library(model: Any, prompt: torch.Tensor) -> list[int]:
    """What `model.generate` writes, greedily."""
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=NEW_TOKENS
    )
    written: list[int] = out[0, prompt.shape[1] :].tolist()
    return written


def by_hand(model: PreTrainedModel, prompt: torch.Tensor) -> list[int]:
    """What our loop writes, greedily; like `generate`, with the end-of-turn token when it comes."""
    done = generate(model, prompt, NEW_TOKENS, stop_ids=stop_ids_of(model))
    if done.stop_reason == "interrupt":  # here Ctrl-C is meant for the whole benchmark
        raise KeyboardInterrupt
    return done.ids if done.stop_id is None else [*done.ids, done.stop_id]


def pairs(first: Writer, second: Writer, n: int) -> tuple[list[float], list[float]]:
    """Seconds of each, n times, interleaved; who goes first alternates. One run of each to warm up."""
    first(), second()
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(n):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            start = time.perf_counter()
            (first, second)[which]()
            seconds[which].append(time.perf_counter() - start)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Smallest, median and largest, to three places."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def run(settings: Settings, n: int) -> dict[str, Any]:
    """Time the pairs and report ratios, load time, fidelity of int8, and peak memory."""
    if n < 5:
        raise UserError(f"--pairs {n} is not allowed: use 5 or more, fewer say nothing")
    tokenizer = models.load_tokenizer(settings=settings)
    folder = weights.ensure(settings.model, settings)
    idle = hardware.idle_cores(0.5)
    first = _same_dtype(settings, tokenizer, n)

    # What a newcomer gets: from_pretrained and generate, with nothing said about dtype.
    defaults = quiet_transformers().AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    small = models.load_causal_lm(settings=settings, dtype="bfloat16", device="cpu")
    quantize_int8(small)
    prompt = _prompt(tokenizer)
    default_seconds, int8_seconds = pairs(
        lambda: library(defaults, prompt), lambda: by_hand(small, prompt), n
    )
    share = spread([b / a for a, b in zip(default_seconds, int8_seconds, strict=True)])
    return {
        "command": "step1_foundations bench",
        "headline": f"hand loop {first['hand_loop_speedup']['median']:.2f} times as fast as generate; "
        f"int8 takes {share['median']:.2f} of its time",
        "model": settings.model,
        "weights": weights.source_of(folder),
        "pairs": n,
        "input_tokens": prompt.shape[1],
        "default_dtype": str(defaults.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "idle_cores_before": round(idle, 1),
        **first,
        "default_generate_seconds": spread(default_seconds),
        "int8_seconds": spread(int8_seconds),
        "int8_share_of_default_time": share,
        "int8_logit_cosine": _cosine(defaults, small, prompt),
        "int8_same_tokens": _agreement(library(defaults, prompt), by_hand(small, prompt)),
        "peak_memory_mb": round(hardware.peak_memory_mb()),
        "machine": hardware.describe(),
    }


def _same_dtype(settings: Settings, tokenizer: Any, n: int) -> dict[str, Any]:
    """The first comparison; its model is gone when the next two are loaded."""
    start = time.perf_counter()
    model = models.load_causal_lm(settings=settings)
    load_seconds = time.perf_counter() - start
    prompt = _prompt(tokenizer).to(model.device)
    written = by_hand(model, prompt)
    if written != library(model, prompt):
        raise UserError("the hand loop and model.generate write different tokens here: nothing to compare")
    theirs, ours = pairs(lambda: library(model, prompt), lambda: by_hand(model, prompt), n)
    return {
        "output_tokens": len(written),
        "dtype": str(model.dtype).removeprefix("torch."),
        "load_seconds": round(load_seconds, 2),
        "generate_seconds": spread(theirs),
        "hand_loop_seconds": spread(ours),
        "hand_loop_speedup": spread([a / b for a, b in zip(theirs, ours, strict=True)]),
    }


def _prompt(tokenizer: Any) -> torch.Tensor:
    """The first 200 tokens of a text of the repository: (1, 200)."""
    text = (Path(shared.__file__).parent / "models" / "tiny_corpus.txt").read_text(encoding="utf-8")
    return tokenizer(text, return_tensors="pt").input_ids[:, :PROMPT_TOKENS]


@torch.inference_mode()
def _cosine(model: PreTrainedModel, other: PreTrainedModel, ids: torch.Tensor) -> float:
    """Mean cosine of the logits of two models over the last places of the prompt."""
    a, b = (
        each(input_ids=ids, use_cache=False, logits_to_keep=COMPARED_PLACES).logits[0].float()
        for each in (model, other)
    )
    return round(float(F.cosine_similarity(a, b, dim=-1).mean()), 4)


def _agreement(a: list[int], b: list[int]) -> int:
    """How many tokens two texts share before they part."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def show(facts: dict[str, Any], console: Console) -> None:
    """Seconds and ratios, for people."""
    from rich.table import Table

    def row(spread: dict[str, float]) -> list[str]:
        return [f"{spread[key]:.2f}" for key in ("min", "median", "max")]

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("", "min", "median", "max"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row(f"model.generate, {facts['dtype']}: seconds", *row(facts["generate_seconds"]))
    table.add_row(f"hand loop, {facts['dtype']}: seconds", *row(facts["hand_loop_seconds"]))
    table.add_row("generate / hand loop", *row(facts["hand_loop_speedup"]), style="bold")
    table.add_row(
        f"model.generate, its defaults ({facts['default_dtype']}): seconds",
        *row(facts["default_generate_seconds"]),
    )
    table.add_row("hand loop, int8: seconds", *row(facts["int8_seconds"]))
    table.add_row("int8 / generate's defaults", *row(facts["int8_share_of_default_time"]), style="bold")
    console.print(table)
    console.print(
        f"\n{facts['pairs']} pairs each, {facts['input_tokens']} tokens in and {facts['output_tokens']} out, "
        f"{facts['threads']} threads; the hand loop wrote generate's very tokens",
        soft_wrap=True,
    )
    console.print(
        f"int8: logits at cosine {facts['int8_logit_cosine']:.4f} to the default's, "
        f"{COMPARED_PLACES} places; "
        f"same text for the first {facts['int8_same_tokens']} of {facts['output_tokens']} tokens",
        soft_wrap=True,
    )
    console.print(
        f"load {facts['load_seconds']:.1f} s, peak memory {facts['peak_memory_mb']:,} MB, two models; "
        f"{facts['machine']}",
        soft_wrap=True,
    )
    if facts["idle_cores_before"] < hardware.cores() - 0.5:
        busy = f"only {facts['idle_cores_before']} cores were idle: the ratios hold, the seconds don't"
        print(busy, file=sys.stderr)
