"""A web page to what a reader came for: no scripts, menus or footers; headings as #, rows as name: value.

    >>> text_of(BeautifulSoup("<nav>Home</nav><h2>Fees</h2><p>The <b>fee</b>s rise.</p>", "html.parser"))
    '## Fees\n\nThe fees rise.'

Beautiful Soup parses; the text is written in one pass over the tree, however deep that is. A table that only
arranges the page (one row, one column, or tables within it) is read as paragraphs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from step3_rag.ingest.load_tables import table_lines
from step3_rag.ingest.piece import Piece, UnreadableError, encoding_of, opened, refuse_giant

LARGEST = 10_000_000  # bytes; as a tree, a page takes up to a hundred times as much
# Tags that end a line, and what a reader doesn't come for.
BREAKS = frozenset(
    re.findall(
        r"\w+",
        """
        address article blockquote body br caption center dd details div dl dt fieldset figcaption figure
        form h1 h2 h3 h4 h5 h6 header hr li main ol option p pre section summary table tbody td tfoot th thead
        tr ul
        """,
    )
)
BOILERPLATE = frozenset(
    re.findall(
        r"\w+",
        "title script style noscript template nav footer aside svg iframe object button select textarea",
    )
)


def page(path: Path) -> Iterator[Piece]:
    """The text of an HTML file, under its title where it doesn't begin with a heading of its own.

    Raises:
        UnreadableError: too large, binary, or markup that makes the parser give up.
    """
    from bs4 import BeautifulSoup
    from bs4.dammit import EncodingDetector

    refuse_giant(path.stat().st_size, LARGEST)
    encoding = encoding_of(path)
    if not encoding.startswith("utf"):  # then the page knows better than a guess
        declared = EncodingDetector.find_declared_encoding(path.read_bytes(), is_html=True)
        encoding = _known(declared) or encoding
    with opened(path, encoding) as file:
        source = file.read()
    try:
        tree = BeautifulSoup(source, "html.parser")
        text, title = text_of(tree), _flat(tree.title) if tree.title else ""
    except Exception as error:  # the parser's own, and Python's
        raise UnreadableError(f"damaged HTML ({type(error).__name__})") from None
    yield Piece(text if not text or not title or re.match("# ", text) else f"# {title}\n\n{text}")


def _known(encoding: str | None) -> str | None:
    try:
        name = codecs.lookup(encoding or "").name
    except LookupError:
        return None
    return "cp1252" if name in ("iso8859-1", "ascii") else name  # as browsers take it


def text_of(tree: Any) -> str:
    """The text of a parsed page, as Markdown."""
    written: list[str] = []
    todo = [tree]  # what is still to be written, the next last; plain strings as they are
    while todo:
        node = todo.pop()
        name = getattr(node, "name", None)
        if type(node) is str:
            written.append(node)
        elif name is None:
            written.append(re.sub(r"\s+", " ", _said(node)))
        elif name in BOILERPLATE or (name == "header" and _is_banner(node)):
            continue
        elif re.fullmatch("h[1-6]", name):
            written.append(f"\n\n{'#' * int(name[1])} {_flat(node)}\n\n" if _flat(node) else "")
        elif name == "pre":
            written.append(f"\n\n```\n{node.get_text().strip()}\n```\n\n")
        elif name == "table" and (rows := _rows(node)):
            written.append("\n\n" + "\n".join(rows) + "\n\n")
        else:
            edge = "\n\n" if name == "p" else "\v" if name in BREAKS else ""
            todo.append(edge)
            todo.extend(reversed(node.contents))
            todo.append(edge + "- " if name == "li" else edge)
    text = re.sub(r"[ \v]*\v[ \v]*", "\n", "".join(written))  # \v: a new line, if there isn't one already
    text = re.sub(r" *\n(?: (?=\S))?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _is_banner(header: Any) -> bool:
    """A site's header, not that of an article or a page with its title."""
    return header.find("h1") is None and header.find_parent(["article", "main"]) is None


def _rows(table: Any) -> list[str]:
    """A table's caption and rows; none for one that only arranges the page.

    Read as a stream, since an end tag of a cell or a row may be left out.
    """
    if any(node.name == "table" for node in table.descendants):
        return []
    caption: list[str] = []
    rows: list[list[list[str]]] = []
    heads: list[list[str]] = []  # th or td, of each cell
    for node in table.descendants:
        name = node.name
        if name == "tr":
            rows.append([])
            heads.append([])
        elif name in ("td", "th") and rows:
            rows[-1].append([])
            heads[-1].append(name)
        else:
            (rows[-1][-1] if rows and rows[-1] else caption).append(_space_before(node) + _said(node))
    cells = [["".join(cell) for cell in row] for row in rows]
    if len(cells) < 2 or max(map(len, cells)) < 2:
        return []
    if "td" in heads[0] and all(row[:1] == ["th"] and len(row) == 2 for row in heads):
        lines = [line for name, value in cells for line in table_lines([[name], [value]])]  # side by side
    else:
        lines = table_lines(cells)
    return [*(line for line in [" ".join("".join(caption).split())] if line), *lines]


def _flat(tag: Any) -> str:
    """The text of a tag on one line: parts of a word stay together, paragraphs don't."""
    return " ".join("".join(_space_before(node) + _said(node) for node in tag.descendants).split())


def _space_before(node: Any) -> str:
    """A space where a block begins, or where one has just ended."""
    before = node.previous_sibling
    return " " if node.name in BREAKS or (before is not None and before.name in BREAKS) else ""


def _said(node: Any) -> str:
    """The text of a node that is text for people: not a comment, not a script."""
    from bs4 import CData, NavigableString

    return str(node) if type(node) in (NavigableString, CData) else ""
