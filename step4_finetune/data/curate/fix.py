"""A cleaned copy of a data set. Never in place.

    $ python -m step4_finetune data check --data rows.jsonl --fix clean.jsonl
    ...
    19 rows taken out (schema 2, leakage 1, label noise 13, personal data 1, ...), 506 kept: clean.jsonl

Rows are taken from train only: a test set that loses the rows one dislikes measures nothing. What stands in
dev and test, and what no removal can mend (topics in two splits, length bias, templates), is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.report.record import writable
from step4_finetune.data.curate import duplicates
from step4_finetune.data.curate.finding import Finding
from step4_finetune.data.files import write_rows
from step4_finetune.data.rows import Row

# Checks whose rows are taken out, in this order: a row that several found counts for the first.
MENDED = ("schema", "leakage", "label noise", "personal data", "tokens over the limit", "chat template")


def target(source: str | Path, out: Path, *, force: bool) -> Path:
    """Where the copy goes; looked at before any work is done.

    Raises:
        UserError: the place is the source itself, or taken, or of another kind of file.
    """
    if out.suffix != ".jsonl":
        raise UserError(f"--fix {out} is not a name for rows: use one that ends in .jsonl")
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise UserError(f"--fix {out} is the data itself, which is never changed: name another file")
    if out.exists() and not force:
        raise UserError(f"{out} exists already: name another file with --fix, or add --force")
    return writable(out)


def removed(rows: Sequence[Row], findings: Sequence[Finding]) -> dict[int, tuple[str, str]]:
    """Which rows go: by their place, the check and what it found."""
    gone: dict[int, tuple[str, str]] = {}
    by_check = {each.check: each.cases for each in findings}
    for check in MENDED:
        for case in by_check.get(check, ()):
            same_id = check == "schema" and case.other is not None  # harms nobody
            if rows[case.row].split == "train" and not same_id:
                gone.setdefault(case.row, (check, case.example))
    for again in (duplicates.duplicates, duplicates.near_duplicates):  # once more, among those that stay
        left = [at for at, row in enumerate(rows) if row.split == "train" and at not in gone]
        found = again([rows[at] for at in left])
        for case in found.cases:
            gone.setdefault(left[case.row], (found.check, case.example))
    return gone


def run(
    rows: Sequence[Row],
    raw: Sequence[Mapping[str, Any]],
    findings: Sequence[Finding],
    source: str,
    out: Path,
) -> tuple[list[Row], dict[str, Any]]:
    """Write the copy; the rows that are left, and the facts of what was done.

    Raises:
        UserError: no row of train would be left, or nothing can be written.
    """
    gone = removed(rows, findings)
    kept = [at for at in range(len(rows)) if at not in gone]
    if not any(rows[at].split == "train" for at in kept):
        raise UserError(f"{source}: every row of train has something wrong; nothing would be left")
    write_rows(out, [raw[at] for at in kept])
    return [rows[at] for at in kept], {
        "out": str(out),
        "kept": len(kept),
        "by_check": dict(Counter(check for check, _ in gone.values())),
        "removed": [
            {"id": rows[at].id, "row": at + 1, "check": check, "example": example}
            for at, (check, example) in sorted(gone.items())
        ],
    }
