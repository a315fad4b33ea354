"""The main text of a web page as Markdown: no scripts, menus or footers; table rows as `name: value`.

    >>> text_of(lxml.html.document_fromstring("<nav>Home</nav><h2>Fees</h2><p>The <b>fee</b>s rise.</p>"))
    '## Fees\n\nThe fees rise.'

lxml parses the page, Markdown's marks are written into the tree, and the tree's text is the result. A layout
table (one row, one column, or tables within it) is read as paragraphs.
"""

from __future__ import annotations

import re
from pathlib import Path

import lxml.html
from lxml import etree
from lxml.html import HtmlElement, HTMLParser, defs

from step3_rag.ingest.text import read_text, table_lines

BLOCKS = (defs.block_tags - {"del", "ins"}) | {
    "article", "body", "br", "details", "figcaption", "figure", "head", "header", "main", "section",
    "summary",
}  # fmt: skip
BOILERPLATE = (
    "title", "script", "style", "noscript", "template", "nav", "footer", "aside", "svg", "iframe", "object",
    "button", "select", "textarea",
)  # fmt: skip
# Marks in the tree: a new line unless there is one already, a line break that stays, an empty line.
EDGE, BREAK, GAP = "\ue000", "\ue001", "\ue001\ue001"


def page(path: Path) -> str:
    """The text of an HTML file, under the page's title unless it begins with a heading.

    Raises:
        UnreadableError: too large or binary.
    """
    try:
        contents, encoding = read_text(path).encode(), "utf-8"
    except UnicodeDecodeError:
        contents, encoding = path.read_bytes(), None  # as the page declares
    try:
        parser = HTMLParser(encoding=encoding, huge_tree=True)
        tree = lxml.html.document_fromstring(contents, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):
        return ""  # an empty page
    title, text = _flat(tree.find(".//title")), text_of(tree)
    return text if not text or not title or text.startswith("# ") else f"# {title}\n\n{text}"


def text_of(tree: HtmlElement) -> str:
    """The text of a parsed page, as Markdown; the tree is changed."""
    for header in [each for each in tree.iter("header") if each.find(".//h1") is None]:
        header.tag = "nav"  # the site's header, not an article's
    etree.strip_elements(tree, *BOILERPLATE, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    for code in tree.iter("pre"):
        _write(code, [f"{BREAK}```", *code.text_content().strip().split("\n"), f"```{BREAK}"])
    for node in tree.iter():
        edge = GAP if node.tag == "p" else EDGE if node.tag in BLOCKS else ""
        if node.tag != "pre":
            node.text = edge + ("- " if node.tag == "li" else "") + re.sub(r"\s+", " ", node.text or "")
        node.tail = edge + re.sub(r"\s+", " ", node.tail or "")
    for node in reversed(list(tree.iter("h1", "h2", "h3", "h4", "h5", "h6", "table"))):  # the inner first
        lines = _rows(node) if node.tag == "table" else [f"{'#' * int(node.tag[1])} {_flat(node)}"]
        if lines and lines[0].strip("# "):
            _write(node, [BREAK + lines[0], *lines[1:], ""])
    text = re.sub(rf"[ {EDGE}]*{EDGE}[ {EDGE}]*", "\n", tree.text_content()).replace(BREAK, "\n")
    text = re.sub(r" *\n(?: (?=\S))?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _write(node: HtmlElement, lines: list[str]) -> None:
    """Replace a tag's content with lines."""
    tail = node.tail
    node.clear()
    node.text, node.tail = BREAK + BREAK.join(lines) + BREAK, tail


def _rows(table: HtmlElement) -> list[str]:
    """A table's caption and rows; none for a layout table."""
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
    """The text of a tag on one line."""
    text = "" if node is None else node.text_content()
    return " ".join(re.sub(f"[{EDGE}{BREAK}]", " ", text).split())
