"""Train by a recipe: SFT, DPO, or the one after the other.

    python -m step4_finetune train --method sft --out runs/tone

What comes out is a folder: the adapter in PEFT's format, `recipe.yaml` with every default, `run.json` (seed,
hashes of the data, versions, commit, seconds, memory), `log.jsonl`, `log.csv` and `loss.png`. Ctrl-C writes a
checkpoint, and the same command goes on from there; so does one after a crash, from the last epoch.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_tokenizer
from step4_finetune import data, merge, train, tuning, watch
from step4_finetune.malloc import keep_memory
from step4_finetune.recipe import Recipe, to_yaml
from step4_finetune.trunk import cached_trunk

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerFast

Bar = Callable[[int, int, str], None]
TRAINERS = {"sft": train.sft, "dpo": train.dpo}


def run(
    settings: Settings,
    recipe: Recipe,
    lesson: train.Lesson,
    out: Path,
    bar: Bar = lambda *_: None,
    report_to: str = "none",
) -> dict[str, Any]:
    """Train, or go on with what was stopped, and save to `out`.

    Raises:
        UserError: `out` holds a finished or another run, rows are too long, a checkpoint is damaged, memory
        is out. KeyboardInterrupt: stopped, with a checkpoint.
    """
    _begin(out, recipe)
    keep_memory()
    tokenizer = load_tokenizer(settings=settings)
    check_lengths(tokenizer, lesson, recipe.max_length)
    settings = settings.model_copy(update={"dtype": dtype_of(settings, recipe)})
    model = tuning.prepare(settings, recipe)
    began, seconds = time.perf_counter(), {}
    for stage in recipe.method.split("+"):
        start = time.perf_counter()
        model = _stage(stage, model, tokenizer, lesson, recipe, out, bar, report_to)
        seconds[stage] = round(time.perf_counter() - start, 1)
    model.save_pretrained(out)
    if recipe.tuning == "full":
        tokenizer.save_pretrained(out)
    else:
        merge.stamp(settings, out)
    facts = {
        "command": "step4_finetune train",
        "recipe": recipe.model_dump(),
        "model": settings.model,
        "trainable": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "parameters": sum(each.numel() for each in model.parameters()),
        "rows": len(lesson.rows),
        "pairs": len(lesson.pairs),
        "data": data.fingerprint(lesson.rows),
        "dtype": settings.dtype,
        "seconds": seconds,
        "seconds_in_all": round(time.perf_counter() - began, 1),
        "peak_memory_mb": round(hardware.peak_memory_mb()),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl", "datasets")},
        "commit": _commit(),
        "machine": hardware.describe(),
        "loss": [row["loss"] for row in watch.read_log(out / "log.jsonl")][-1:],
    }
    facts["headline"] = (
        f"{recipe.name}: {facts['seconds_in_all']:.0f} s, {facts['trainable']:,} weights trained"
    )
    watch.to_csv(out / "log.jsonl")
    watch.draw(out / "log.jsonl", out / "loss.png")
    (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return facts


def _stage(
    stage: str,
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    lesson: train.Lesson,
    recipe: Recipe,
    out: Path,
    bar: Bar,
    report_to: str,
) -> Any:
    """One of the recipe's stages on the model; returns the trained model."""
    folder = out / "checkpoints" / stage
    if (folder / "done").exists():  # an earlier run got so far
        return _reload(model, folder / "done", recipe)
    seen = watch.Watch(stage, out / "log.jsonl", bar)
    trainer = TRAINERS[stage](model, tokenizer, lesson, recipe, folder, report_to, callbacks=[seen])
    with frozen(model, tokenizer, recipe), stopping(seen):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    if seen.stopped:
        raise KeyboardInterrupt
    if recipe.method != stage:
        model.save_pretrained(folder / "done")
    return trainer.accelerator.unwrap_model(trainer.model)


