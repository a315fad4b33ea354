"""Step 2: a command-line assistant that answers by calling weather, stock, currency and time tools."""

from pathlib import Path

PROMPTS = Path(__file__).with_name("prompts")
