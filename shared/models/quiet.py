"""Imports transformers with its log messages switched off, so that only our output appears."""

import logging
import os
from typing import Any

# At import, these log long warnings about optional kernels that are not installed.
NOISY = ("bitsandbytes", "torchao", "torch.utils._pytree")


def quiet_transformers() -> Any:
    """Import transformers (one to two seconds) with its warnings and progress bars off."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    import transformers  # after both settings, which it reads

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
