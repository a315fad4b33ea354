"""The table that turns ids into vectors: which tokens lie close to each other, and what that can't tell.

    >>> [near.token for near in neighbours(tokenizer, table, token_ids(tokenizer, "king"), 3)]
    ['·King', 'King', '·kings']

Each token has one row in the table, whatever the sentence: "bank" of a river and "bank" of money are the same
vector. A sentence-embedding model reads the whole text first. Both are measured on the same words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from shared.errors import UserError
from shared.stats import wilson
from step1_foundations.support.text import piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DATA = Path(__file__).with_name("data")
Encode = Callable[[Sequence[str]], torch.Tensor]  # n texts -> (n, d) unit vectors


@dataclass(frozen=True)
class Neighbour:
    """A token close to a word, and the cosine between the two."""

    token: str
    id: int
    cosine: float


@dataclass(frozen=True)
class Share:
    """`hits` of `n`, with a 95 % interval."""

    hits: int
    n: int
    interval_95: tuple[float, float]

    @classmethod
    def of(cls, outcomes: Sequence[bool]) -> Share:
        """How many of the outcomes are true."""
        return cls(sum(outcomes), len(outcomes), wilson(sum(outcomes), len(outcomes)))


def token_ids(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    """The token ids of a word inside a sentence (after a space), or the one id written as `#123`.

    Raises:
        UserError: an id outside the vocabulary, or an empty word.
    """
    if word.startswith("#") and len(word) > 1:
        last = len(tokenizer) - 1
        if not word[1:].isdecimal() or int(word[1:]) > last:
            raise UserError(f"token {word} does not exist: ids go from #0 to #{last}")
        return [int(word[1:])]
    if not word.strip():
        raise UserError("the word is empty: give a word or a token id such as #42")
    ids: list[int] = tokenizer(f" {word.strip()}", add_special_tokens=False).input_ids
    return ids


def vector(table: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Unit vector (d,) of a word: its token's row, or the mean of its tokens' rows."""
    return F.normalize(table[ids].mean(dim=0), dim=0)


def table_encoder(tokenizer: PreTrainedTokenizerFast, table: torch.Tensor) -> Encode:
    """An encoder that knows nothing but the table (V, d): a text is the mean of its tokens' rows."""
    return lambda texts: torch.stack([vector(table, token_ids(tokenizer, text)) for text in texts])


def neighbours(
    tokenizer: PreTrainedTokenizerFast, table: torch.Tensor, ids: list[int], k: int
) -> list[Neighbour]:
    """The k tokens whose rows in the table (V, d) have the largest cosine to the word."""
    rows = table[: len(tokenizer)]  # some models pad their table with rows that are no token
    cosine = F.normalize(rows, dim=1) @ vector(table, ids)  # (V,)
    cosine[ids] = -1
    best = cosine.topk(k)
    return [
        Neighbour(piece(tokenizer, i), i, c)
        for c, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def word_groups() -> dict[str, list[str]]:
    """Groups of words of one kind (animals, countries, ...): words of a group should be close."""
    groups: dict[str, list[str]] = json.loads((DATA / "word_groups.json").read_text(encoding="utf-8"))
    return groups


def same_kind(vectors: torch.Tensor, kinds: list[str]) -> Share:
    """Of n unit vectors (n, d): how often the nearest other one is of the same kind."""
    cosine = (vectors @ vectors.T).fill_diagonal_(-1)  # (n, n)
    nearest = cosine.argmax(dim=1).tolist()
    return Share.of([kinds[near] == kind for near, kind in zip(nearest, kinds, strict=True)])


def same_meaning(encode: Encode) -> Share:
    """How often a sentence is closer to one of the same meaning than to one with the same word."""
    outcomes = []
    for line in (DATA / "word_senses.jsonl").read_text(encoding="utf-8").splitlines():
        sentence = json.loads(line)
        texts = [sentence["text"], sentence["same_meaning"], sentence["same_word"]]
        vectors = F.normalize(encode(texts), dim=1)  # (3, d)
        outcomes.append(bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2]))
    return Share.of(outcomes)


def project_to_plane(vectors: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The plane on which (n, d) vectors differ most (PCA): coordinates (n, 2), share of the variance."""
    centered = vectors - vectors.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centered, full_matrices=False)
    variance = sizes**2
    return left[:, :2] * sizes[:2], float(variance[:2].sum() / variance.sum())
