"""Cut a text into chunks that the embedder can read whole, on borders where a reader would cut too.

    >>> text = "# Renewal\\nThe contract renews every year. Notice is 60 days."
    >>> [text[start:end] for start, end in chunk(text, word_spans, size=7, overlap=2)]
    ['# Renewal\\nThe contract renews every year.', 'Notice is 60 days.']

Sizes are tokens of the embedding model, since that is what its window holds: MiniLM silently drops what
comes after its 256th. A chunk is a run of whole sentences; one that is longer than a chunk is cut between
tokens. A heading begins a new chunk once the last one is half full. The overlap repeats the last sentences
of the chunk before, as many as fit into it, so that a fact whose two halves stand on both sides of a
border is whole in one of them.

Too large a chunk dilutes: its one vector is the mean of many things. Too small a one loses its context
("it", "the agreement"). `python -m step3_rag sweep` measures both.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence

Span = tuple[int, int]  # where a piece of text begins and ends, in characters

# A sentence ends at . ! ? with a capital, digit, quote or bracket after it; a line ends one where the next
# begins a heading, an item or a table row; an empty line always does.
BORDER = re.compile(
    r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\n\s*\n\s*|\n(?=\s*(?:#|[-*+|] ?|\d+[.)] ))"
)
ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|Nos|vs|cf|Fig|Inc|Ltd|Co|approx|e\.g|i\.e)|\b[A-Z])\.$"
)
HEADING = re.compile(r"#{1,6} ")


def chunk(
    text: str, tokens_of: Callable[[str], Sequence[Span]], size: int = 128, overlap: int = 32
) -> list[Span]:
    """The chunks of a text, in order, as spans of characters.

    Args:
        tokens_of: gives the span of each token of the text, e.g. from a tokenizer's offset mapping.
        size: the most tokens of a chunk.
        overlap: the most tokens that a chunk repeats of the one before; less than `size`.

    Raises:
        ValueError: sizes that make no chunks.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"chunks of {size} tokens cannot overlap by {overlap}")
    tokens = tokens_of(text)
    starts = [start for start, _ in tokens]
    # Sentences as runs of tokens (first, end); a long one in pieces of `size`.
    units: list[Span] = []
    for start, end in sentences(text):
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        units += [(i, min(i + size, last)) for i in range(first, last, size)]
    chunks: list[Span] = []
    begin = 0  # of the chunk that grows, in units
    for i, (first, end) in enumerate(units):
        is_half_full = first - units[begin][0] >= size // 2
        starts_section = is_half_full and HEADING.match(text, tokens[first][0]) is not None
        if i > begin and (starts_section or end - units[begin][0] > size):
            chunks.append((units[begin][0], units[i - 1][1]))
            room = min(overlap, size - (end - first))
            while begin < i and (starts_section or first - units[begin][0] > room):
                begin += 1
    if units:
        chunks.append((units[begin][0], units[-1][1]))
    return [(tokens[first][0], tokens[end - 1][1]) for first, end in chunks]


def sentences(text: str) -> list[Span]:
    """Sentences, headings, list items and table rows, without the white space around them."""
    spans, start = [], 0
    for border in BORDER.finditer(text):
        if "\n" not in border[0] and ABBREVIATION.search(
            text[max(start, border.start() - 12) : border.start()]
        ):
            continue
        spans.append((start, border.start()))
        start = border.end()
    spans.append((start, len(text)))
    return [(a, b) for a, b in spans if text[a:b].strip()]


def headings(text: str) -> list[tuple[int, str]]:
    """Where each heading of a Markdown text begins, and its path: `Renewal > Notice`."""
    found, path = [], dict[int, str]()
    for line in re.finditer(r"^(#{1,6}) +(.+?)[ #]*$", text, re.MULTILINE):
        level = len(line[1])
        path = {depth: name for depth, name in path.items() if depth < level} | {level: line[2]}
        found.append((line.start(), " > ".join(path.values())))
    return found


def word_spans(text: str) -> list[Span]:
    """Words as tokens, for examples and tests."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]
