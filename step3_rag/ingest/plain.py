"""A passage as people read it: text, without the marks of Markdown.

>>> plain_line("## Renewal\\n\\nIt renews each **March**.")
'It renews each March.'

Chunks keep their marks, since they are what stands in the document. What is shown or quoted has none.
"""

import re

# Also in a quotation or list, or without words: `> ## Note`, `- ### Keys`, `##`.
HEADING = re.compile(r"^(?:[ \t>]|[-*+][ \t])*#+(?:[ \t]+(.+?)[ \t#]*)?$", re.MULTILINE)
RULE = re.compile(r"^[ \t]*(?:[=-]{3,}|```.*|~~~.*)$", re.MULTILINE)  # below a heading; around code
QUOTATION = re.compile(r"^[ \t]*>[ \t>]*", re.MULTILINE)
BULLET = re.compile(r"^([ \t]*)[*+](?=[ \t])", re.MULTILINE)
LINK = re.compile(r"!?\[([^\]\n]+)\]\([^)\s]*\)")
# `*` at the beginning or end of a word, but not in `2 * 3` and `2*3`.
EMPHASIS = re.compile(r"(?<!\w)\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?!\w)")


def plain_line(text: str) -> str:
    """A passage in one line, without its headings, which the place beside it names; or only these."""
    below = without_headings(text)
    if not below.strip():
        below = "\n".join(HEADING.findall(text))
    for marks in (RULE, QUOTATION):
        below = marks.sub("", below)
    below = BULLET.sub(r"\1-", below)
    return " ".join(EMPHASIS.sub("", without_links(below)).split())


def without_headings(text: str) -> str:
    """A text without the lines of its headings."""
    return HEADING.sub("", text)


def without_links(text: str) -> str:
    """A text with the words of its links, but not their addresses.

    >>> without_links("See [the rules](rules.md).")
    'See the rules.'
    """
    return LINK.sub(r"\1", text)
