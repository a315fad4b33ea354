"""Train by a recipe: SFT, DPO or GRPO.

    python -m step4_finetune train --out runs/tone

The result is a folder: the adapter in PEFT's format, `run.json` (the recipe with every default, hashes of the
data, versions, seconds, memory), `log.jsonl` and `loss.png`. Ctrl-C writes a checkpoint, and the same command
resumes from it; after a crash, from that of the last epoch.
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_tokenizer
from shared.models.device import settings_for_batch
from shared.progress import count_bar
from step4_finetune.data.files import digest, write_rows
from step4_finetune.models import invocation, merge
from step4_finetune.train import callbacks, folder, peft_setup, trainers
from step4_finetune.train.malloc import keep_memory
from step4_finetune.train.preflight import check_lengths, check_means, in_one_line, report_places
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import TrainingData

LIBRARIES = ("torch", "transformers", "peft", "trl", "datasets")


def run(
    settings: Settings,
    recipe: Recipe,
    data: TrainingData,
    out: Path,
    report_to: str = "none",
    *,
    fresh: bool = False,
) -> dict[str, Any]:
    """Train, or resume a stopped run, and save to `out`; `fresh` removes an earlier run before it begins.

    Raises:
        UserError: `out` holds a finished or another run, or `fresh` would remove the start, rows are too
            long, memory or the disk is full.
        KeyboardInterrupt: by Ctrl-C, with a checkpoint.
    """
    check_means(settings, recipe, report_to)
    if fresh and data.start and data.start.resolve().is_relative_to(out.resolve()):
        raise UserError(f"--fresh would remove {data.start}, which --from names: name another --out")
    on = {
        "recipe": recipe.model_dump(),
        "model": settings.model,
        "data": data.fingerprint(),
        "system": data.system,
        "replay": digest((vars(each) for each in data.replay), sort_keys=True),
        "start (--from)": str(data.start) if data.start else None,
    }
    folder.check(out, on, fresh=fresh)
    keep_memory()
    tokenizer = load_tokenizer(settings=settings)
    check_lengths(tokenizer, data, recipe.max_length)
    invocation_tokens = None
    if recipe.activated:
        prompts = [row.with_system(data.system) for row in data.rows]
        invocation_tokens = invocation.invocation_tokens(tokenizer, prompts)
    if settings.dtype == "auto":
        settings = settings.model_copy(update={"dtype": recipe.dtype})
    settings = settings_for_batch(settings)  # `auto`: the faster format on this machine
    report_places(out, report_to)
    with in_one_line(out):
        model = peft_setup.prepare(settings, recipe, data.start)
        parameters, trainable = model.num_parameters(), model.num_parameters(only_trainable=True)
        with folder.begin(out, on, fresh=fresh):
            print(f"system message: {data.system}", file=sys.stderr)  # says whose tone is trained
            others = {path.name for path in out.iterdir()}  # what was there before
            began = time.perf_counter()
            model, history = _train(model, tokenizer, data, recipe, out, report_to)
        seconds = round(time.perf_counter() - began, 1)
        facts = {
            "command": folder.COMMAND,
            "headline": f"{recipe.name}: {trainable:,} weights trained in {seconds:.0f} s",
            # The shape of an adapter that was trained further is in its own configuration.
            "recipe": recipe.model_dump(exclude={"lora"} if data.start else None),
            "model": settings.model,
            "start": on["start (--from)"],
            "system": data.system,
            "trainable": trainable,
            "parameters": parameters,
            "rows": len(data.rows),
            "replay": len(data.replay),
            "activated": recipe.activated,
            "pairs": len(data.pairs),
            "data": on["data"],
            "dtype": settings.dtype,
            "first_loss": [row["loss"] for row in history if "loss" in row][:1],
            "loss": [row["loss"] for row in history if "loss" in row][-1:],
            "seconds": seconds,
            "peak_memory_mb": round(hardware.peak_memory_mb()),
            "versions": {name: version(name) for name in LIBRARIES},
            "machine": hardware.describe(),
        }
        if recipe.tuning == "full":
            model.config.use_cache = True  # it was off for training
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
        else:
            _save_adapter(model, out)
            merge.stamp(settings, out, invocation_tokens)
        callbacks.draw(history, out / "loss.png")
        facts["files"] = folder.written(out, others)
        (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return facts


def _save_adapter(model: Any, out: Path) -> None:
    """Save the adapter without DPO's reference, and without PEFT's empty README; one of yours stays."""
    card = out / "README.md"
    yours = card.read_bytes() if card.exists() else None
    model.save_pretrained(out, selected_adapters=["default"])
    card.unlink(missing_ok=True)
    if yours is not None:
        card.write_bytes(yours)


def _train(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    report_to: str,
) -> tuple[Any, list[dict[str, float]]]:
    """Train by the recipe's method; returns the model without the trainer's wrappers, and the losses of each
    step and of dev after each epoch."""
    checkpoints = out / "checkpoints" / recipe.method
    with count_bar(f"training {out.name}") as bar:
        callback = callbacks.TrainingCallback(recipe.method, bar)
        with stop_on_ctrl_c(callback):
            trainer = trainers.build(model, tokenizer, data, recipe, checkpoints, report_to, [callback])
            if not callback.stopped:
                trainer.train(resume_from_checkpoint=folder.last_checkpoint(checkpoints))
    state = trainer.state
    losses = [row for row in state.log_history if "loss" in row or "eval_loss" in row]
    write_rows(out / "log.jsonl", losses)
    if callback.stopped:
        message = (
            f"stopped at step {state.global_step} of {state.max_steps} of {recipe.method}, with a checkpoint "
            f"in {checkpoints}: the same command continues from there"
        )
        print(message, file=sys.stderr)
        raise KeyboardInterrupt(message)
    return trainer.accelerator.unwrap_model(trainer.model), losses


@contextmanager
def stop_on_ctrl_c(callback: callbacks.TrainingCallback) -> Iterator[None]:
    """Ctrl-C ends training after the current step, with a checkpoint; a second one ends it at once."""

    def stop(*_: Any) -> None:
        callback.stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
