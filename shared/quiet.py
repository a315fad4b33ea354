"""transformers without its chatter: our own lines and bars are the only ones on the screen."""

from __future__ import annotations

import os
from typing import Any


def quiet_transformers() -> Any:
    """Import transformers with its warnings and progress bars off (this takes a second or two)."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
