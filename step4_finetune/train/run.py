"""Train by a recipe: SFT, DPO or GRPO, or one of the latter after SFT.

    python -m step4_finetune train --method sft --out runs/tone

What comes out is a folder: the adapter in PEFT's format, `recipe.yaml` with every default, `run.json` (seed,
hashes of the data, versions, seconds, memory), `log.jsonl` and `loss.png`. Ctrl-C writes a
checkpoint, and the same command goes on from there; so does one after a crash, from the last epoch.
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
from step4_finetune.train import callbacks, distributed, folder, memory, peft_setup, replay, trainers
from step4_finetune.train.malloc import keep_memory
from step4_finetune.train.preflight import (
    check_lengths,
    check_means,
    estimate_memory,
    in_one_line,
    report_places,
)
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
    """`run` with a bar and lines on stderr, the main process only; `fresh` removes an earlier run."""
    if not distributed.is_main():
        return run(settings, recipe, data, out, report_to=report_to)
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
    rows = data.fingerprint()
    on = {
        "model": settings.model,
        "data": rows,
        "system": data.system,
        "replay": replay.fingerprint(data.replay),
        "start (--from)": str(data.start) if data.start else None,
    }
    if distributed.is_main():
        folder.check(out, recipe, on)
    keep_memory()
    tokenizer = load_tokenizer(settings=settings)
    lengths = check_lengths(tokenizer, data, recipe.max_length)
    call = None
    if recipe.activated and isinstance(data, TrainingData):
        prompts = [row.with_system(data.system) for row in (*data.rows, *data.pairs)]
        call = invocation.invocation_tokens(tokenizer, prompts)
    settings = in_format(settings, recipe)
    report_places(out, report_to)
    estimated = estimate_memory(settings, recipe, lengths)
    with in_one_line(out):
        model = peft_setup.prepare(settings, recipe)
        if data.start:
            model = _reload(model, data.start, recipe)
        learning = [each for each in model.parameters() if each.requires_grad]
        if distributed.is_main():
            folder.begin(out, recipe, on)
        distributed.wait()
        say(f"system message: {data.system}")  # whose tone it is, should nobody have named a guide
        if estimated:
            say(f"memory: {memory.describe(estimated)}")
        began, seconds = time.perf_counter(), {}
        with bar or nullcontext(lambda *_: None) as shown:
            for stage in recipe.method.split("+"):
                start = time.perf_counter()
                model = _stage(stage, model, tokenizer, data, recipe, out, shown, report_to)
                seconds[stage] = round(time.perf_counter() - start, 1)
        facts = {
            "command": "step4_finetune train",
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
            "data": rows,
            "dtype": settings.dtype,
            "processes": distributed.count(),
            "seconds": seconds,
            "seconds_in_all": round(time.perf_counter() - began, 1),
            "foreseen_memory_mb": round(sum(estimated.values()) / 1e6) if estimated else None,
            "peak_memory_mb": round(hardware.peak_memory_mb()),
            "versions": {
                name: version(name) for name in ("torch", "transformers", "peft", "trl", "datasets")
            },
            "machine": hardware.describe(),
        }
        facts["headline"] = (
            f"{recipe.name}: {facts['trainable']:,} weights trained in {facts['seconds_in_all']:.0f} s"
        )
        if distributed.is_main():
            _save(settings, recipe, model, tokenizer, out, facts, call)
        distributed.wait()
    return facts


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
    _write(model, recipe, out)
    if recipe.tuning == "full":
        tokenizer.save_pretrained(out)
    else:
        merge.stamp(settings, out, call)
        (out / "README.md").unlink(missing_ok=True)  # PEFT's empty form; `card` writes a real one
    facts["loss"] = [row["loss"] for row in callbacks.read_log(out / "log.jsonl") if "loss" in row][-1:]
    callbacks.draw(out / "log.jsonl", out / "loss.png")
    (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def _write(model: Any, recipe: Recipe, out: Path) -> None:
    """What was trained; not TRL's frozen copy of the adapter, DPO's reference."""
    if recipe.tuning == "full":
        model.config.use_cache = True  # off while training; the tuned model writes with it
        model.save_pretrained(out)
        model.config.use_cache = False
    else:
        model.save_pretrained(out, selected_adapters=["default"])


def _stage(
    stage: str,
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData | BranchData,
    recipe: Recipe,
    out: Path,
    bar: Bar,
    report_to: str,
) -> Any:
    """One of the recipe's stages on the model; returns the trained model."""
    place = out / "checkpoints" / stage
    if (place / "done" / "whole").exists():  # an earlier run got so far
        return _reload(model, place / "done", recipe)
    start = folder.last_checkpoint(place)
    seen = callbacks.TrainingCallback(stage, bar)
    with stopping(seen):
        trainer = TRAINERS[stage](model, tokenizer, data, recipe, place, report_to, callbacks=[seen])
        if not seen.stopped:
            trainer.train(resume_from_checkpoint=start)
    if distributed.is_main():
        callbacks.write_log(out / "log.jsonl", stage, trainer.state.log_history)
    if seen.stopped:
        raise Stopped(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps} of {stage}, "
            f"with a checkpoint in {place}: the same command goes on from there"
        )
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if recipe.method.split("+")[-1] != stage and distributed.is_main():
        _write(trained, recipe, place / "done")
        (place / "done" / "whole").touch()
    return trained


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


def _reload(model: Any, folder: Path, recipe: Recipe) -> Any:
    """The model as it was at the end of a stage."""
    if recipe.tuning == "full":
        return type(model).from_pretrained(folder, dtype=model.dtype)
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / merge.WEIGHTS))
    return model


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
    each = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in facts["seconds"].items())
    console.print(f"{each}; {facts['peak_memory_mb']:,} MB at most; {facts['dtype']}; {facts['machine']}")
