"""Step 3: retrieval. Documents in, measured answers with sources out, and an honest "I don't know"."""

from pathlib import Path

import shared  # noqa: F401  (ends a command in one line if .venv is not active)

PROMPTS = Path(__file__).with_name("prompts")
SAMPLE = Path(__file__).with_name("sample")  # documents/, and questions about them
RAILWAY = Path(__file__).with_name("railway")  # another author's documents: for tests only
