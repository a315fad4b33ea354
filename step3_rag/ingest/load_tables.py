"""Tables as lines of `name: value`, because a chunk in the middle of a table lacks the table's header.

>>> table_lines([["part", "price"], ["bolt", "0.40"]])
['- part: bolt, price: 0.40']
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Sequence

from step3_rag.ingest.chunk import fence_after

# The line below the header of a Markdown table. Possessive (+), since a line may be a megabyte long.
RULE = re.compile(r"\|?+\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?")


def tables_as_rows(text: str) -> str:
    """A Markdown text with its tables as rows of `name: value`, except in code blocks."""
    lines, found, fence = deque(text.split("\n")), list[str](), ""
    while lines:
        line = lines.popleft()
        fence = fence_after(line, fence)
        is_head = not fence and "|" in line and lines and "|" in lines[0]
        if not is_head or not RULE.fullmatch(lines[0].strip()):
            found.append(line)
            continue
        rows, _ = [_cells(line)], lines.popleft()
        while lines and "|" in lines[0]:
            rows.append(_cells(lines.popleft()))
        found += table_lines(rows)
    return "\n".join(found)


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip())
    inner = cells[cells[0] == "" : len(cells) - (cells[-1] == "")]  # a bar at either end is an edge
    return [cell.replace("\\|", "|") for cell in inner]


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
