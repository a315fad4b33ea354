"""transformers without its chatter: our own lines and bars are the only ones on the screen."""

from __future__ import annotations

import logging
import os
from typing import Any


def quiet_transformers() -> Any:
    """Import transformers with its warnings and progress bars off (this takes a second or two)."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for each in ("torchao", "torch.utils._pytree"):  # miss optional kernels, at length
        logging.getLogger(each).setLevel(logging.ERROR)
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
