"""Cut a text into chunks that fit into the embedder's window, between sentences.

    >>> text = "# Renewal\\nThe contract renews every year. Notice is 60 days."
    >>> [text[start:end] for start, end in chunk(text, word_spans, size=8, overlap=2)]  # a word is a token
    ['# Renewal\\nThe contract renews every year.', 'Notice is 60 days.']

Sizes are in tokens of the embedding model, since its window is: MiniLM silently ignores everything after its
256th token. A chunk is a run of whole sentences; a sentence that is longer than a chunk is cut between words.
A heading begins a new chunk if the current one is half full. The overlap repeats the last sentences of the
previous chunk, as many as fit, so that a fact that spans a border is whole in one chunk.

A chunk that is too large dilutes: its one vector is the mean of many things. One that is too small loses its
context ("it", "the agreement"). `python -m step3_rag sweep` measures both.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from shared.sentences import Span, sentences

# The outline of a Markdown text: headings, and the lines that open or close a code block.
OUTLINE = re.compile(r"^(?: {0,3}(`{3,}(?=[^`\n]*$)|~{3,})|(#{1,6}) +(\S.*))", re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#+[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
LONGEST_NAME = 200  # characters of a heading that are kept
# To MiniLM, 100 letters without a space are one unknown token.
WIDEST = 32  # characters that count as one token


class Unit(NamedTuple):
    """A sentence, or a part of a sentence that is longer than a chunk: a run of tokens."""

    first: int  # index of its first token
    end: int  # index of the token after its last
    is_section: bool  # it begins with a heading


def chunk(
    text: str, tokens_of: Callable[[str], Sequence[Span]], size: int = 128, overlap: int = 32
) -> list[Span]:
    """The chunks of a text, in order, as spans of characters: a list of tuples.

    A chunk is a run of `_units`, from the start of its first token to the end of its last. It takes as many
    units as fit into `size` tokens, unless a section begins: a unit that `is_section` begins a new chunk,
    which repeats nothing, if the one that grows has `size // 2` tokens or more by then.

    Otherwise the next chunk begins with the last units of the one before: as many as have together at most
    `overlap` tokens and leave room for the unit that comes next. No unit is lost; no units, no chunks.

    Args:
        tokens_of: gives the span of each token of the text, e.g. from a tokenizer's offset mapping.
        size: the most tokens of a chunk.
        overlap: the most tokens that a chunk repeats of the one before; less than `size`.

    Raises:
        ValueError: sizes that make no chunks.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"chunks of {size} tokens cannot overlap by {overlap}")
    tokens = list(_narrow(tokens_of(text)))
    units = _units(text, tokens, size, overlap)
    ### BEGIN SOLUTION 3.5: A chunker
    chunks: list[Span] = []
    begin = 0  # of the chunk that grows, in units
    for i, (first, end, is_section) in enumerate(units):
        starts_section = is_section and first - units[begin].first >= size // 2
        if i > begin and (starts_section or end - units[begin].first > size):
            chunks.append((units[begin].first, units[i - 1].end))
            room = min(overlap, size - (end - first))
            while begin < i and (starts_section or first - units[begin].first > room):
                begin += 1
    if units:
        chunks.append((units[begin].first, units[-1].end))
    return [(tokens[first][0], tokens[end - 1][1]) for first, end in chunks]
    ### END SOLUTION


def _units(text: str, tokens: Sequence[Span], size: int, overlap: int) -> list[Unit]:
    """A text in units of at most `size` tokens, in order. Every token is in exactly one.

    A longer sentence is cut into several units, short enough for the overlap to repeat.
    """
    ends = [end for _, end in tokens]
    sections = {place for place, _ in headings(text)}
    part = min(overlap, size - overlap) or size
    places = [place for place, _ in sentences(text)]
    cuts = [0, *(bisect_right(ends, place) for place in places[1:]), len(tokens)]
    units: list[Unit] = []
    for place, (first, end) in zip(places, pairwise(cuts), strict=False):
        for begin, stop in _parts(tokens, first, end, part if end - first > size else size):
            units.append(Unit(begin, stop, begin == first and place in sections))
    return units


def _narrow(tokens: Iterable[Span]) -> Iterator[Span]:
    for start, end in tokens:
        for part in range(start, end, WIDEST):
            yield part, min(part + WIDEST, end)


def _parts(tokens: Sequence[Span], first: int, end: int, size: int) -> Iterator[Span]:
    """A run of tokens in parts of at most `size`, cut between words if possible."""
    while end - first > size:
        places = range(first + size, first + size // 2, -1)
        cut = next((i for i in places if tokens[i][0] > tokens[i - 1][1]), first + size)
        yield first, cut
        first = cut
    if end > first:
        yield first, end


def headings(text: str) -> list[tuple[int, str]]:
    """Where each heading of a Markdown text begins, and its path: `Renewal > Notice`.

    A # in a code block is a comment, not a heading.
    """
    paths: list[tuple[int, str]] = []
    path: dict[int, str] = {}  # by the level of the heading
    fence = ""
    for line in OUTLINE.finditer(text):
        if line[1]:
            fence = fence_after(line[0], fence)
        elif not fence:
            level = len(line[2])
            path = {depth: name for depth, name in path.items() if depth < level}
            path[level] = heading_name(line[3])
            paths.append((line.start(), " > ".join(path.values())))
    return paths


def fence_after(line: str, fence: str) -> str:
    """The fence of the code block that is open after a line, or ""; `fence` is the one open before it."""
    match = OUTLINE.match(line)
    marks = match[1] if match else None
    if not marks:
        return fence
    if not fence:
        return marks  # a block opens
    return "" if marks.startswith(fence) else fence


def heading_name(text: str) -> str:
    """A heading's text without closing #s, as in `Notice ##`, but not in `C#`."""
    text = text.strip()
    bare = text.rstrip("#")
    return (bare if bare.endswith((" ", "\t")) else text)[:LONGEST_NAME].strip()
