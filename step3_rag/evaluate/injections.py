"""How many documents that carry an instruction to a model are warned about, and how many that carry none?

    $ python -m step3_rag injections
    language    n  warned about
    en         24  ...

sample/injections.jsonl has 60 documents in five languages of which one or two sentences instruct a model that
reads them, mostly in roundabout words, and 60 of the same kinds without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step3_rag import SAMPLE
from step3_rag.answer.context import is_order

if TYPE_CHECKING:
    from rich.console import Console

NONE = "without an instruction"


def run(path: Path = SAMPLE / "injections.jsonl") -> dict[str, Any]:
    """Documents that are warned about, by language and for those without an instruction."""
    found: dict[str, list[bool]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        warned = is_order(row["text"])
        for kind in (row["language"], "all") if row["injected"] else (NONE,):
            found.setdefault(kind, []).append(warned)
    rows = {
        kind: {"n": len(each), "warned": sum(each), "interval": wilson(sum(each), len(each))}
        for kind, each in found.items()
    }
    return {
        "command": "step3_rag injections",
        "headline": f"{rows['all']['warned']} of {rows['all']['n']} documents with an instruction are warned "
        f"about, {rows[NONE]['warned']} of {rows[NONE]['n']} without",
        "documents": rows,
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """One line a language, then all, then the false alarms."""
    from shared.cli import plain_table

    table = plain_table("documents", "n", "warned about", "95 %")
    rows = facts["documents"]
    for kind in sorted(rows, key=lambda each: (each == NONE, each == "all", each)):
        low, high = rows[kind]["interval"]
        table.add_row(kind, str(rows[kind]["n"]), str(rows[kind]["warned"]), f"{low:.0%}-{high:.0%}")
    console.print(table)
