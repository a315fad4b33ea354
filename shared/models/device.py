"""Which device, number format and how many threads a model runs with.

>>> choose_device("auto")
'cpu'
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shared import hardware
from shared.config import Settings
from shared.errors import UserError

if TYPE_CHECKING:
    import torch


def choose_device(wanted: str = "auto") -> str:
    """`auto` takes a GPU when there is one.

    Raises:
        UserError: the wanted device is not on this machine.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if not there[wanted]:
        raise UserError(
            f"device {wanted} is not on this machine: use {', '.join(d for d in there if there[d])} or auto"
        )
    return wanted


def choose_dtype(wanted: str = "auto", device: str = "cpu") -> torch.dtype:
    """`auto`: bfloat16 where the hardware multiplies it, float32 elsewhere."""
    import torch

    if wanted != "auto":
        chosen: torch.dtype = getattr(torch, wanted)
        return chosen
    fast = (
        torch.cuda.is_bf16_supported() if device == "cuda" else device == "cpu" and hardware.has_fast_bf16()
    )
    return torch.bfloat16 if fast else torch.float32


def dtype_for_batch(wanted: str = "auto", device: str = "cpu") -> torch.dtype:
    """As `choose_dtype`, for work that is all products of large matrices: embedding, training.

    Writing token by token waits for the weights to come from memory, and half as many bytes come sooner on
    any processor that knows bfloat16; large products wait for the arithmetic.
    """
    if wanted == "auto" and device == "cpu" and hardware.has_fast_bf16() and not hardware.bf16_is_faster():
        wanted = "float32"
    return choose_dtype(wanted, device)


def settings_for_batch(settings: Settings) -> Settings:
    """The settings with the number format that `dtype_for_batch` finds for their device."""
    dtype = dtype_for_batch(settings.dtype, choose_device(settings.device))
    return settings.model_copy(update={"dtype": str(dtype).removeprefix("torch.")})


def use_threads(settings: Settings) -> int:
    """Set and return torch's thread count: that of the settings, or as many as `free_threads` finds."""
    import torch

    torch.set_num_threads(free_threads() if settings.threads == "auto" else settings.threads)
    return torch.get_num_threads()


@cache
def free_threads() -> int:
    """Torch's default while enough cores are idle, and what is idle otherwise.

    Threads that spin on a core that somebody else uses are slower than one thread alone (a tenth of the
    speed was seen). Looked at once, before this process loads the cores itself.
    """
    import torch

    return hardware.free_cores(min(torch.get_num_threads(), hardware.cores()))
