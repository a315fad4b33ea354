"""Step 1 of the roadmap: what a language model does. Start with README.md."""

import shared  # noqa: F401  (ends a command in one line if .venv is not active)
