"""Checks before a run (GPU, reporter, row lengths), and one-line errors when memory or disk run out."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerFast

from shared.config import Settings
from shared.errors import UserError, reason
from shared.models.device import choose_device
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.training_data import TrainingData

NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOTDIR)
NO_SPACE_SAID = ("os error 28", "os error 27", "file write failed", "No space left")  # safetensors, torch
NO_MEMORY_SAID = ("allocate memory", "not enough memory")  # torch


def check_means(settings: Settings, recipe: Recipe, report_to: str) -> None:
    """Check that there is a GPU if the recipe needs one, and the program that gets the reports.

    Raises:
        UserError: one is missing.
    """
    if recipe.needs_gpu and choose_device(settings.device) == "cpu":
        raise UserError(
            f"GPU recipe on a CPU: {recipe.name} would take days here; use --recipe default, "
            "or needs_gpu: false in a recipe of your own"
        )
    if report_to != "none" and find_spec(report_to) is None:
        raise UserError(f"--report-to {report_to} needs {report_to}: pip install .[{report_to}]")


def report_places(out: Path, report_to: str) -> None:
    """Have W&B write into the run's folder, unless the environment names another one."""
    if report_to == "wandb":
        os.environ.setdefault("WANDB_DIR", str(out))
        os.environ.setdefault("WANDB_PROJECT", "step4_finetune")


def check_lengths(tokenizer: PreTrainedTokenizerFast, data: TrainingData, limit: int) -> None:
    """Check that no row is longer than the recipe's `max_length`: trainers would cut off its sign-off.

    Raises:
        UserError: some are; names them, and the length that is needed.
    """
    long = {name: tokens for name, tokens in data.lengths(tokenizer).items() if tokens > limit}
    if long:
        rows = "row is" if len(long) == 1 else "rows are"
        raise UserError(
            f"{len(long)} {rows} over max_length {limit} tokens ({', '.join(list(long)[:5])}): "
            f"set max_length: {max(long.values())} in the recipe, or leave them out"
        )


@contextmanager
def in_one_line(out: Path) -> Iterator[None]:
    """Turn errors of full memory or disk into one line; checkpoints stay.

    Raises:
        UserError: says what to change.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError, SafetensorError) as error:
        no_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if no_memory or any(each in str(error) for each in NO_MEMORY_SAID):
            raise UserError(
                "out of memory: take a smaller batch_size with more accumulate, shorter rows, fewer "
                "lora.last_layers or, for the weights, --recipe qlora; checkpoints are kept"
            ) from None
        not_writable = getattr(error, "errno", None) in NOT_WRITABLE
        if not_writable or any(each in str(error) for each in NO_SPACE_SAID):
            raise UserError(
                f"{out} cannot be written ({reason(error)}): make room, and the same command continues from "
                "the last checkpoint"
            ) from None
        raise
