"""Whether rows have the form they need, and whether every split has some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from step4_finetune.data.curate.finding import ERROR, OK, WARNING, Case, Finding, of_cases, replies, short
from step4_finetune.data.rows import SPLITS, Row
from step4_finetune.tone.text import tidy

ROLES = ("system", "user", "assistant", "tool")
BROKEN_TEXT = "\ufffd"  # stands where bytes were no UTF-8


def schema(rows: Sequence[Row]) -> Finding:
    """Rows that nothing can be learnt from as they are."""
    ids: dict[str, int] = {}
    cases = []
    for at, row in enumerate(rows):
        cases += [Case(at, row.id, what) for what in _wrong(row)]
        if row.id in ids:
            cases.append(Case(at, row.id, f"row {ids[row.id] + 1} has the same id"))
        ids.setdefault(row.id, at)
    return of_cases("schema", cases, len(rows), ERROR, "write what is missing, or leave the row out")


def _wrong(row: Row) -> Iterator[str]:
    for name, text in [("the message", row.message), *replies(row)]:
        if not text.strip():
            yield f"{name} is empty"
        if BROKEN_TEXT in text:
            yield f"{name} has letters that were lost ({BROKEN_TEXT}): read it in its own encoding"
    if row.rejected is not None and tidy(row.chosen) == tidy(row.rejected):
        yield f"chosen and rejected are the same: {short(row.chosen, 60)}"
    for each in row.prompt:
        if each["role"] not in ROLES:
            yield f"role {each['role']!r}: use {', '.join(ROLES[:3])}"


def splits(rows: Sequence[Row]) -> Finding:
    """Splits without rows: without train nothing is learnt, without the others nothing is measured."""
    missing = [split for split in SPLITS if split not in {row.split for row in rows}]
    severity = ERROR if "train" in missing else WARNING if missing else OK
    cases = tuple(Case(0, "all", f"no rows in {split}") for split in missing)
    advice = "give every split rows: train, dev, test" if missing else ""
    return Finding("splits", len(missing), len(SPLITS), "splits without rows", severity, advice, cases)
