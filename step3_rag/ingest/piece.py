"""What all loaders share: pieces of text, and how a text file is opened."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


class UnreadableError(Exception):
    """A file can't be read; the message says why."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """A text without surrogates and control characters, which no database or terminal should get.

    >>> clean("red \\x1b[31mkettle\\r\\n")
    'red [31mkettle\\n'
    """
    whole = text.encode("utf-8", errors="replace").decode()
    return CONTROL.sub("", re.sub(r"\r\n?|\f", "\n", whole))


@dataclass(frozen=True)
class Piece:
    """A part of a document's text."""

    text: str
    pages: tuple[tuple[int, int], ...] = ()  # where in the text each page begins, and its number (from 1)
    superseded: bool = False  # set in a document's first piece, by its front matter

    def page_at(self, place: int) -> int | None:
        """The number of the page on which a character stands; None where there are no pages."""
        return max((number for start, number in self.pages if start <= place), default=None)


def open_text(path: Path, **options: Any) -> IO[str]:
    """Open a text file: UTF-16 if it begins with its byte order mark, else UTF-8.

    Reading raises a UnicodeDecodeError if it has another encoding.

    Raises:
        UnreadableError: it is binary.
    """
    with path.open("rb") as file:
        begin = file.read(65_536)
    is_utf16 = begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\x00" in begin and not is_utf16:
        raise UnreadableError("binary, not text")
    return path.open(encoding="utf-16" if is_utf16 else "utf-8-sig", **options)


def check_size(size: int, largest: int) -> None:
    """Refuse a file that is too large for a format which must be parsed whole."""
    if size > largest:
        raise UnreadableError(
            f"{size / 1e6:.0f} MB: this format has to be parsed whole, {largest / 1e6:.0f} MB at most"
        )
