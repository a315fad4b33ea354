"""What every loader gives, a piece of text, and how a text file is opened in the encoding that it has."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


class UnreadableError(Exception):
    """A file that can't be read, and why, in words."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """A text without halves of characters and control characters, which no database or terminal should get.

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
    superseded: bool = False  # as the document's front matter says, in its first piece
    problem: str = ""  # what is wrong with the document's front matter, in its first piece

    def page_at(self, place: int) -> int | None:
        """The number of the page on which a character stands; None where there are no pages."""
        return max((number for start, number in self.pages if start <= place), default=None)


# What Western European texts have beside ASCII. In a short text, statistics can't tell their encodings apart.
WESTERN = frozenset(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøœùúûüÿ\xa0\xad¡¿«»‹›‘’‚“”„–—…•·€£¥§©®™°ºª±²³µ¼½¾×÷"
)
BLOCK = 65_536


def encoding_of(path: Path) -> str:
    """UTF-8 where the file is that (a bad byte here and there aside), otherwise what its bytes look like.

    Raises:
        UnreadableError: it looks like no text at all.
    """
    with path.open("rb") as file:
        block = file.read(BLOCK)
        if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\x00" in block:
            raise UnreadableError("binary, not text")
        decoder, before = codecs.getincrementaldecoder("utf-8")(), b""
        while block or before:  # all of it: the first accent of a long text may come late
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                return _guess(before + block)
            before, block = block, file.read(BLOCK)
    return "utf-8-sig"


def _guess(block: bytes) -> str:
    """The encoding of bytes that are no clean UTF-8."""
    repaired = block.decode("utf-8", errors="replace")
    bad = repaired.count("\N{REPLACEMENT CHARACTER}")
    if sum(not each.isascii() for each in repaired) > 2 * bad:
        return "utf-8-sig"
    western = block.decode("cp1252", errors="replace")
    marks = {each for each in western if not each.isascii()}
    if marks <= WESTERN and not re.search("[À-ÿ]{4}", western):  # whole words: another alphabet
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(block).best()
    if best is None:
        raise UnreadableError("neither UTF-8 nor any other encoding that is known")
    return str(best.encoding)


def opened(path: Path, encoding: str | None = None, **options: Any) -> IO[str]:
    """The file as text, by default in the encoding that it seems to have."""
    # What doesn't fit the encoding becomes a replacement character: the rest is worth having.
    return path.open(encoding=encoding or encoding_of(path), errors="replace", **options)


def refuse_giant(size: int, largest: int) -> None:
    """For a format that can't be read in parts."""
    if size > largest:
        raise UnreadableError(
            f"{size / 1e6:.0f} MB: this format has to be parsed whole, {largest / 1e6:.0f} MB at most"
        )
