"""Does the check of citations find what is wrong? Right sentences, and ones with a planted error.

    $ python -m step3_rag citations
    kind        n   found
    number     12  11  (65-99 %)
    ...
    right      60   6  (5-20 %)    false alarms

Each row of sample/citations.jsonl is a sentence that cites a passage. Half of them are right, most of these
in other words; in the others, one number, date, name or negation is changed, or something is made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step3_rag import SAMPLE
from step3_rag.answer import read
from step3_rag.answer.context import Source

if TYPE_CHECKING:
    from rich.console import Console

KINDS = ("number", "date", "name", "negation", "made-up")


def run(path: Path = SAMPLE / "citations.jsonl") -> dict[str, Any]:
    """How many sentences of each kind the check finds wrong, with 95 % intervals."""
    found: dict[str, list[bool]] = {kind: [] for kind in (*KINDS, "right")}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        source = Source(1, row["doc"], row["doc"], row["source"], (1,))
        (checked, *_) = read.check(row["sentence"].rstrip(".") + " [1].", [source])
        found[row["error"] or "right"].append(not checked.is_supported)
    found["wrong"] = [each for kind in KINDS for each in found[kind]]
    rows = {
        kind: {"n": len(each), "found": sum(each), "interval": wilson(sum(each), len(each))}
        for kind, each in found.items()
    }
    wrong, right = rows["wrong"], rows["right"]
    return {
        "command": "step3_rag citations",
        "headline": f"{wrong['found']} of {wrong['n']} planted errors found, "
        f"{right['found']} false alarms on {right['n']} right sentences",
        "kinds": rows,
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """One line a kind of error, then both sums."""
    from shared.cli import plain_table

    table = plain_table("kind", "n", "found", "95 %")
    for kind in (*KINDS, "wrong", "right"):
        row = facts["kinds"][kind]
        low, high = row["interval"]
        table.add_row(
            {"wrong": "all errors", "right": "right, false alarms"}.get(kind, kind),
            str(row["n"]),
            str(row["found"]),
            f"{low:.0%}-{high:.0%}",
        )
    console.print(table)
