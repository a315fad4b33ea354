"""Train by a recipe: SFT, DPO or GRPO.

    python -m step4_finetune train --method sft --out runs/tone

What comes out is a folder: the adapter in PEFT's format, `recipe.yaml` with every default, `run.json` (seed,
hashes of the data, versions, seconds, memory), `log.jsonl` and `loss.png`. Ctrl-C writes a checkpoint, and
the same command goes on from there; so does one after a crash, from the last epoch.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.models import load_tokenizer
from shared.progress import count_bar
from step4_finetune.models import invocation, merge
from step4_finetune.train import callbacks, folder, peft_setup, replay, trainers
from step4_finetune.train.malloc import keep_memory
from step4_finetune.train.preflight import check_lengths, check_means, in_one_line, report_places
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import TrainingData

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerFast

    from step4_finetune.train.branches import BranchData

Bar = Callable[[int, int, str], None]
TRAINERS: dict[str, Callable[..., Any]] = {"sft": trainers.sft, "dpo": trainers.dpo, "grpo": trainers.grpo}


class Stopped(KeyboardInterrupt):
    """Ctrl-C in training: a checkpoint was written."""


def run_with_progress(
    settings: Settings,
    recipe: Recipe,
    data: TrainingData | BranchData,
    out: Path,
    report_to: str,
    *,
    fresh: bool = False,
) -> dict[str, Any]:
    """`run` with a bar and lines on stderr; `fresh` removes an earlier run."""
    if fresh:
        folder.discard(out)
    try:
        bar, say = count_bar(f"training {out.name}"), partial(print, file=sys.stderr)
        return run(settings, recipe, data, out, bar, report_to, say)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        raise


def run(
    settings: Settings,
    recipe: Recipe,
    data: TrainingData | BranchData,
    out: Path,
    bar: AbstractContextManager[Bar] | None = None,
    report_to: str = "none",
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Train, or go on with what was stopped, and save to `out`; `bar` opens once nothing is wrong.

    Raises:
        UserError: `out` holds a finished or another run, rows are too long, a checkpoint is damaged, memory
        or the disk is full.
        Stopped: by Ctrl-C, with a checkpoint.
    """
    check_means(settings, recipe, report_to)
    on = {
        "model": settings.model,
        "data": data.fingerprint(),
        "system": data.system,
        "replay": replay.fingerprint(data.replay),
        "start (--from)": str(data.start) if data.start else None,
    }
    folder.check(out, recipe, on)
    keep_memory()
    tokenizer = load_tokenizer(settings=settings)
    check_lengths(tokenizer, data, recipe.max_length)
    call = None
    if recipe.activated and isinstance(data, TrainingData):
        prompts = [row.with_system(data.system) for row in (*data.rows, *data.pairs)]
        call = invocation.invocation_tokens(tokenizer, prompts)
    settings = in_format(settings, recipe)
    report_places(out, report_to)
    with in_one_line(out):
        model = peft_setup.prepare(settings, recipe)
        if data.start:
            peft_setup.load_weights(model, data.start)
        learning = [each for each in model.parameters() if each.requires_grad]
        folder.begin(out, recipe, on)
        say(f"system message: {data.system}")  # whose tone it is, should nobody have named a guide
        began = time.perf_counter()
        with bar or nullcontext(lambda *_: None) as shown:
            model = _train(model, tokenizer, data, recipe, out, shown, report_to)
        seconds = round(time.perf_counter() - began, 1)
        facts = {
            "command": "step4_finetune train",
            "headline": f"{recipe.name}: {sum(each.numel() for each in learning):,} weights trained "
            f"in {seconds:.0f} s",
            "recipe": recipe.model_dump(),
            "model": settings.model,
            "start": str(data.start) if data.start else None,
            "system": data.system,
            "trainable": sum(each.numel() for each in learning),
            "parameters": sum(each.numel() for name, each in model.named_parameters() if ".ref." not in name),
            "rows": len(data.rows),
            "replay": len(data.replay),
            "activated": recipe.activated,
            "pairs": len(data.pairs),
            "data": on["data"],
            "dtype": settings.dtype,
            "seconds": seconds,
            "peak_memory_mb": round(hardware.peak_memory_mb()),
            "versions": {
                name: version(name) for name in ("torch", "transformers", "peft", "trl", "datasets")
            },
            "machine": hardware.describe(),
        }
        _save(settings, recipe, model, tokenizer, out, facts, call)
    return facts


def _train(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData | BranchData,
    recipe: Recipe,
    out: Path,
    bar: Bar,
    report_to: str,
) -> Any:
    """Train the model by the recipe's method; returns it without what the trainer put around it."""
    place = out / "checkpoints" / recipe.method
    start = folder.last_checkpoint(place)
    seen = callbacks.TrainingCallback(recipe.method, bar)
    with stopping(seen):
        trainer = TRAINERS[recipe.method](model, tokenizer, data, recipe, place, report_to, callbacks=[seen])
        if not seen.stopped:
            trainer.train(resume_from_checkpoint=start)
    callbacks.write_log(out / "log.jsonl", trainer.state.log_history)
    if seen.stopped:
        raise Stopped(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps} of {recipe.method}, "
            f"with a checkpoint in {place}: the same command goes on from there"
        )
    return trainer.accelerator.unwrap_model(trainer.model)


def _save(
    settings: Settings,
    recipe: Recipe,
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    facts: dict[str, Any],
    call: list[int] | None,
) -> None:
    """The weights, what is known of the run, its log and curve; checkpoints go when all is there."""
    if recipe.tuning == "full":
        model.config.use_cache = True  # off while training; the tuned model writes with it
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
    else:
        model.save_pretrained(out, selected_adapters=["default"])  # not DPO's reference, a frozen copy
        merge.stamp(settings, out, call)
        (out / "README.md").unlink(missing_ok=True)  # PEFT's empty form
    facts["loss"] = [row["loss"] for row in callbacks.read_log(out / "log.jsonl") if "loss" in row][-1:]
    callbacks.draw(out / "log.jsonl", out / "loss.png")
    (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


@contextmanager
def stopping(seen: callbacks.TrainingCallback) -> Iterator[None]:
    """Ctrl-C ends training after the step that runs, with a checkpoint; a second one ends it at once."""

    def stop(*_: Any) -> None:
        seen.stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def in_format(settings: Settings, recipe: Recipe) -> Settings:
    """With the number format to train in: the flags', the recipe's, or the one that is faster here."""
    from shared.models.device import settings_for_batch

    if settings.dtype == "auto":
        settings = settings.model_copy(update={"dtype": recipe.dtype})
    return settings_for_batch(settings)


def show(facts: dict[str, Any], console: Console) -> None:
    """Where the run is and what it cost."""
    share = 100 * facts["trainable"] / facts["parameters"]
    console.print(
        f"{facts['trainable']:,} of {facts['parameters']:,} weights trained ({share:.2f} %), "
        f"on {facts['rows']} rows" + (f" and {facts['pairs']} pairs" if facts["pairs"] else "")
    )
    console.print(
        f"{facts['recipe']['method']} {facts['seconds']:.0f} s; {facts['peak_memory_mb']:,} MB at most; "
        f"{facts['dtype']}; {facts['machine']}"
    )
