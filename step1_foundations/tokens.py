"""What the model really reads: not letters, not words, but pieces found by counting.

    $ python -m step1_foundations tokens "Tokenization isn't magic."

    piece      id     bytes
    Token      20855  54 6f 6b 65 6e
    ization    1237   69 7a 61 74 69 6f 6e
    ·isn       3247   20 69 73 6e

The pieces come from byte-pair encoding: single bytes first, then the pair that stands together most often
is joined, thousands of times (Sennrich et al. 2016, arXiv 1508.07909). Common words end as one piece.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import models
from shared.config import Settings
from step1_foundations.support.text import encode, piece, token_bytes, visible

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerFast

LANGUAGES = Path(__file__).with_name("data") / "languages.jsonl"

# Pairs that differ in one small thing, to see what the tokenizer makes of it.
SPLITS = [
    "hello",
    " hello",
    "Hello",
    "HELLO",
    "helo",
    "hello    world",
    "dog",
    "platypus",
    "antidisestablishmentarianism",
    "12345",
    "3.14159",
]


def split(tokenizer: PreTrainedTokenizerFast, text: str) -> list[dict[str, Any]]:
    """Each token of `text`: the piece as text, its id, its bytes in hexadecimal."""
    rows = []
    for token_id in tokenizer(text, add_special_tokens=False).input_ids:
        raw = token_bytes(tokenizer, token_id)
        rows.append({"piece": piece(tokenizer, token_id), "id": token_id, "bytes": raw.hex(" ")})
    return rows


def count(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    """How many tokens the text is, without special ones."""
    return len(tokenizer(text, add_special_tokens=False).input_ids)


def run(settings: Settings, text: str, compare: str | None) -> dict[str, Any]:
    """Split the text, then the same sentence in several languages, then words that differ in one thing."""
    tokenizer = models.load_tokenizer(settings=settings)
    encode(tokenizer, text, what="text")  # refuses an empty one
    other = models.load_tokenizer(compare, settings) if compare else None
    rows = split(tokenizer, text)
    texts: dict[str, list[str]] = {}
    for line in LANGUAGES.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        texts.setdefault(sample["kind"], []).append(sample["text"])
    languages = [
        {
            "kind": kind,
            "characters": sum(map(len, samples)),
            "bytes": sum(len(sample.encode()) for sample in samples),
            "tokens": sum(count(tokenizer, sample) for sample in samples),
            "tokens_compared": sum(count(other, sample) for sample in samples) if other else None,
        }
        for kind, samples in texts.items()
    ]
    splits = [
        {
            "text": word,
            "pieces": [row["piece"] for row in split(tokenizer, word)],
            "pieces_compared": [row["piece"] for row in split(other, word)] if other else None,
        }
        for word in SPLITS
    ]
    per_token = len(text) / len(rows)
    return {
        "command": "step1_foundations tokens",
        "headline": f"{len(text)} characters are {len(rows)} tokens: {per_token:.2f} characters per token",
        "model": settings.model,
        "compared_with": compare,
        "vocabulary": len(tokenizer),
        "vocabulary_compared": len(other) if other else None,
        "text": text,
        "characters_per_token": round(per_token, 3),
        "tokens": rows,
        "tokens_compared": split(other, text) if other else None,
        "languages": languages,
        "splits": splits,
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """Pieces, languages and splits, for people."""
    from rich.table import Table
    from rich.text import Text

    both = facts["compared_with"]

    def table(*columns: str) -> Table:
        return Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))

    pieces = table("piece", "id", "bytes")
    for row in facts["tokens"]:
        pieces.add_row(Text(row["piece"]), str(row["id"]), row["bytes"])
    console.print(pieces)
    console.print(f"\n{facts['headline']} (vocabulary of {facts['vocabulary']:,} tokens)", soft_wrap=True)
    if both:
        others = " ".join(row["piece"] for row in facts["tokens_compared"])
        console.print(
            f"{both} ({facts['vocabulary_compared']:,}): {len(facts['tokens_compared'])} tokens",
            soft_wrap=True,
        )
        console.print(Text(f"  {others}"))

    console.print("\nThe same five sentences, and some code", style="bold")
    languages = table("", "characters", "bytes", "tokens", "characters per token", *([both] if both else []))
    for row in facts["languages"]:
        extra = [str(row["tokens_compared"])] if both else []
        per_token = f"{row['characters'] / row['tokens']:.2f}"
        languages.add_row(
            row["kind"], str(row["characters"]), str(row["bytes"]), str(row["tokens"]), per_token, *extra
        )
    for column in languages.columns[1:]:
        column.justify = "right"
    console.print(languages)

    console.print("\nWhere spaces, capitals and rare words split", style="bold")
    splits = table("text", "tokens", "pieces", *([both] if both else []))
    for row in facts["splits"]:
        extra = [Text(" | ".join(row["pieces_compared"]))] if both else []
        splits.add_row(
            Text(visible(row["text"])), str(len(row["pieces"])), Text(" | ".join(row["pieces"])), *extra
        )
    console.print(splits)
