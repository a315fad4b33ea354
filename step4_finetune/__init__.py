"""Step 4: fine-tuning. A small model learns a company's tone from pairs of replies; a program measures it."""

import shared  # noqa: F401  (ends a command in one line if .venv is not active)
