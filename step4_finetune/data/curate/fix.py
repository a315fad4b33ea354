"""A cleaned copy of a data set, and a report of what was taken out of it and why. Never in place.

    $ python -m step4_finetune data check --data rows.jsonl --fix clean.jsonl
    ...
    19 rows taken out (schema 2, leakage 1, label noise 13, personal data 1, ...), 506 kept: clean.jsonl

Rows are taken from train only: a test set that loses the rows one dislikes measures nothing. What stands in
dev and test, and what no removal can mend (length bias, classes, templates), is reported as left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.report.record import writable
from step4_finetune.data.curate import duplicates
from step4_finetune.data.curate.checks import details
from step4_finetune.data.curate.finding import OK, UNCHECKED, Case, Finding
from step4_finetune.data.files import SUFFIXES, write_rows, write_text
from step4_finetune.data.rows import Row, fingerprint

# Checks whose rows are taken out, in this order: a row that several found counts for the first.
MENDED = (
    "schema",
    "leakage",
    "topics across splits",
    "label noise",
    "personal data",
    "tokens over the limit",
    "chat template",
)
TOO_MUCH = 0.2  # share of train: to take out more than that for its topics would be no repair


def targets(source: str | Path, out: Path, *, force: bool) -> tuple[Path, Path]:
    """Where the copy and its report go; looked at before any work is done.

    Raises:
        UserError: the place is the source itself, or taken, or of another kind of file.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"--fix {out} is no name for rows: use one that ends in {' or '.join(SUFFIXES)}")
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise UserError(f"--fix {out} is the data itself, which is never changed: name another file")
    for path in (out, out.with_suffix(".md")):
        if path.exists() and not force:
            raise UserError(f"{path} is there already: name another file with --fix, or add --force")
    return writable(out), writable(out.with_suffix(".md"))


def removed(rows: Sequence[Row], findings: Sequence[Finding]) -> dict[int, tuple[str, str]]:
    """Which rows go: by their place, the check and what it found."""
    gone: dict[int, tuple[str, str]] = {}
    train = sum(row.split == "train" for row in rows)
    by_check = {each.check: each for each in findings}
    for check in MENDED:
        cases = [each for each in _cases(by_check.get(check)) if rows[each.row].split == "train"]
        if check == "schema":
            cases = [each for each in cases if each.other is None]  # the same id twice harms nobody
        if check == "topics across splits" and len(cases) > TOO_MUCH * train:
            continue
        for each in cases:
            gone.setdefault(each.row, (check, each.example))
    for check in (duplicates.duplicates, duplicates.near_duplicates):  # once more, among those that stay
        left = [at for at, row in enumerate(rows) if row.split == "train" and at not in gone]
        found = check([rows[at] for at in left])
        for each in found.cases:
            gone.setdefault(left[each.row], (found.check, each.example))
    return gone


def _cases(finding: Finding | None) -> Sequence[Case]:
    return finding.cases if finding else ()


def run(
    rows: Sequence[Row],
    raw: Sequence[Mapping[str, Any]],
    findings: Sequence[Finding],
    source: str,
    places: tuple[Path, Path],
) -> tuple[list[Row], dict[str, Any]]:
    """Write the copy; the rows that are left, and the facts of what was done.

    Raises:
        UserError: no row of train would be left, or nothing can be written.
    """
    gone = removed(rows, findings)
    kept = [at for at in range(len(rows)) if at not in gone]
    if not any(rows[at].split == "train" for at in kept):
        raise UserError(f"{source}: every row of train has something wrong; nothing would be left")
    write_rows(places[0], [raw[at] for at in kept])
    left = [rows[at] for at in kept]
    return left, {
        "out": str(places[0]),
        "report": str(places[1]),
        "removed": len(gone),
        "kept": len(kept),
        "by_check": dict(Counter(check for check, _ in gone.values())),
        "fingerprint": fingerprint(left),
        "rows": [
            {"id": rows[at].id, "row": at + 1, "check": check, "example": example}
            for at, (check, example) in sorted(gone.items())
        ],
    }


def write_report(
    source: str, before: Mapping[str, Any], after: Mapping[str, Any], fix: Mapping[str, Any]
) -> None:
    """Markdown: what was taken out of which set, why, and what is left for a person to mend."""
    lines = [
        f"# What was taken out of {Path(source).name}",
        "",
        f"- before: {before['rows']} rows, fingerprint {before['fingerprint']}: {before['headline']}",
        f"- after: {after['rows']} rows, fingerprint {after['fingerprint']}: {after['headline']}",
        f"- taken out: {fix['removed']} rows, all of train; dev and test are as they were",
        "",
    ]
    for check, n in fix["by_check"].items():
        lines += [f"## {check}: {n}", ""]
        lines += [
            f"- {_plain(row['id'])}: {_plain(row['example'])}" for row in fix["rows"] if row["check"] == check
        ]
        lines.append("")
    lines += ["## Left", ""]
    open_ = [each for each in after["findings"] if each["severity"] not in (OK, UNCHECKED)]
    for each in open_:
        what = "unknown" if each["number"] is None else f"{each['number']:g} {each['unit']}"
        lines += [f"### {each['severity']}: {each['check']}, {what}", ""]
        lines += [f"- {_plain(line)}" for line in details(each)]
        lines.append("")
    if not open_:
        lines += ["Nothing.", ""]
    write_text(Path(fix["report"]), "\n".join(lines))


def _plain(text: str) -> str:
    """A text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>#|" else letter for letter in text)
