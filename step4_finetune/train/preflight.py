"""What a run needs and may run out of, said in one line: a GPU, a reporter, tokens, memory, disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from shared.config import Settings
from shared.errors import UserError, reason
from step4_finetune.models import sizes
from step4_finetune.train import memory
from step4_finetune.train.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from step4_finetune.train.branches import BranchData
    from step4_finetune.train.training_data import TrainingData

REPORTERS = ("none", "wandb", "tensorboard")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
NO_SPACE_SAID = ("os error 28", "os error 27", "file write failed", "No space left")  # safetensors, torch
LESS_MEMORY = (
    "take a smaller batch_size with more accumulate, shorter rows, fewer lora.last_layers or, for the "
    "weights, --tuning qlora"
)


def check_means(settings: Settings, recipe: Recipe, report_to: str) -> None:
    """What the run needs is there: a model that writes, a GPU where the recipe wants one, the program that
    gets the reports.

    Raises:
        UserError: it isn't.
    """
    from shared.models import require_causal
    from shared.models.device import choose_device

    require_causal(settings.model)
    if recipe.needs_gpu and choose_device(settings.device) == "cpu":
        raise UserError(
            f"GPU recipe on a CPU: {recipe.name} would take days here; use --recipe default, "
            "or needs_gpu: false in a recipe of your own"
        )
    if report_to not in REPORTERS:
        raise UserError(f"--report-to {report_to}: use {', '.join(REPORTERS)}")
    if report_to != "none" and find_spec(report_to) is None:
        raise UserError(f"--report-to {report_to} needs {report_to}: pip install .[{report_to}]")


def report_places(out: Path, report_to: str) -> None:
    """Reporters write into the run's folder and not into the working one, unless told otherwise."""
    if report_to == "wandb":
        os.environ.setdefault("WANDB_DIR", str(out))
        os.environ.setdefault("WANDB_PROJECT", "step4_finetune")
    elif report_to == "tensorboard":
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(out / "tensorboard"))


def check_lengths(
    tokenizer: PreTrainedTokenizerFast, data: TrainingData | BranchData, limit: int
) -> list[tuple[int, int]]:
    """No row is longer than the recipe's `max_length`: trainers would cut it in silence, sign-off first.

    Returns:
        Tokens of each conversation, replay's too, and how many of them are to be learnt.

    Raises:
        UserError: names the rows, and the length that is needed.
    """
    counted = data.lengths(tokenizer)
    long = list(dict.fromkeys(name for name, tokens, _ in counted if tokens > limit))
    if long:
        most = max(tokens for _, tokens, _ in counted)
        raise UserError(
            f"{len(long)} rows are over max_length {limit} tokens ({', '.join(long[:5])}): "
            f"set max_length: {most} in the recipe, or `data check --fix` takes them out"
        )
    own = [(len(ids), len(ids) - asked) for ids, asked in (each.encode(tokenizer) for each in data.replay)]
    return [(tokens, learnt) for _, tokens, learnt in counted] + own


def estimate_memory(
    settings: Settings, recipe: Recipe, lengths: Sequence[tuple[int, int]]
) -> memory.Parts | None:
    """The memory that the recipe's largest stage will take; None on a GPU, and for a model that can't be
    counted. `lengths` are those of `check_lengths`.

    Raises:
        UserError: there is less, and what to change.
    """
    from transformers import AutoConfig

    from shared.models import weights
    from shared.models.device import choose_device

    if choose_device(settings.device) != "cpu" or not set(recipe.lora.targets) <= set(sizes.ALL_LINEAR):
        return None
    config = AutoConfig.from_pretrained(weights.ensure(settings.model, settings), local_files_only=True)
    try:
        shape = sizes.Shape.of(config)
    except UserError:
        return None
    length, scored = (max(each) for each in zip(*lengths, strict=True))
    stages = (
        memory.estimate(shape, recipe, method, length, scored, settings.dtype)
        for method in recipe.method.split("+")
    )
    most = max(stages, key=lambda parts: sum(parts.values()))
    need, there = sum(most.values()), memory.free()
    if need > there:
        raise UserError(
            f"training would take {need / 1e9:.1f} GB of memory and {there / 1e9:.1f} GB are free: "
            f"{LESS_MEMORY}, or choose a smaller model"
        )
    return most


@contextmanager
def in_one_line(out: Path) -> Iterator[None]:
    """Memory or disk that is full, in one line; what was written before stays.

    Raises:
        UserError: what to change, and that the run goes on.
    """
    import torch
    from safetensors import SafetensorError

    go_on = "the same command goes on from the last checkpoint"
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise UserError(f"out of memory: {LESS_MEMORY}; checkpoints are kept") from None
    except (OSError, RuntimeError, SafetensorError) as error:
        said = str(error)
        if "allocate memory" in said or "not enough memory" in said:
            raise UserError(f"out of memory: {LESS_MEMORY}; checkpoints are kept") from None
        full = getattr(error, "errno", None) in NO_SPACE or any(each in said for each in NO_SPACE_SAID)
        if not full:
            raise
        raise UserError(f"{out} cannot be written ({reason(error)}): make room, and {go_on}") from None
