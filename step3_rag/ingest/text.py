"""What all loaders share: how a text file is read, and tables as lines of `name: value`.

>>> table_lines([["part", "price"], ["bolt", "0.40"]])
['- part: bolt, price: 0.40']

A chunk in the middle of a table lacks the table's header, so each line has the names.
"""

import codecs
import itertools
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from step3_rag.ingest.chunk import fence_after

LARGEST = 100_000_000  # bytes of a text file, characters of a text: it is in memory as a whole


class UnreadableError(Exception):
    """A file can't be read; the message says why."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# The line below the header of a Markdown table. Possessive (+), since a line may be a megabyte long.
RULE = re.compile(r"\|?+\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?")


def clean(text: str) -> str:
    """A text without surrogates and control characters, which no database or terminal should get.

    >>> clean("red \\x1b[31mkettle\\r\\n")
    'red [31mkettle\\n'
    """
    whole = text.encode("utf-8", errors="replace").decode()
    return CONTROL.sub("", re.sub(r"\r\n?|\f", "\n", whole))


def read_text(path: Path) -> str:
    """The text of a file: UTF-16 if it begins with its byte order mark, else UTF-8.

    Raises:
        UnreadableError: it is binary or too large.
        UnicodeDecodeError: it has another encoding.
    """
    check_size(path.stat().st_size)
    contents = path.read_bytes()
    if contents.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return contents.decode("utf-16")
    if b"\x00" in contents:
        raise UnreadableError("binary, not text")
    return contents.decode("utf-8-sig")


def check_size(size: int, largest: int = LARGEST) -> None:
    """Refuse what is too large to be read and cut as a whole."""
    if size > largest:
        raise UnreadableError(f"{size / 1e6:.1f} MB, {largest / 1e6:.0f} MB at most: split it")


def tables_as_rows(text: str) -> str:
    """A Markdown text with its tables as rows of `name: value`, except in code blocks."""
    lines = deque(text.split("\n"))
    result: list[str] = []
    fence = ""  # of the code block that is open
    while lines:
        line = lines.popleft()
        fence = fence_after(line, fence)
        is_head = not fence and "|" in line and lines and "|" in lines[0]
        if not is_head or not RULE.fullmatch(lines[0].strip()):
            result.append(line)
            continue
        lines.popleft()  # the rule below the names
        rows = [_cells(line)]
        while lines and "|" in lines[0]:
            rows.append(_cells(lines.popleft()))
        result += table_lines(rows)
    return "\n".join(result)


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip())
    if cells[0] == "":  # a bar at either end is an edge
        cells = cells[1:]
    if cells and cells[-1] == "":
        cells = cells[:-1]
    return [cell.replace("\\|", "|") for cell in cells]


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's rows as lines; the first row has the names, unless it is the only one."""
    tidy = [[" ".join(cell.split()) for cell in row] for row in rows]
    names = tidy.pop(0) if len(tidy) > 1 else []
    lines = []
    for row in tidy:
        pairs = itertools.zip_longest(names, row, fillvalue="")
        cells = [f"{name}: {value}" if name else value for name, value in pairs if value]
        if cells:
            lines.append("- " + ", ".join(cells))
    return lines
