"""Print texts that come from documents and models."""

from shared.cli import Console
from step3_rag.ingest.text import clean


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text without control characters, whose lines the terminal may wrap, but not rich."""
    console.print(clean(text), style=style, soft_wrap=True)
