"""A file to plain text with Markdown headings, piece by piece: Markdown, text, HTML, PDF, DOCX, CSV.

    >>> [piece.text[:20] for piece in pieces(Path("contracts/supply-2025.md"))]
    ['# Supply agreement 20']

A piece is what is read at once: a page of a PDF, a hundred rows of a CSV, a megabyte of a text, so that a
file of any size goes through in bounded memory; HTML and DOCX have to be parsed whole and have a limit. The
parsers are pypdf, python-docx, Beautiful Soup and Python's csv. Tables become rows of `name: value`, because
a chunk in the middle of a table has lost its head.
"""

from __future__ import annotations

import csv
import itertools
import logging
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from step3_rag.ingest import front_matter
from step3_rag.ingest.chunk import heading_name
from step3_rag.ingest.load_tables import delimiter_of, table_lines, tables_as_rows
from step3_rag.ingest.piece import BLOCK, Piece, UnreadableError, opened, refuse_giant

SUFFIXES = (".md", ".markdown", ".txt", ".rst", ".html", ".htm", ".pdf", ".docx", ".csv", ".tsv")
AT_ONCE = 1_000_000  # characters of a text, or
ROWS = 100  # rows of a table
LARGEST_DOCX = 50_000_000  # bytes of its XML, unpacked
LONGEST_CELL = 16_000_000  # characters; a quote that is never closed swallows what comes after it


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
            from step3_rag.ingest.load_html import page  # with its parser: only where it is needed

            found = page(path)
        elif kind in (".csv", ".tsv"):
            found = _table(path)
        elif kind in (".md", ".markdown"):
            found = (replace(piece, text=tables_as_rows(piece.text)) for piece in _text(path))
        elif kind in SUFFIXES:
            found = _text(path)
        else:
            raise UnreadableError(f"{kind or 'no ending'}: not one of {' '.join(SUFFIXES)}")
        empty = True
        for piece in found:
            for part in _parts([piece.text]):
                if part.strip():
                    empty = False
                    yield replace(piece, text=part)
    except UnreadableError:
        raise
    except (OSError, csv.Error, UnicodeError) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if empty:
        raise UnreadableError("no text in it" + (" (a scan? it needs OCR)" if kind == ".pdf" else ""))


def title_of(path: Path, text: str) -> str:
    """The first heading at the text's beginning, or the file's name in words."""
    found = re.match(r"\s*#{1,2} +(\S.*)", text)
    return heading_name(found[1]) if found else re.sub(r"[-_\s]+", " ", path.stem).strip()


def _parts(blocks: Iterable[str]) -> Iterator[str]:
    """A text that comes in blocks, in parts of at most `AT_ONCE` characters, cut where a paragraph ends."""
    held = ""
    for block in blocks:
        held += block
        while len(held) > AT_ONCE:
            ends = (held.rfind(mark, AT_ONCE // 2, AT_ONCE) for mark in ("\n\n", "\n", " "))
            cut = next((end for end in ends if end > 0), AT_ONCE)
            yield held[:cut]
            held = held[cut:]
    yield held


def _text(path: Path) -> Iterator[Piece]:
    with opened(path) as file:
        version, text, problem = front_matter.split(file.read(AT_ONCE))
        for part in _parts(itertools.chain([text], iter(lambda: file.read(AT_ONCE), ""))):
            yield Piece(part, None, version, problem)


# --- tables -------------------------------------------------------------------------------------------


def _table(path: Path) -> Iterator[Piece]:
    """Rows as items of a list, `- name: value, name: value`; the first row has the names."""
    csv.field_size_limit(LONGEST_CELL)
    with opened(path, newline="") as file:
        delimiter = delimiter_of(file.read(BLOCK), "\t" if path.suffix.lower() == ".tsv" else ",")
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter)
        names = next(rows, [])
        heading, lines = f"# {title_of(path, '')}\n\n", list[str]()
        for row in rows:
            lines += table_lines([names, row])
            if len(lines) >= ROWS or sum(map(len, lines)) > AT_ONCE:
                yield Piece(heading + "\n".join(lines))
                heading, lines = "", []
        if heading and not lines:
            lines = table_lines([names])
        if lines:
            yield Piece(heading + "\n".join(lines))


# --- formats with a parser of their own ---------------------------------------------------------------


def _pdf(path: Path) -> Iterator[Piece]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is wrong is said below, once
    try:
        with path.open("rb") as file:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise UnreadableError("encrypted: it needs a password")
            for number, page in enumerate(reader.pages, 1):
                yield Piece(page.extract_text(), number)
    except (UnreadableError, OSError):
        raise
    except DependencyError:
        raise UnreadableError("encrypted: reading it takes `pip install cryptography`") from None
    except PyPdfError as error:
        raise UnreadableError(f"damaged PDF: {str(error).strip() or type(error).__name__}") from None
    except Exception as error:  # pypdf lets what a broken file does to it through: KeyError, RecursionError
        raise UnreadableError(f"damaged PDF ({type(error).__name__})") from None


def _docx(path: Path) -> Iterator[Piece]:
    import docx
    from docx.table import Table

    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":
            raise UnreadableError("encrypted, or a .doc of the old kind: save it as .docx without a password")
    try:
        with zipfile.ZipFile(path) as parts:
            refuse_giant(sum(part.file_size for part in parts.infolist()), LARGEST_DOCX)
        blocks = []
        for block in docx.Document(str(path)).iter_inner_content():
            if isinstance(block, Table):
                blocks.append(
                    "\n".join(table_lines([[cell.text for cell in row.cells] for row in block.rows]))
                )
            else:
                style = (block.style.name or "") if block.style else ""
                level = re.fullmatch(r"(?:Heading (\d)|Title)", style)
                blocks.append(f"{'#' * min(6, int(level[1] or 1)) if level else ''} {block.text}".strip())
    except (UnreadableError, OSError):
        raise
    except Exception as error:  # a zip that is none, XML that is none, parts that are missing
        raise UnreadableError(f"no Word document ({type(error).__name__})") from None
    yield Piece("\n\n".join(block for block in blocks if block.strip("# ")))
