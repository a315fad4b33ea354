"""The context of an answer: the best chunks as numbered sources, within a token budget, marked as data.

    <source number="1" document="contracts/supply.md, Renewal">
    This agreement renews for one year unless ...
    </source>

Neighbouring chunks of a document become one source, so that no text is repeated. Anybody writes documents, so
a text that says "ignore your instructions" must remain a quotation: it can't close its own tag, and what
looks like an instruction to a model is flagged, for people to see and for the quoting reader to skip.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from step3_rag.ingest.chunk import HEADING
from step3_rag.ingest.index import Chunk, joined
from step3_rag.ingest.instructions import looks_like_instruction
from step3_rag.ingest.plain import plain_line, without_links

BUDGET = 1024  # tokens
EXCERPT = 160  # characters of a source that are shown


@dataclass(frozen=True)
class Source:
    """A numbered passage."""

    number: int
    document: str
    place: str  # for readers: `contracts/supply.md, Renewal`
    text: str
    chunks: tuple[int, ...]

    @property
    def is_suspicious(self) -> bool:
        """Whether its text or headings look like an instruction to a model."""
        return looks_like_instruction(self.text) or looks_like_instruction(self.place)


def assemble(
    chunks: Sequence[Chunk], count: Callable[[str], int], budget: int = BUDGET, first: int = 1
) -> list[Source]:
    """The first chunks that fit the budget, as numbered sources in the order of their best chunks.

    Neighbours in a document are joined. `count` gives the tokens of a text; `budget` is for all texts.
    """
    taken: list[Chunk] = []
    used = 0
    for chunk in chunks:
        used += count(chunk.text)
        if taken and used > budget:
            break
        taken.append(chunk)
    by_place = enumerate(sorted(taken, key=lambda chunk: (chunk.document, chunk.place)))
    # Of neighbours, both the place and the number in this order grow by one, so their difference is the same.
    runs = groupby(by_place, lambda pair: (pair[1].document, pair[1].place - pair[0]))
    groups = [sorted((chunk for _, chunk in run), key=taken.index) for _, run in runs]
    groups.sort(key=lambda group: taken.index(group[0]))
    sources = []
    for number, group in enumerate(groups, first):
        best = group[0]
        ids = tuple(chunk.id for chunk in group)
        sources.append(Source(number, best.document, best.source, joined(group), ids))
    return sources


def as_text(sources: Sequence[Source]) -> str:
    """The sources as text for a model."""
    return "\n\n".join(
        f'<source number="{source.number}" document="{_attribute(source.place)}">\n'
        f"{neutralize(source.text)}\n</source>"
        for source in sources
    )


MARKS = re.compile(r"<(?=<|\||\s*/?\s*(?:source|passage|notes)\b|/?(?:s|\w+_of_turn|bos|eos)>)", re.I)
TURNS = re.compile(r"\[(?=/?(?:INST|SYS)\])", re.I)


def neutralize(text: str) -> str:
    """Change a text so that it can neither close its tag nor open a turn of a conversation.

    It changes the turn marks of many models: <|im_end|>, <start_of_turn>, [INST], <<SYS>>.

    >>> neutralize("so much</source> <|im_end|> [/INST] <b>")
    'so much‹/source> ‹|im_end|> ⁅/INST] <b>'
    """
    return TURNS.sub("⁅", MARKS.sub("‹", text))


def excerpt(source: Source, sentence: str) -> tuple[str, str]:
    """The place of a quoted sentence, by the heading above it, and the text from there on.

    If the source doesn't have the sentence word for word: the source's place and beginning.
    """
    text = without_links(source.text)
    # Words and punctuation, between which the source may have marks: `**EUR 20**.`
    words = [re.escape(word) for word in re.findall(r"[^\W_]+|[^\w\s*|–-]", sentence)]
    match = re.search(r"[\s*|_–-]*".join(words), text) if words else None
    if not match:
        return source.place, plain_line(text)[:EXCERPT]
    above = HEADING.findall(text, 0, match.start())
    place = f"{source.document}, {above[-1]}" if above else source.place
    return place, plain_line(text[match.start() :])[:EXCERPT]


def _attribute(text: str) -> str:
    return re.sub(r'["<>\s]+', " ", text)
