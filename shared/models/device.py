"""Chooses a model's device, number format and number of threads.

    >>> choose_device("auto"), choose_dtype("auto", "cpu")
    ('cpu', torch.bfloat16)
    >>> describe_choice(settings, "cpu")
    'bfloat16 (auto: avx512_bf16), 2 threads (auto: 2 cores)'

`auto` depends on the machine's features only, never on a measurement: the same machine makes the same choice,
so the same seed gives the same text.

torch is imported inside functions (shared/models/__init__.py says why).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.words import count

if TYPE_CHECKING:
    import torch


def choose_device(setting: str = "auto") -> str:
    """The device of the setting; for `auto`, a GPU if there is one.

    Raises:
        UserError: the device is not on this machine.
    """
    import torch

    available = []  # best first
    if torch.cuda.is_available():
        available.append("cuda")
    if torch.backends.mps.is_available():
        available.append("mps")
    available.append("cpu")
    if setting == "auto":
        return available[0]
    if setting not in available:
        raise UserError(f"device {setting} is not on this machine: use {', '.join(available)} or auto")
    return setting


def choose_dtype(setting: str = "auto", device: str = "cpu") -> torch.dtype:
    """The dtype of the setting; for `auto`, bfloat16 if the hardware multiplies it, else float32.

    Decoding speed is limited by reading the weights from memory, and bfloat16 halves their size.
    """
    import torch

    if setting != "auto":
        return getattr(torch, setting)
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    if device == "cpu" and hardware.bf16_feature():
        return torch.bfloat16
    return torch.float32


def settings_for_batch(settings: Settings) -> Settings:
    """The settings with the fastest dtype for large matrix products, as in embedding and training.

    Some processors that multiply bfloat16 still compute such products faster in float32.
    """
    device = choose_device(settings.device)
    setting = settings.dtype
    if setting == "auto" and device == "cpu" and not hardware.has_fast_bf16_matmul():
        setting = "float32"
    return settings.model_copy(update={"dtype": _name(choose_dtype(setting, device))})


def use_threads(settings: Settings) -> int:
    """Set torch's thread count and return it. `auto`: torch's default, at most this process's cores."""
    import torch

    auto = min(torch.get_num_threads(), hardware.cores())
    torch.set_num_threads(auto if settings.threads == "auto" else settings.threads)
    return torch.get_num_threads()


def describe_choice(settings: Settings, device: str) -> str:
    """The dtype and the number of threads of a model loaded on `device`, and why they were chosen."""
    import torch

    why = "as set"
    if settings.dtype == "auto" and device == "cpu":
        why = f"auto: {hardware.bf16_feature() or 'no bfloat16 instructions'}"
    elif settings.dtype == "auto":
        why = f"auto: {device}"
    dtype = f"{_name(choose_dtype(settings.dtype, device))} ({why})"
    if device != "cpu":
        return dtype
    why = "as set"
    if settings.threads == "auto":
        why = f"auto: {count(hardware.cores(), 'core')}"
    return f"{dtype}, {count(torch.get_num_threads(), 'thread')} ({why})"


def _name(dtype: torch.dtype) -> str:
    """`bfloat16` for `torch.bfloat16`."""
    return str(dtype).removeprefix("torch.")
