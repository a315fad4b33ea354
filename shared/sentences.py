"""Where the sentences of a document begin and end: also headings, list items and rows of tables."""

import re

Span = tuple[int, int]  # where a piece of text begins and ends, in characters

# A sentence ends at . ! ? (with closing quotes and brackets) if a capital, digit, quote or bracket follows,
# in any alphabet; always at 。！？ and at an empty line; at a line break if a heading, list item or table row
# follows.
BORDER = re.compile(
    r"(?<=[.!?])([\"'”’»)\]]*)\s+(?=[\"'“‘«„¿¡(\[]?[^\W_a-zß-öø-ÿα-ωά-ώа-џ])|(?<=[。！？])([”’」』）]*)\s*(?=\S)"
    r"|\n\s*\n\s*|\n(?=\s*(?:#|[-*+|] ?|\d+[.)] ))"
)
ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|Nos|vs|cf|Fig|Inc|Ltd|Co|approx|e\.g|i\.e)|\b[A-Z])\.$"
)


def sentences(text: str) -> list[Span]:
    """The spans of sentences, headings, list items and table rows, without the white space between them.

    Not the `sentences` of step 4's tone/text.py, which cuts replies: in documents, headings and rows of
    tables are units, too. Step 3's chunks end at these places, and its reader is trained to choose among
    them: another rule would change every stored index, and need a new training.

    >>> text = "# Renewal\nIt renews every year. Notice is 60 days."
    >>> [text[start:end] for start, end in sentences(text)]
    ['# Renewal\nIt renews every year.', 'Notice is 60 days.']
    """
    spans: list[Span] = []
    start = 0
    for border in BORDER.finditer(text):
        before = text[max(start, border.start() - 12) : border.start()]
        if "\n" not in border[0] and ABBREVIATION.search(before):
            continue
        closing = border.end(border.lastindex) if border.lastindex else border.start()
        spans.append((start, closing))
        start = border.end()
    spans.append((start, len(text)))
    return [(a, b) for a, b in spans if text[a:b].strip()]
