"""How fast does it train beside TRL's defaults? Samples per CPU-second, same rows, in turns.

    $ python -m step4_finetune bench

Both train LoRA with r=16 on every linear matrix. TRL's defaults: all layers, autocast to bf16, activations
computed again in the backward pass. Ours: adapters on the last layers only, the frozen ones computed once
(trunk.py), the number format that is faster here, freed memory kept (malloc.py). CPU-seconds, because others
may be using the machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.models import load_causal_lm, load_tokenizer
from step4_finetune import run as running
from step4_finetune import train, tuning
from step4_finetune.malloc import keep_memory
from step4_finetune.quiet import quiet_peft
from step4_finetune.recipe import LINEAR, Recipe

if TYPE_CHECKING:
    from rich.console import Console

ROWS, ROUNDS = 16, 2


def run(settings: Settings, recipe: Recipe, lesson: train.Lesson) -> dict[str, Any]:
    """Train the same rows both ways, in turns; the ratio is the median of the rounds'."""
    lesson = train.Lesson(lesson.rows[:ROWS], lesson.system)
    epochs = recipe.sft.epochs
    ways: dict[str, Callable[[], float]] = {
        "trl": lambda: _by_defaults(settings, recipe, lesson),
        "ours": lambda: _by_recipe(settings, recipe, lesson),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():  # TRL first: what it frees it gives back, until ours keeps it
            seconds[name].append(way())
    samples = len(lesson.rows) * epochs
    ratios = [theirs / mine for theirs, mine in zip(seconds["trl"], seconds["ours"], strict=True)]
    return {
        "command": "step4_finetune bench",
        "headline": f"{median(ratios):.1f} times the samples of TRL's defaults per CPU-second",
        "samples": samples,
        "rate": {name: round(samples / median(each), 2) for name, each in seconds.items()},
        "ratios": [round(each, 2) for each in ratios],
        "ratio": round(median(ratios), 2),
        "machine": hardware.describe(),
    }


def _by_defaults(settings: Settings, recipe: Recipe, lesson: train.Lesson) -> float:
    """CPU-seconds of SFTTrainer as its documentation shows it."""
    datasets, trl = train.quiet_trl()
    peft = quiet_peft()
    train.score_replies_only(False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trl.SFTTrainer(
            model=load_causal_lm(settings=settings, dtype="float32"),
            args=trl.SFTConfig(
                folder,
                use_cpu=settings.device == "cpu" or not _has_gpu(),
                num_train_epochs=recipe.sft.epochs,
                per_device_train_batch_size=recipe.sft.batch_size,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            peft_config=peft.LoraConfig(r=recipe.lora.r, target_modules=LINEAR, task_type="CAUSAL_LM"),
            train_dataset=datasets.Dataset.from_list(lesson.demonstrations()),
            processing_class=load_tokenizer(settings=settings),
        )
        train.silent(trainer)
        start = time.process_time()
        trainer.train()
        return time.process_time() - start


def _by_recipe(settings: Settings, recipe: Recipe, lesson: train.Lesson) -> float:
    """CPU-seconds of the same by a recipe of this step."""
    keep_memory()
    settings = running.in_format(settings, recipe)
    tokenizer = load_tokenizer(settings=settings)
    model = tuning.prepare(settings, recipe)
    with tempfile.TemporaryDirectory() as folder:
        trainer = train.sft(model, tokenizer, lesson, recipe, Path(folder))
        with running.frozen(model, tokenizer, recipe):
            start = time.process_time()
            trainer.train()
            return time.process_time() - start


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def show(facts: dict[str, Any], console: Console) -> None:
    """Both rates and the ratio."""
    rate, ratios = facts["rate"], facts["ratios"]
    console.print(
        f"samples per CPU-second: {rate['ours']} beside TRL's {rate['trl']}, {facts['ratio']} times as many "
        f"({min(ratios)} to {max(ratios)} in {len(ratios)} rounds of {facts['samples']:.0f} samples)"
    )
    console.print(facts["machine"])
