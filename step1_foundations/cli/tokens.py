"""`tokens`: a text as the model reads it, and the number of tokens in ten languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import models
from shared.cli import Console, plain_table
from shared.words import count
from step1_foundations.support.text import encode
from step1_foundations.tokens import Count, count_languages, split

if TYPE_CHECKING:
    from shared.config import Settings


@dataclass(frozen=True)
class TokenRow:
    """A token as it is printed."""

    piece: str
    id: int
    bytes: str  # in hex, "c3 a9"


@dataclass(frozen=True)
class TokensReport:
    """The tokens of a text."""

    command: str
    headline: str
    model: str
    vocabulary: int  # tokens that the tokenizer knows
    tokens: list[TokenRow]
    languages: list[Count]  # empty without --languages


def tokenize_text(settings: Settings, text: str, languages: bool) -> TokensReport:
    """Split the text into tokens; with `languages`, also count the tokens of the same sentences in each.

    Raises:
        UserError: the text is empty, or the model is not available.
    """
    tokenizer = models.load_tokenizer(settings=settings)
    encode(tokenizer, text)  # refuses an empty text
    tokens = split(tokenizer, text)
    per_token = len(text) / max(1, len(tokens))
    return TokensReport(
        command="step1_foundations tokens",
        headline=f"{count(len(text), 'character')}, {count(len(tokens), 'token')}: "
        f"{per_token:.2f} characters per token",
        model=settings.model,
        vocabulary=len(tokenizer),
        tokens=[TokenRow(token.piece, token.id, token.bytes.hex(" ")) for token in tokens],
        languages=count_languages(tokenizer) if languages else [],
    )


def show(report: TokensReport, console: Console) -> None:
    """The tokens, or the counts by language."""
    if report.languages:
        show_languages(report.languages, console)
        return
    rows = [(token.piece, str(token.id), token.bytes) for token in report.tokens]
    console.print(plain_table("piece", "id", "bytes", rows=rows))
    console.print(f"\n{report.headline} (vocabulary of {report.vocabulary:,} tokens)", soft_wrap=True)


def show_languages(counts: list[Count], console: Console) -> None:
    """One row per language: the length of the same five sentences."""
    rows = []
    for row in counts:
        per_token = f"{row.characters / row.tokens:.2f}"
        rows.append((row.kind, str(row.characters), str(row.bytes), str(row.tokens), per_token))
    columns = ("characters", "bytes", "tokens", "characters per token")
    console.print(plain_table("five sentences", *columns, rows=rows, right=columns))
