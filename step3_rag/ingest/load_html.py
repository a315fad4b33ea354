"""A web page to what a reader came for: no scripts, menus or footers; headings as #, rows as name: value.

    >>> text_of(lxml.html.document_fromstring("<nav>Home</nav><h2>Fees</h2><p>The <b>fee</b>s rise.</p>"))
    '## Fees\n\nThe fees rise.'

lxml parses; the text is written in one pass over the tree, however deep that is. A table that only arranges
the page (one row, one column, or tables within it) is read as paragraphs.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from pathlib import Path

import lxml.html
from lxml.etree import ParserError, XMLSyntaxError, iterwalk
from lxml.html import HtmlElement, HTMLParser, defs

from step3_rag.ingest.load_tables import table_lines
from step3_rag.ingest.piece import encoding_of, opened, refuse_giant

LARGEST = 10_000_000  # bytes: the whole tree is in memory
BLOCKS = (defs.block_tags - {"del", "ins"}) | {
    "article", "body", "br", "details", "figcaption", "figure", "head", "header", "main", "section",
    "summary",
}  # fmt: skip
BOILERPLATE = {
    "title", "script", "style", "noscript", "template", "nav", "footer", "aside", "svg", "iframe", "object",
    "button", "select", "textarea",
}  # fmt: skip


def page(path: Path) -> str:
    """The text of an HTML file, under its title where it doesn't begin with a heading of its own.

    Raises:
        UnreadableError: too large or binary.
    """
    refuse_giant(path.stat().st_size, LARGEST)
    encoding = encoding_of(path)
    if not encoding.startswith("utf"):  # then the page knows better than a guess
        declared = re.search(rb"""charset\s*=\s*["']?([\w.:-]+)""", path.read_bytes())
        with contextlib.suppress(LookupError):
            encoding = codecs.lookup(declared[1].decode() if declared else encoding).name
        encoding = "cp1252" if encoding in ("iso8859-1", "ascii") else encoding  # as browsers take it
    with opened(path, encoding) as file:
        source = file.read()
    try:
        parser = HTMLParser(encoding="utf-8", huge_tree=True)
        tree = lxml.html.document_fromstring(source.encode("utf-8", "replace"), parser=parser)
    except (ParserError, XMLSyntaxError):
        return ""  # nothing in it
    text, title = text_of(tree), _flat(tree.find(".//title"))
    return text if not text or not title or text.startswith("# ") else f"# {title}\n\n{text}"


def text_of(tree: HtmlElement) -> str:
    """The text of a parsed page, as Markdown."""
    written: list[str] = []
    walker = iterwalk(tree, events=("start", "end", "comment", "pi"))
    for event, node in walker:
        tag = node.tag if isinstance(node.tag, str) else ""
        edge = "\n\n" if tag == "p" else "\v" if tag in BLOCKS else ""  # \v: a new line, if there isn't one
        if event == "start":
            own = None if tag not in BOILERPLATE and not _is_banner(node) else ""
            if re.fullmatch("h[1-6]", tag):
                own = f"\n\n{'#' * int(tag[1])} {_flat(node)}\n\n" if _flat(node) else ""
            elif tag == "pre":
                own = f"\n\n```\n{node.text_content().strip()}\n```\n\n"
            elif tag == "table" and (rows := _rows(node)):
                own = "\n\n" + "\n".join(rows) + "\n\n"
            if own is None:
                own = edge + ("- " if tag == "li" else "") + _spaced(node.text)
            else:
                walker.skip_subtree()
            written.append(own)
        else:
            written.append(edge + _spaced(node.tail))
    text = re.sub(r"[ \v]*\v[ \v]*", "\n", "".join(written))
    text = re.sub(r" *\n(?: (?=\S))?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _is_banner(node: HtmlElement) -> bool:
    """A site's header, not that of an article or a page with its title."""
    return (
        node.tag == "header"
        and node.find(".//h1") is None
        and next(node.iterancestors("article", "main"), None) is None
    )


def _rows(table: HtmlElement) -> list[str]:
    """A table's caption and rows; none for one that only arranges the page."""
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    if len(rows) < 2 or max(map(len, rows)) < 2 or table.find(".//table") is not None:
        return []
    cells = [[_flat(cell) for cell in row] for row in rows]
    if all([cell.tag for cell in row] == ["th", "td"] for row in rows):
        lines = [line for name, value in cells for line in table_lines([[name], [value]])]  # side by side
    else:
        lines = table_lines(cells)
    return [*filter(None, [_flat(table.find("caption"))]), *lines]


def _flat(node: HtmlElement | None) -> str:
    """The text of a tag on one line: parts of a word stay together, blocks don't."""
    if node is None:
        return ""
    parts = []
    walker = iterwalk(node, events=("start", "end", "comment", "pi"))
    for event, each in walker:
        parts.append(" " if each.tag in BLOCKS else "")
        if event == "start" and each.tag in BOILERPLATE and each is not node:
            walker.skip_subtree()
        elif each is not node or event == "start":
            parts.append((each.text if event == "start" else each.tail) or "")
    return " ".join("".join(parts).split())
