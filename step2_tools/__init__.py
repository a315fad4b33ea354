"""Step 2: a command-line assistant that answers by calling weather, stock, currency and time tools."""

from pathlib import Path

import shared  # noqa: F401  (ends a command in one line if .venv is not active)

PROMPTS = Path(__file__).with_name("prompts")
