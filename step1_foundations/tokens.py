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

    piece: str
    id: int
    bytes: bytes


@dataclass(frozen=True)
class Merge:
    """Two pieces that are merged, and how often they were neighbours."""

    left: bytes
    right: bytes
    count: int


@dataclass
class Count:
    """The length of the texts of one kind in characters, bytes and tokens."""

    kind: str
    characters: int = 0
    bytes: int = 0
    tokens: int = 0


def split(tokenizer: PreTrainedTokenizerFast, text: str) -> list[Token]:
    """The tokens of `text`, without special ones."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return [Token(piece(tokenizer, i), i, token_bytes(tokenizer, i)) for i in ids]


def count_languages(tokenizer: PreTrainedTokenizerFast) -> list[Count]:
    """Count the same five sentences in ten languages, and some code."""
    counts: dict[str, Count] = {}
    for line in (DATA / "languages.jsonl").read_text(encoding="utf-8").splitlines():
        kind, text = (json.loads(line)[key] for key in ("kind", "text"))
        count = counts.setdefault(kind, Count(kind))
        count.characters += len(text)
        count.bytes += len(text.encode())
        count.tokens += len(split(tokenizer, text))
    return list(counts.values())


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
        left, right = best = min(pairs, key=lambda pair: (-pairs[pair], pair))
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
