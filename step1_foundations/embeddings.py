"""The embedding table, which turns ids into vectors: which tokens are similar, and what the table can't tell.

    >>> neighbours(table, token_ids(tokenizer, "king"), 2)      # ·King and King
    [(3261, 0.82), (19787, 0.72)]

Each token has one row in the table, whatever its sentence: the "bank" of a river and the "bank" that keeps
money have the same vector. A sentence-embedding model reads the whole text. Both take the same tests.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast

from shared.errors import UserError
from shared.stats import Share, share

DATA = Path(__file__).with_name("data")
Encode = Callable[[list[str]], torch.Tensor]  # n texts -> (n, d) vectors


@dataclass(frozen=True)
class SpaceResult:
    """The vectors of one encoder and how well they show meaning."""

    vectors: torch.Tensor  # (n, d) of unit length: the words of all groups
    same_kind: Share  # how often the nearest other word is of the same kind
    same_meaning: Share  # how often a sentence is closer to its paraphrase than to one with the same word


def evaluate_space(encode: Encode) -> SpaceResult:
    """Test an encoder on the words in word_groups.json and the sentences in word_senses.jsonl."""
    words: list[str] = []
    kinds: list[str] = []  # of each word
    for kind, group in word_groups().items():
        words += group
        kinds += [kind] * len(group)
    vectors = F.normalize(encode(words), dim=1)  # (n, d)
    outcomes = []  # whether the paraphrase is closer
    for line in (DATA / "word_senses.jsonl").read_text(encoding="utf-8").splitlines():
        sentence = json.loads(line)
        texts = [sentence["text"], sentence["same_meaning"], sentence["same_word"]]
        text, same_meaning, same_word = F.normalize(encode(texts), dim=1)  # (d,) each
        outcomes.append(bool(text @ same_meaning > text @ same_word))
    return SpaceResult(vectors, same_kind(vectors, kinds), share(sum(outcomes), len(outcomes)))


def word_groups() -> dict[str, list[str]]:
    """Groups of words of one kind (animals, countries, ...); words in a group should be similar."""
    return json.loads((DATA / "word_groups.json").read_text(encoding="utf-8"))


def nearest_of_each(vectors: torch.Tensor) -> list[int]:
    """For each of n unit vectors (n, d), which other one has the largest cosine."""
    cosine = (vectors @ vectors.T).fill_diagonal_(-1)  # (n, n)
    return cosine.argmax(dim=1).tolist()


def same_kind(vectors: torch.Tensor, kinds: list[str]) -> Share:
    """For n unit vectors (n, d): how often the nearest other vector is of the same kind."""
    hits = 0
    for kind, i in zip(kinds, nearest_of_each(vectors), strict=True):
        if kinds[i] == kind:
            hits += 1
    return share(hits, len(kinds))


def token_ids(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    """The token ids of a word as inside a sentence, after a space.

    Raises:
        UserError: the word is empty.
    """
    if not word.strip():
        raise UserError("the word is empty: give a word")
    return tokenizer(f" {word.strip()}", add_special_tokens=False).input_ids


def vector(table: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """The unit vector (d,) of a word: its token's row, or the mean of its tokens' rows."""
    return F.normalize(table[ids].mean(dim=0), dim=0)


def table_encoder(tokenizer: PreTrainedTokenizerFast, table: torch.Tensor) -> Encode:
    """An encoder that only uses the table (V, d): a text's vector is the mean of its tokens' rows."""
    return lambda texts: torch.stack([vector(table, token_ids(tokenizer, text)) for text in texts])


def neighbours(table: torch.Tensor, ids: list[int], k: int) -> list[tuple[int, float]]:
    """(id, cosine) of the k tokens in the table (V, d) that are most similar to the word."""
    cosine = F.normalize(table, dim=1) @ vector(table, ids)  # (V,)
    cosine[ids] = -1  # the word is no neighbour of its own
    best = cosine.topk(min(k, len(table)))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def project_to_plane(vectors: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Project (n, d) vectors to their plane of largest variance (PCA).

    Returns:
        Coordinates (n, 2), and the plane's share of the variance.
    """
    centered = vectors - vectors.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centered, full_matrices=False)  # (n, r), (r,): largest first
    variance = sizes**2  # (r,) along each direction, up to a factor
    return left[:, :2] * sizes[:2], float(variance[:2].sum() / variance.sum())
