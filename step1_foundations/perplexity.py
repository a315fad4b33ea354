"""How well the model predicts whole files of text, in a unit that does not depend on the tokenizer.

    $ python -m step1_foundations perplexity texts.jsonl

Perplexity counts per token, so texts that are cut into more tokens seem easier. Bits per character do not.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shared.errors import UserError, reason
from shared.stats import bootstrap
from step1_foundations.next_token import LONGEST, expect
from step1_foundations.support.text import context_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Interval = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """One text: its total surprisal, and over how many tokens and characters."""

    bits: float
    tokens: int
    characters: int


@dataclass(frozen=True)
class Kind:
    """All texts of one kind. The 95 % intervals resample texts: tokens of one text depend on each other."""

    name: str
    texts: int
    tokens: int
    perplexity: float
    perplexity_95: Interval | None  # None for a single text
    bits_per_character: float
    bits_per_character_95: Interval | None


def measure(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str) -> Measured | None:
    """The text's surprisal, without its first token; None for a text of less than two tokens.

    A text that is longer than the context is cut.
    """
    longest = min(context_of(model), LONGEST)
    ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest).input_ids  # (1, T)
    if ids.shape[1] < 2:
        return None
    surprisal = expect(model, ids.to(model.device)).surprisal
    return Measured(float(surprisal.sum()), len(surprisal), count_characters(tokenizer, ids))


def count_characters(tokenizer: PreTrainedTokenizerFast, ids: torch.Tensor) -> int:
    """Characters of the tokens that have a surprisal: all but the first of ids (1, T)."""
    return max(1, len(tokenizer.decode(ids[0, 1:])))


def by_kind(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, rows: Iterable[dict[str, Any]]
) -> tuple[list[Kind], int]:
    """Measure rows with a `text` and perhaps a `kind`: the kinds, most predictable first, and texts skipped.

    Raises:
        UserError: no text has two tokens.
    """
    kinds: dict[str, list[Measured]] = defaultdict(list)
    skipped = 0
    for row in rows:
        measured = measure(model, tokenizer, str(row["text"] or ""))
        if measured:
            kinds[str(row.get("kind") or "text")].append(measured)
        else:
            skipped += 1
    if not kinds:
        raise UserError("no text of two tokens or more to measure")
    found = [summarize(name, texts) for name, texts in kinds.items()]
    return sorted(found, key=lambda kind: kind.bits_per_character), skipped


def summarize(name: str, texts: list[Measured]) -> Kind:
    """Means over all tokens and over all characters of the texts of one kind."""
    bits = sum(text.bits for text in texts)
    tokens, characters = sum(text.tokens for text in texts), sum(text.characters for text in texts)
    per_token = bootstrap([text.bits / text.tokens for text in texts], [text.tokens for text in texts])
    per_character = bootstrap(
        [text.bits / text.characters for text in texts], [text.characters for text in texts]
    )
    return Kind(
        name,
        len(texts),
        tokens,
        2 ** (bits / tokens),
        (2 ** per_token[0], 2 ** per_token[1]) if per_token else None,
        bits / characters,
        per_character,
    )


def read_texts(path: Path) -> list[dict[str, Any]]:
    """The texts of a file, one on each line: as JSON with a `text` and perhaps a `kind` (.jsonl), or plain.

    Raises:
        UserError: the file can't be read, or a line is not such an object.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.suffix != ".jsonl":
            return [{"text": line} for line in lines]
        rows = [json.loads(line) for line in lines if line.strip()]
        return [{"text": row["text"], "kind": row.get("kind")} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read: {reason(error)}; it takes lines of text, or of JSON with a text (.jsonl)"
        ) from None
