"""What the model reads: not letters or words, but pieces found by counting pairs.

    >>> [token.piece for token in split(tokenizer, "Tokenization isn't magic.")]
    ['Token', 'ization', '·isn', "'t", '·magic', '.']
    >>> learn_merges("low lower lowest", 2)
    [Merge(left=b'l', right=b'o', count=3), Merge(left=b'lo', right=b'w', count=3)]

Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) starts from single bytes and merges the most
frequent pair of neighbours, thousands of times. Frequent words become one piece, rare ones several.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from transformers import PreTrainedTokenizerFast

from step1_foundations.support.text import piece, token_bytes

DATA = Path(__file__).with_name("data")
T = TypeVar("T")
WORD = re.compile(r" ?\S+|\s")  # a word includes the space before it; merges never cross words


@dataclass(frozen=True)
class Token:
    """One token of a text."""

    piece: str  # as visible text
    id: int
    bytes: bytes


@dataclass(frozen=True)
class Merge:
    """Two pieces that are merged, and how often they were neighbours."""

    left: bytes
    right: bytes
    count: int


@dataclass(frozen=True)
class Count:
    """The length of the texts of one kind."""

    kind: str  # a language, natural or for programs
    characters: int
    bytes: int
    tokens: int


def split(tokenizer: PreTrainedTokenizerFast, text: str) -> list[Token]:
    """The tokens of `text`, without special ones."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return [Token(piece(tokenizer, i), i, token_bytes(tokenizer, i)) for i in ids]


def count_languages(tokenizer: PreTrainedTokenizerFast) -> list[Count]:
    """Count the same five sentences in ten languages, and some code."""
    texts: dict[str, list[str]] = {}  # by kind
    for line in (DATA / "languages.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts.setdefault(row["kind"], []).append(row["text"])
    return [count_texts(tokenizer, kind, texts[kind]) for kind in texts]


def count_texts(tokenizer: PreTrainedTokenizerFast, kind: str, texts: list[str]) -> Count:
    """The length of all texts of a kind."""
    return Count(
        kind,
        characters=sum(len(text) for text in texts),
        bytes=sum(len(text.encode()) for text in texts),
        tokens=sum(len(split(tokenizer, text)) for text in texts),
    )


def learn_merges(text: str, n: int) -> list[Merge]:
    """Train byte-pair encoding on `text`: n times, merge the most frequent pair of neighbours.

    Of equally frequent pairs, the one with the smaller ids wins, as in Hugging Face's tokenizers. Returns
    fewer than n merges if every word has become one piece.
    """
    piece_of = {byte: bytes([byte]) for byte in range(256)}  # id -> its bytes
    times = Counter(WORD.findall(text))
    words = {word: list(word.encode()) for word in times}  # each distinct word as ids, at first 0 to 255
    merges: list[Merge] = []
    while len(merges) < n:
        pairs: Counter[tuple[int, int]] = Counter()
        for word, ids in words.items():
            for pair in pairwise(ids):
                pairs[pair] += times[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        left, right = best
        new_id = 256 + len(merges)
        piece_of[new_id] = piece_of[left] + piece_of[right]
        merges.append(Merge(piece_of[left], piece_of[right], pairs[best]))
        words = {word: join(ids, best, new_id) for word, ids in words.items()}
    return merges


def join(parts: list[T], pair: tuple[T, T], joined: T) -> list[T]:
    """Replace each occurrence of `pair` in `parts` by `joined`, from left to right."""
    result: list[T] = []
    for part in parts:
        if result and (result[-1], part) == pair:
            result[-1] = joined
        else:
            result.append(part)
    return result


def apply_merges(word: str, merges: list[Merge]) -> list[bytes]:
    """Tokenize a word: split it into bytes and apply the merges in the order in which they were learned."""
    pieces = [bytes([byte]) for byte in word.encode()]
    for merge in merges:
        pieces = join(pieces, (merge.left, merge.right), merge.left + merge.right)
    return pieces
