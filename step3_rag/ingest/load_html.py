"""The main text of a web page as Markdown, by BeautifulSoup and markdownify: no scripts, menus or footers.

>>> markdown_of(BeautifulSoup("<nav>Home</nav><h2>Fees</h2><p>The <b>fee</b>s rise.</p>", "html.parser"))
'## Fees\n\nThe fees rise.'
"""

import re
from pathlib import Path

from bs4 import BeautifulSoup
from markdownify import MarkdownConverter

from step3_rag.ingest.text import UnreadableError, check_size, read_text

LARGEST = 10_000_000  # bytes: the tree of the tags takes more memory and time than the text
BOILERPLATE = (
    "title", "script", "style", "noscript", "template", "nav", "footer", "aside", "svg", "iframe", "object",
    "button", "select", "textarea",
)  # fmt: skip
CELLS = ("thead", "tbody", "tfoot", "tr", "th", "td")
CONVERTER = MarkdownConverter(
    heading_style="atx", bullets="-", strong_em_symbol="", strip=["a", "code", "img"], wrap=True,
    wrap_width=None, escape_asterisks=False, escape_underscores=False,
)  # fmt: skip


def page(path: Path) -> str:
    """The text of an HTML file, under the page's title unless it begins with a heading.

    Raises:
        UnreadableError: too large or binary, or its tags are nested too deeply.
    """
    check_size(path.stat().st_size, LARGEST)
    contents: str | bytes
    try:
        contents = read_text(path)
    except UnicodeDecodeError:
        contents = path.read_bytes()  # in the encoding that the page declares
    soup = BeautifulSoup(contents, "lxml")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    try:
        text = markdown_of(soup)
    except RecursionError:
        raise UnreadableError("its tags are nested too deeply") from None
    return text if not text or not title or text.startswith("# ") else f"# {title}\n\n{text}"


def markdown_of(soup: BeautifulSoup) -> str:
    """The text of a parsed page, as Markdown; the tree is changed."""
    for tag in soup(BOILERPLATE):
        tag.decompose()
    for header in soup("header"):
        if not header.h1:  # the site's header, not an article's
            header.decompose()
    for table in soup("table"):
        if table.caption:  # inside, markdownify would take it for the first row
            table.insert_before(table.caption.extract())
        if table.table or len(table("tr")) < 2:  # for layout: its cells are read as paragraphs
            parts = [tag for tag in table(CELLS) if tag.find_parent("table") is table]
            for tag in (table, *parts):
                tag.name = "div"
    text = CONVERTER.convert_soup(soup).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +\n", "\n", text)).strip()
