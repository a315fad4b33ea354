"""Several processes, one for each GPU (or, to try it, two on one processor): who waits, writes and prints.

    torchrun --nproc_per_node 2 -m step4_finetune train --out runs/tone

Each process trains on its share of every batch, so `batch_size` in the recipe counts for one of them: half of
it in two processes is the same run. The main process alone writes the folder and prints. torchrun starts them
on processors and on GPUs alike; `accelerate launch --config_file step4_finetune/recipes/accelerate/ddp.yaml`
does so on GPUs. Its `--cpu --num_processes 2` runs one process and says nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def count() -> int:
    """How many processes train together; torchrun says so."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def together(device: str = "auto") -> Iterator[None]:
    """Join the other processes, each with a GPU of its own where there are some; alone, do nothing."""
    if count() == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def wait() -> None:
    """Until all are here."""
    if count() > 1:
        import torch

        torch.distributed.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process goes first, so that what it writes is there for the others."""
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def is_sharded() -> bool:
    """Whether the weights are spread over the processes (FSDP)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")
