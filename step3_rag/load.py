"""A file to plain text with Markdown headings, piece by piece: Markdown, text, HTML, PDF, DOCX, CSV.

    >>> [piece.text[:20] for piece in pieces(Path("contracts/supply-2025.md"))]
    ['# Supply agreement 20']

A piece is what is read at once: a page of a PDF, a hundred rows of a CSV, a megabyte of a text, so that a
file of any size goes through in bounded memory. The parsers are pypdf, python-docx, Beautiful Soup and
Python's csv. Tables become rows of `name: value`, because a chunk in the middle of a table has lost its head.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SUFFIXES = (".md", ".markdown", ".txt", ".rst", ".html", ".htm", ".pdf", ".docx", ".csv", ".tsv")
AT_ONCE = 1_000_000  # characters of a text, or
ROWS = 100  # rows of a table
LARGEST_WHOLE = 64_000_000  # bytes of a file that has to be parsed in one go (HTML, DOCX)


class UnreadableError(Exception):
    """A file that can't be read, and why, in words."""


@dataclass(frozen=True)
class Piece:
    """A part of a document's text; `page` is counted from 1, where there are pages."""

    text: str
    page: int | None = None


def pieces(path: Path) -> Iterator[Piece]:
    """The text of a file, in order.

    Raises:
        UnreadableError: no such format, encrypted, damaged, binary, empty.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".pdf":
            found = _pdf(path)
        elif kind == ".docx":
            found = _docx(path)
        elif kind in (".html", ".htm"):
            found = _html(path)
        elif kind in (".csv", ".tsv"):
            found = _table(path)
        elif kind in SUFFIXES:
            found = _text(path)
        else:
            raise UnreadableError(f"{kind or 'no ending'}: not one of {' '.join(SUFFIXES)}")
        empty = True
        for piece in found:
            if piece.text.strip():
                empty = False
                yield piece
    except UnreadableError:
        raise
    except (OSError, csv.Error, UnicodeError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if empty:
        raise UnreadableError("no text in it" + (" (a scan? it needs OCR)" if kind == ".pdf" else ""))


def title_of(path: Path, text: str) -> str:
    """The first heading at the text's beginning, or the file's name in words."""
    found = re.match(r"\s*#{1,2} +(.+)", text)
    return found[1].strip(" #") if found else re.sub(r"[-_]+", " ", path.stem).strip()


# --- text ---------------------------------------------------------------------------------------------


def encoding_of(path: Path) -> str:
    """UTF-8 where the beginning is UTF-8, otherwise what its bytes look like.

    Raises:
        UnreadableError: it looks like no text at all.
    """
    with path.open("rb") as file:
        sample = file.read(65_536)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\x00" in sample:
        raise UnreadableError("binary, not text")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # the last character may be cut in half
        return "utf-8-sig"
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(sample).best()
        if best is None:
            raise UnreadableError("neither UTF-8 nor any other encoding that is known") from None
        return str(best.encoding)


def _open(path: Path, **options: Any) -> IO[str]:
    # A sample can't tell for a whole file: what it didn't show becomes a replacement character.
    return path.open(encoding=encoding_of(path), errors="replace", **options)


def _text(path: Path) -> Iterator[Piece]:
    with _open(path) as file:
        held = ""
        while block := file.read(AT_ONCE):
            text = held + block
            cut = text.rfind("\n\n") if len(block) == AT_ONCE else len(text)
            if cut <= 0:
                cut = max(text.rfind(" "), len(text) // 2)
            held = text[cut:]
            yield Piece(text[:cut])
        yield Piece(held)


def _table(path: Path) -> Iterator[Piece]:
    """Rows as `name: value, name: value.`, each a sentence of its own."""
    with _open(path, newline="") as file:
        first = file.read(4096)
        file.seek(0)
        try:
            dialect: Any = csv.Sniffer().sniff(first, delimiters=",;\t|")
        except csv.Error:
            dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
        rows = csv.reader(file, dialect)
        names = next(rows, [])
        heading = f"# {title_of(path, '')}\n\n"
        while block := list(itertools.islice(rows, ROWS)):
            yield Piece(heading + "\n".join(f"- {_row(names, row)}" for row in block if any(row)))
            heading = ""


def _row(names: list[str], values: list[str]) -> str:
    pairs = itertools.zip_longest(names, values, fillvalue="")
    return ", ".join(f"{name.strip()}: {value.strip()}" if name else value for name, value in pairs if value)


# --- formats with a parser of their own ---------------------------------------------------------------


def _pdf(path: Path) -> Iterator[Piece]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("encrypted: it needs a password")
        for number, page in enumerate(reader.pages, 1):
            yield Piece(page.extract_text(), number)
    except UnreadableError:
        raise
    except PyPdfError as error:
        raise UnreadableError(f"damaged PDF: {str(error).strip() or type(error).__name__}") from None
    except Exception as error:  # pypdf lets what a broken file does to it through: KeyError, RecursionError
        raise UnreadableError(f"damaged PDF ({type(error).__name__})") from None


def _docx(path: Path) -> Iterator[Piece]:
    import docx
    from docx.table import Table

    _refuse_giant(path)
    try:
        document = docx.Document(str(path))
        lines = []
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                rows = [[cell.text for cell in row.cells] for row in block.rows]
                lines.append("\n".join(f"- {_row(rows[0], row)}" for row in rows[1:]))
            else:
                style = (block.style.name or "") if block.style else ""
                level = re.fullmatch(r"(?:Heading (\d)|Title)", style)
                lines.append(f"{'#' * min(6, int(level[1] or 1)) if level else ''} {block.text}".strip())
    except Exception as error:  # a zip that is none, XML that is none, parts that are missing
        raise UnreadableError(f"no Word document ({type(error).__name__})") from None
    yield Piece("\n\n".join(line for line in lines if line))


BLOCKS = "p div li tr h1 h2 h3 h4 h5 h6 section article pre blockquote dt dd figcaption caption"
BOILERPLATE = "script style noscript template nav footer header aside form svg iframe button"


def _html(path: Path) -> Iterator[Piece]:
    """What a reader came for: no scripts, menus or footers; headings as #, rows as name: value."""
    from bs4 import BeautifulSoup

    _refuse_giant(path)
    with _open(path) as file:
        page = BeautifulSoup(file.read(), "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for part in page(BOILERPLATE.split()):
        part.decompose()
    for table in page("table"):
        rows = [[cell.get_text(" ", strip=True) for cell in row(["th", "td"])] for row in table("tr")]
        rows = [row for row in rows if row]
        table.replace_with(
            "\n" + "\n".join(f"- {_row(rows[0], row)}" for row in rows[1:]) + "\n\n" if rows else ""
        )
    for level in range(1, 7):
        for heading in page(f"h{level}"):
            heading.replace_with(f"\n\n{'#' * level} {heading.get_text(' ', strip=True)}\n\n")
    for item in page("li"):
        item.insert_before("\n- ")
    for part in page([*BLOCKS.split(), "br"]):
        part.insert_after("\n\n" if part.name == "p" else "\n")
    text = page.get_text()
    text = re.sub(r"[ \t\xa0]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    yield Piece(text if re.match("# ", text) or not title else f"# {title}\n\n{text}")


def _refuse_giant(path: Path) -> None:
    size = path.stat().st_size
    if size > LARGEST_WHOLE:
        raise UnreadableError(
            f"{size / 1e6:.0f} MB: this format is parsed whole, {LARGEST_WHOLE / 1e6:.0f} MB at most"
        )
