"""Whether rows have the form they need, and whether there is enough of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from step4_finetune.data.curate.finding import (
    ERROR,
    OK,
    WARNING,
    Case,
    Finding,
    of_cases,
    replies,
    short,
    unchecked,
)
from step4_finetune.data.rows import SPLITS, Row
from step4_finetune.tone.text import tidy

UNEVEN = 3.0  # times that the largest class may have of the smallest
ROLES = ("system", "user", "assistant", "tool")
BROKEN_TEXT = "\ufffd"  # stands where bytes were no UTF-8


def schema(rows: Sequence[Row]) -> Finding:
    """Rows that nothing can be learnt from as they are."""
    ids: dict[str, int] = {}
    cases = []
    for at, row in enumerate(rows):
        cases += [Case(at, row.id, what) for what in _wrong(row)]
        if row.id in ids:
            cases.append(Case(at, row.id, f"row {ids[row.id] + 1} has the same id", ids[row.id]))
        ids.setdefault(row.id, at)
    return of_cases("schema", cases, len(rows), ERROR, "write what is missing, or leave the row out")


def _wrong(row: Row) -> Iterator[str]:
    if not row.message.strip():
        yield "the message is empty"
    for name, reply in replies(row):
        if not reply.strip():
            yield f"{name} is empty"
        if BROKEN_TEXT in reply:
            yield f"{name} has letters that were lost ({BROKEN_TEXT}): read it in its own encoding"
    if BROKEN_TEXT in row.message:
        yield f"the message has letters that were lost ({BROKEN_TEXT}): read it in its own encoding"
    if row.rejected is not None and tidy(row.chosen) == tidy(row.rejected):
        yield f"chosen and rejected are the same: {short(row.chosen, 60)}"
    if row.split not in SPLITS:
        yield f"split {row.split!r}: use {', '.join(SPLITS)}"
    for each in row.prompt:
        if each["role"] not in ROLES:
            yield f"role {each['role']!r}: use {', '.join(ROLES[:3])}"


def one_class(rows: Sequence[Row]) -> Finding:
    """Labels that are the same in every row: nothing can be told apart by them, nothing divided."""
    found = []
    for what, of in (("topic", _topic), ("chosen reply", _reply)):
        values = {of(row) for row in rows}
        if len(values) == 1 and len(rows) > 1 and None not in values:
            found.append(f"one {what} only: {short(str(values.pop()), 60)}")
    missing = [split for split in SPLITS if split not in {row.split for row in rows}]
    absent = [f"no rows in {split}" for split in missing]
    severity = ERROR if found or "train" in missing else WARNING if missing else OK
    advice = (
        "add rows of other kinds" if found else "give every split rows: train, dev, test" if missing else ""
    )
    kinds = tuple(Case(0, rows[0].id, text) for text in (*found, *absent)) if rows else ()
    return Finding("one class only", len(kinds), None, "kinds", severity, advice, kinds)


def topics(rows: Sequence[Row]) -> Finding:
    """How evenly the topics are filled."""
    return _balance("topics", rows, _topic)


def _balance(name: str, rows: Sequence[Row], of: Callable[[Row], str | None]) -> Finding:
    counts = Counter(label for row in rows if (label := of(row)))
    if not counts:
        return unchecked(name, "times the smallest", f"no {name}", classes={})
    (largest, most), (smallest, least) = counts.most_common(1)[0], counts.most_common()[-1]
    uneven = most / least > UNEVEN
    first = {
        label: next(at for at, row in enumerate(rows) if of(row) == label) for label in (smallest, largest)
    }
    cases = tuple(
        Case(at, rows[at].id, f"{label}: {counts[label]} of {len(rows)}") for label, at in first.items()
    )
    return Finding(
        name,
        round(most / least, 2),
        None,
        "times the smallest",
        WARNING if uneven else OK,
        f"write more of {smallest}, or drop some of {largest}" if uneven else "",
        cases if uneven else (),
        {
            "classes": dict(counts.most_common()),
            "smallest": [smallest, least],
            "largest": [largest, most],
            "unlabelled": len(rows) - counts.total(),
        },
    )


def _topic(row: Row) -> str | None:
    return row.topic


def _reply(row: Row) -> str | None:
    return " ".join(row.chosen.split())
