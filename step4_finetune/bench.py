"""How fast does it train, and what makes it fast? Samples per CPU-second of the same rows, one change a line.

    $ python -m step4_finetune bench

A line differs from the one before it in one thing, so it says what that thing is worth. The first is TRL's
SFTTrainer as its documentation shows it. CPU-seconds, because others may be using the machine; the ways take
turns, and each line's figure is the median of the rounds.
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
from shared.models.device import choose_device
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train import peft_setup, trainers
from step4_finetune.train import run as running
from step4_finetune.train.malloc import keep_memory
from step4_finetune.train.recipe import LINEAR, Recipe
from step4_finetune.train.training_data import TrainingData

if TYPE_CHECKING:
    from rich.console import Console

ROWS, ROUNDS, EPOCHS = 16, 2, 3


def run(settings: Settings, recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """Train the same rows in every way, in turns."""
    data = TrainingData(data.rows[:ROWS], data.system)
    recipe = recipe.model_copy(update={"sft": recipe.sft.model_copy(update={"epochs": EPOCHS})})
    every = recipe.model_copy(update={"lora": recipe.lora.model_copy(update={"last_layers": None})})
    ways: dict[str, Callable[[], float]] = {
        "TRL's defaults: all layers": lambda: _by_defaults(settings, recipe, data),
        "nothing computed twice, replies scored only": lambda: _by_recipe(settings, every, data),
        f"adapters on the last {recipe.lora.last_layers} layers": lambda: _by_recipe(settings, recipe, data),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(way())
    samples = len(data.rows) * EPOCHS
    rates = {name: samples / median(each) for name, each in seconds.items()}
    first, *_, last = rates.values()
    return {
        "command": "step4_finetune bench",
        "headline": f"{last / first:.1f} times the samples of TRL's defaults per CPU-second",
        "samples": samples,
        "rounds": ROUNDS,
        "rates": {name: round(each, 3) for name, each in rates.items()},
        "dtype": running.in_format(settings, recipe).dtype,
        "machine": hardware.describe(),
    }


def _by_defaults(settings: Settings, recipe: Recipe, data: TrainingData) -> float:
    """CPU-seconds of SFTTrainer as its documentation shows it."""
    datasets, trl = trainers.quiet_trl()
    peft = quiet_peft()
    trainers.score_replies_only(False)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trl.SFTTrainer(
            model=load_causal_lm(settings=settings, dtype="float32"),
            args=trl.SFTConfig(
                folder,
                use_cpu=choose_device(settings.device) == "cpu",
                num_train_epochs=recipe.sft.epochs,
                per_device_train_batch_size=recipe.sft.batch_size,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            peft_config=peft.LoraConfig(r=recipe.lora.r, target_modules=LINEAR, task_type="CAUSAL_LM"),
            train_dataset=datasets.Dataset.from_list(data.demonstrations()),
            processing_class=load_tokenizer(settings=settings),
        )
        trainers.silent(trainer)
        start = time.process_time()
        trainer.train()
        return time.process_time() - start


def _by_recipe(settings: Settings, recipe: Recipe, data: TrainingData) -> float:
    """CPU-seconds of the same by a recipe of this step."""
    keep_memory()
    settings = running.in_format(settings, recipe)
    tokenizer = load_tokenizer(settings=settings)
    model = peft_setup.prepare(settings, recipe)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainers.sft(model, tokenizer, data, recipe, Path(folder))
        start = time.process_time()
        trainer.train()
        return time.process_time() - start


def show(facts: dict[str, Any], console: Console) -> None:
    """A line for each way."""
    from shared.cli import plain_table

    heads = ("samples a CPU-second", "times the first")
    table = plain_table("one change a line", *heads, right=heads)
    first = next(iter(facts["rates"].values()))
    for name, rate in facts["rates"].items():
        table.add_row(name, f"{rate:.2f}", f"{rate / first:.1f}")
    console.print(table)
    console.print(
        f"\n{facts['rounds']} rounds of {facts['samples']} samples; {facts['dtype']}; {facts['machine']}"
    )
