"""The result of a check: a number, the rows with an example each, how serious it is, and what to do.

    >>> case = Case(7, "kettle-8", "the message is empty")
    >>> Finding("schema", 1, 506, "rows", ERROR, "write what is missing, or leave the row out", (case,))

A check is a function from all rows to one of these.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from step4_finetune.data.rows import Row

OK, WARNING, ERROR, UNCHECKED = "ok", "warning", "error", "not checked"
LONGEST = 90  # characters of an example


@dataclass(frozen=True)
class Case:
    """A row that a check found, and what it found there."""

    row: int  # its place among the rows, from 0
    id: str
    example: str


@dataclass(frozen=True)
class Finding:
    """The result of one check; `unit` says what was counted, or why nothing was."""

    check: str
    number: float | None  # what was counted, or a ratio; None where it is unknown
    of: int | None  # the largest number possible
    unit: str
    severity: str = OK
    advice: str = ""
    cases: tuple[Case, ...] = ()


def of_cases(
    check: str, cases: Iterable[Case], of: int, severity: str, advice: str, unit: str = "rows"
) -> Finding:
    """The finding of a check that names rows; without cases it is `ok`."""
    found = tuple(cases)
    number = len({case.row for case in found})
    return Finding(check, number, of, unit, severity if found else OK, advice if found else "", found)


def unchecked(check: str, why: str) -> Finding:
    """The finding of a check whose columns the rows lack, or whose guide is missing."""
    return Finding(check, None, None, why, UNCHECKED)


def prompt_text(row: Row) -> str:
    """The conversation before the reply, without the system message."""
    return "\n".join(each["content"] for each in row.prompt if each["role"] != "system")


def replies(row: Row) -> list[tuple[str, str]]:
    """The row's replies by name."""
    named = [("chosen", row.chosen)]
    return named if row.rejected is None else [*named, ("rejected", row.rejected)]


def short(text: str, longest: int = LONGEST) -> str:
    """A text on one line, cut to `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def places(rows: Sequence[Row], split: str) -> list[int]:
    """The places of the rows of a split."""
    return [at for at, row in enumerate(rows) if row.split == split]
