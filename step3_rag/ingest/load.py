"""Read a file as plain text with Markdown headings: Markdown, text, HTML, PDF, DOCX, CSV.

    >>> read(Path("contracts/supply-2025.md")).title
    'Supply agreement 2025'

The parsers are pypdf, python-docx, BeautifulSoup with markdownify, and Python's csv.
"""

import csv
import io
import itertools
import logging
import re
import zipfile
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from shared.errors import reason
from step3_rag.ingest.chunk import heading_name
from step3_rag.ingest.front_matter import split_front_matter
from step3_rag.ingest.text import (
    UnreadableError,
    check_size,
    clean,
    read_text,
    table_lines,
    tables_as_rows,
)

TEXTS = (".md", ".markdown", ".txt", ".rst")  # read as they are
XML_NO_MEMORY = 2  # libxml2's error code
SUFFIXES = (*TEXTS, ".html", ".htm", ".pdf", ".docx", ".csv", ".tsv")
MOST_ELEMENTS = 4_000_000  # of a .docx: about what fits into the worker's memory, beyond which lxml may crash
LARGEST_DOCX = 50_000_000  # bytes of its XML and pictures, unpacked


@dataclass(frozen=True)
class Document:
    """A document's text."""

    title: str
    text: str
    pages: tuple[int, ...] = ()  # where in the text each page begins
    superseded: bool = False  # a newer version has replaced it

    def page_at(self, place: int) -> int | None:
        """The number of the page on which a character stands, from 1; None if there are no pages."""
        return bisect_right(self.pages, place) or None


def read(path: Path, name: str | None = None) -> Document:
    """The text of a file; `name` is the document's, if the file has another.

    Raises:
        UnreadableError: an unknown format, or the file is encrypted, damaged, binary, empty, too large or
            not UTF-8; or its front matter has a value that is not allowed.
    """
    kind = path.suffix.lower()
    called = Path(name or path)
    superseded = False
    try:
        match kind:
            case ".pdf":
                parts = _pdf(path)
            case ".docx":
                parts = [_docx(path)]
            case ".html" | ".htm":
                from step3_rag.ingest.load_html import page  # imports much, which few files need

                parts = [page(path)]
            case ".csv" | ".tsv":
                parts = [_table(path)]
            case _ if kind in TEXTS:
                parts = [read_text(path)]
            case _:
                raise UnreadableError(f"{kind or 'no ending'}: not one of {' '.join(SUFFIXES)}")
    except UnicodeError:
        raise UnreadableError("not UTF-8: save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    parts = [clean(part) for part in parts]
    text = "".join(parts)
    if kind in TEXTS:
        superseded, text = split_front_matter(text)
    if not text.strip():
        raise UnreadableError("no text in it" + (" (a scan? it needs OCR)" if kind == ".pdf" else ""))
    check_size(len(text))
    if kind in (".md", ".markdown", ".html", ".htm"):
        text = tables_as_rows(text)
    elif kind in (".csv", ".tsv"):
        text = f"# {title_of(called, '')}\n\n{text}"
    starts = itertools.accumulate(map(len, parts[:-1]), initial=0)
    return Document(title_of(called, text), text, tuple(starts) if kind == ".pdf" else (), superseded)


def title_of(path: Path, text: str) -> str:
    """The heading that the text begins with, or else the file's name in words."""
    heading = re.match(r"\s*#{1,2} +(\S.*)", text)
    return heading_name(heading[1]) if heading else re.sub(r"[-_\s]+", " ", path.stem).strip()


def _table(path: Path) -> str:
    """Rows as list items, `- name: value, name: value`; the first row has the names."""
    text = read_text(path)
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    head = text.partition("\n")[0]
    delimiter = max((usual, *",;\t|"), key=head.count)  # the one that the first row has most of
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return "\n".join(table_lines(list(rows)))


def _pdf(path: Path) -> list[str]:
    """A part for each page; a sentence may go on from one to the next."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # errors are reported below, once
    try:
        with path.open("rb") as file:
            reader = PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise UnreadableError("encrypted: it needs a password")
            texts = [page.extract_text() for page in reader.pages]
            return [f"\n{text}" if number else text for number, text in enumerate(texts)]
    except (UnreadableError, OSError, MemoryError):
        raise
    except Exception as error:  # a broken file makes pypdf raise anything: KeyError, RecursionError
        why = reason(error) if isinstance(error, PyPdfError) else type(error).__name__
        raise UnreadableError(f"damaged PDF ({why})") from None


def _count_elements(archive: zipfile.ZipFile) -> int:
    """About how many XML elements the parts of a .docx have, before they become a tree in memory."""
    count = 0
    for part in archive.infolist():
        if part.filename.endswith(".xml"):
            with archive.open(part) as file:
                while block := file.read(1 << 20):
                    count += block.count(b"<") - block.count(b"</")
    return count


def _docx(path: Path) -> str:
    import docx
    from docx.table import Table

    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":
            raise UnreadableError("encrypted, or an old .doc: save it as .docx without a password")
    parts = list[str]()
    try:
        with zipfile.ZipFile(path) as archive:
            check_size(sum(part.file_size for part in archive.infolist()), LARGEST_DOCX)
            elements = _count_elements(archive)
        if elements > MOST_ELEMENTS:
            most = f"{MOST_ELEMENTS / 1e6:.0f} million at most"
            raise UnreadableError(f"{elements / 1e6:.1f} million XML elements, {most}: split it")
        for block in docx.Document(str(path)).iter_inner_content():
            if isinstance(block, Table):
                text = "\n".join(table_lines([[cell.text for cell in row.cells] for row in block.rows]))
            else:
                level = re.fullmatch(r"(?:Heading (\d)|Title)", getattr(block.style, "name", None) or "")
                text = f"{'#' * min(6, int(level[1] or 1)) if level else ''} {block.text}".strip()
            if text.strip("# "):
                parts.append(text)
    except (UnreadableError, OSError, MemoryError):
        raise
    except Exception as error:  # a damaged zip, damaged XML, missing parts
        if getattr(error, "code", None) == XML_NO_MEMORY:
            raise MemoryError from None
        raise UnreadableError(f"not a Word document ({type(error).__name__})") from None
    return "\n\n".join(parts)