def frozen(model: Any, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> AbstractContextManager[Any]:
    """The layers below the first that learns as a table, where the recipe wants it."""
    if not recipe.cache_frozen or recipe.tuning == "full":
        return nullcontext()
    base = model.get_base_model()
    return cached_trunk(base, tuning.first_trained(base, recipe), tokenizer.pad_token_id)


@contextmanager
def stopping(seen: watch.Watch) -> Iterator[None]:
    """Ctrl-C ends training after the step that runs, with a checkpoint; a second one ends it at once."""

    def stop(*_: Any) -> None:
        seen.stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, stop)
    except ValueError:  # not in the main thread: whoever started us stops us
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(out: Path, recipe: Recipe) -> None:
    """The folder of the run, new or that of a stopped one."""
    text = to_yaml(recipe)
    if (out / "run.json").exists():
        raise UserError(f"{out} holds a finished run: name another --out, or remove it first")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "recipe.yaml").exists()):
        raise UserError(f"{out} is not empty and holds no run: name another --out")
    if (out / "recipe.yaml").exists() and (out / "recipe.yaml").read_text(encoding="utf-8") != text:
        raise UserError(
            f"{out} holds a stopped run of another recipe: name another --out, or remove it first"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.yaml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from None


def discard(out: Path) -> None:
    """Remove a run, finished or stopped; a folder that holds none is left as it is."""
    if (out / "recipe.yaml").is_file():
        shutil.rmtree(out)


def check_lengths(tokenizer: PreTrainedTokenizerFast, lesson: train.Lesson, limit: int) -> None:
    """No row is longer than the recipe's `max_length`: trainers would cut it in silence, sign-off first.

    Raises:
        UserError: names the rows, and the length that is needed.
    """
    counted = [
        (
            row.id,
            len(tokenizer.apply_chat_template([*row.with_system(lesson.system), reply], return_dict=False)),
        )
        for row in [*lesson.rows, *lesson.pairs]
        for text in (row.chosen, row.rejected)
        if text
        for reply in [{"role": "assistant", "content": text}]
    ]
    long = list(dict.fromkeys(name for name, tokens in counted if tokens > limit))
    if long:
        most = max(tokens for _, tokens in counted)
        raise UserError(
            f"{len(long)} rows are over max_length {limit} tokens ({', '.join(long[:5])}): "
            f"set max_length: {most} in the recipe, or `data check --fix` takes them out"
        )


def last_checkpoint(folder: Path) -> str | None:
    """Where a stopped stage goes on, or None where it begins.

    Raises:
        UserError: the checkpoint is not whole.
    """
    from transformers.trainer_utils import get_last_checkpoint

    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        return None
    state = Path(found) / "trainer_state.json"
    weights = [*Path(found).glob("*.safetensors")]
    try:
        json.loads(state.read_text(encoding="utf-8"))
        for each in weights:
            _check_whole(each)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the checkpoint {found} is not whole ({error}): remove that folder, and train again"
        ) from None
    if not weights:
        raise UserError(f"the checkpoint {found} holds no weights: remove that folder, and train again")
    return found


def _check_whole(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as tensors:
            tensors.keys()
    except SafetensorError as error:
        raise ValueError(f"{file.name}: {error}") from None


def _reload(model: Any, folder: Path, recipe: Recipe) -> Any:
    """The model as it was at the end of a stage."""
    from safetensors.torch import load_file

    if recipe.tuning == "full":
        return type(model).from_pretrained(folder, dtype=model.dtype)
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"))
    return model


def dtype_of(settings: Settings, recipe: Recipe) -> str:
    """The number format to train in: the flags', the recipe's, or the one that is faster here."""
    from shared.models import choose_device, dtype_for_products

    wanted = settings.dtype if settings.dtype != "auto" else recipe.dtype
    return str(dtype_for_products(wanted, choose_device(settings.device))).removeprefix("torch.")


def _commit() -> str | None:
    """The commit of the code, where it comes from a clone."""
    root = Path(__file__).parents[1]
    try:
        got = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return got.stdout.strip() or None


def show(facts: dict[str, Any], console: Console) -> None:
    """Where the run is and what it cost."""
    share = 100 * facts["trainable"] / facts["parameters"]
    console.print(
        f"{facts['trainable']:,} of {facts['parameters']:,} weights trained ({share:.2f} %), "
        f"on {facts['rows']} rows" + (f" and {facts['pairs']} pairs" if facts["pairs"] else "")
    )
    each = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in facts["seconds"].items())
    console.print(f"{each}; {facts['peak_memory_mb']:,} MB at most; {facts['dtype']}; {facts['machine']}")
