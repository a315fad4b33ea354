import shared  # noqa: F401  (ends a command in one line if .venv is not active)
