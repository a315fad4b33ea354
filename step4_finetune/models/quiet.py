"""PEFT without its chatter: what it imports warns of kernels that are missing and of names that change."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from shared.models.quiet import quiet_transformers


def quiet_peft() -> Any:
    """Import PEFT (several seconds) with the warnings off that no user of this step can act on."""
    quiet_transformers()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # misses an optional kernel, at length
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    import peft

    return peft
