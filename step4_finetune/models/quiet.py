"""PEFT without warnings of missing kernels and deprecated names."""

import logging
import warnings
from typing import Any

from shared.models.quiet import quiet_transformers


def quiet_peft() -> Any:
    """Import PEFT (several seconds) without the warnings that users can't act on."""
    quiet_transformers()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # long warnings of an optional kernel
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
    import peft

    return peft
