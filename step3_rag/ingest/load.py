"""Read a file as plain text with Markdown headings, piece by piece: Markdown, text, HTML, PDF, DOCX, CSV.

    >>> [piece.text[:20] for piece in pieces(Path("contracts/supply-2025.md"))]
    ['# Supply agreement 20']

A piece has at most a million characters, so that a file of any size is read in bounded memory; HTML and DOCX
have to be parsed whole, so their size is limited. The parsers are pypdf, python-docx, lxml and Python's csv.
Tables become rows of `name: value`, because a chunk in the middle of a table lacks the table's header.
"""

from __future__ import annotations

import csv
import logging
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from shared.errors import reason
from step3_rag.ingest import front_matter
from step3_rag.ingest.chunk import heading_name
from step3_rag.ingest.load_tables import table_lines, tables_as_rows
from step3_rag.ingest.piece import Piece, UnreadableError, check_size, clean, open_text

SUFFIXES = (".md", ".markdown", ".txt", ".rst", ".html", ".htm", ".pdf", ".docx", ".csv", ".tsv")
AT_ONCE = 1_000_000  # characters of a piece, at most
LARGEST_DOCX = 50_000_000  # bytes of its XML, unpacked
LONGEST_CELL = AT_ONCE  # characters; after a quote that is never closed, the rest of the file is one cell


def pieces(path: Path) -> Iterator[Piece]:
    """The text of a file, in order.

    Raises:
        UnreadableError: an unknown format, or the file is encrypted, damaged, binary, empty or not UTF-8; or
            its front matter doesn't say clearly whether it is superseded.
    """
    kind, empty = path.suffix.lower(), True
    try:
        for piece in _assembled(_parts(path, kind)):
            text = tables_as_rows(piece.text) if kind in (".md", ".markdown") else piece.text
            if text.strip():
                empty = False
                yield replace(piece, text=text)
    except UnicodeError:
        raise UnreadableError("not UTF-8: save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if empty:
        raise UnreadableError("no text in it" + (" (a scan? it needs OCR)" if kind == ".pdf" else ""))


def title_of(path: Path, text: str) -> str:
    """The heading that the text begins with, or else the file's name in words."""
    found = re.match(r"\s*#{1,2} +(\S.*)", text)
    return heading_name(found[1]) if found else re.sub(r"[-_\s]+", " ", path.stem).strip()


def _parts(path: Path, kind: str) -> Iterator[Piece]:
    """What the format's parser yields: pages, rows or blocks of lines."""
    if kind not in SUFFIXES:
        raise UnreadableError(f"{kind or 'no ending'}: not one of {' '.join(SUFFIXES)}")
    others = {".pdf": _pdf, ".docx": _docx, ".html": _html, ".htm": _html, ".csv": _table, ".tsv": _table}
    return others.get(kind, _text)(path)


def _assembled(parts: Iterable[Piece]) -> Iterator[Piece]:
    """Join parts into pieces of at most `AT_ONCE` characters; a longer part stays as it is."""
    held, size, pages, first = list[str](), 0, list[tuple[int, int]](), Piece("")
    for part in parts:
        text = clean(part.text)
        if held and size + len(text) > AT_ONCE:
            yield replace(first, text="".join(held), pages=tuple(pages))
            held, size, pages = [], 0, []
        first = first if held else part
        pages += [(size + start, page) for start, page in part.pages]
        held.append(text)
        size += len(text)
    yield replace(first, text="".join(held), pages=tuple(pages))


def _text(path: Path) -> Iterator[Piece]:
    """Blocks of whole lines, unless a line is longer than half a piece."""
    with open_text(path) as file:
        half = AT_ONCE // 2
        superseded, text = front_matter.split(file.read(half) + file.readline(half))
        yield Piece(text, superseded=superseded)
        while text := file.read(half) + file.readline(half):
            yield Piece(text)


def _table(path: Path) -> Iterator[Piece]:
    """Rows as list items, `- name: value, name: value`; the first row has the names."""
    csv.field_size_limit(LONGEST_CELL)
    with open_text(path, newline="") as file:
        usual, head = "\t" if path.suffix.lower() == ".tsv" else ",", file.readline(65_536)
        delimiter = max((usual, *",;\t|"), key=head.count)  # the one that the first row has most of
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        names, before = next(rows, []), f"# {title_of(path, '')}\n\n"
        for row in rows:
            for line in table_lines([names, row]):
                yield Piece(before + line)
                before = "\n"
        if before != "\n":
            for line in table_lines([names]):
                yield Piece(before + line)


def _html(path: Path) -> Iterator[Piece]:
    from step3_rag.ingest.load_html import page  # imports lxml, which few files need

    yield from map(Piece, page(path).splitlines(keepends=True))


def _pdf(path: Path) -> Iterator[Piece]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # errors are reported below, once
    try:
        with path.open("rb") as file:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise UnreadableError("encrypted: it needs a password")
            for number, page in enumerate(reader.pages, 1):
                text = page.extract_text()
                yield Piece(f"\n{text}" if number > 1 else text, ((0, number),))  # a sentence may go on
    except (UnreadableError, OSError):
        raise
    except Exception as error:  # a broken file makes pypdf raise anything: KeyError, RecursionError
        why = reason(error) if isinstance(error, PyPdfError) else type(error).__name__
        raise UnreadableError(f"damaged PDF ({why})") from None


def _docx(path: Path) -> Iterator[Piece]:
    import docx
    from docx.table import Table

    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":
            raise UnreadableError("encrypted, or an old .doc: save it as .docx without a password")
    try:
        with zipfile.ZipFile(path) as parts:
            check_size(sum(part.file_size for part in parts.infolist()), LARGEST_DOCX)
        for block in docx.Document(str(path)).iter_inner_content():
            if isinstance(block, Table):
                text = "\n".join(table_lines([[cell.text for cell in row.cells] for row in block.rows]))
            else:
                level = re.fullmatch(r"(?:Heading (\d)|Title)", getattr(block.style, "name", None) or "")
                text = f"{'#' * min(6, int(level[1] or 1)) if level else ''} {block.text}".strip()
            if text.strip("# "):
                yield Piece(f"{text}\n\n")
    except (UnreadableError, OSError):
        raise
    except Exception as error:  # a damaged zip, damaged XML, missing parts
        raise UnreadableError(f"not a Word document ({type(error).__name__})") from None
