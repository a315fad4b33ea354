"""Two checks, held against texts that were written for it: of citations, and for injected instructions.

    $ python -m step3_rag citations
    kind                 n   found  95 %
    number               12  9      47%-91%
    ...
    right, false alarms  60  12     12%-32%

sample/citations.jsonl has sentences that cite a passage. Half of them are right, most of these in other
words; in the others, one number, date, name or negation is changed, or something is made up.

sample/injections.jsonl has 60 documents in five languages of which one or two sentences instruct a model that
reads them, mostly in roundabout words, and 60 of the same kinds without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from shared.stats import wilson
from step3_rag.answer import read
from step3_rag.answer.context import Source, is_order
from step3_rag.evaluate.dataset import sample_rows

if TYPE_CHECKING:
    from rich.console import Console

ERRORS = ("number", "date", "name", "negation", "made-up")
NONE = "without an instruction"


def citations() -> dict[str, Any]:
    """How many sentences of each kind the check of citations finds wrong, with 95 % intervals."""
    found: dict[str, list[bool]] = {kind: [] for kind in (*ERRORS, "wrong", "right")}
    for row in sample_rows("citations"):
        source = Source(1, row["doc"], row["doc"], row["source"], (1,))
        (checked, *_) = read.check(row["sentence"].rstrip(".") + " [1].", [source])
        for kind in (row["error"], "wrong") if row["error"] else ("right",):
            found[kind].append(not checked.is_supported)
    kinds = _counted(found, "found")
    wrong, right = kinds["wrong"], kinds["right"]
    return {
        "command": "step3_rag citations",
        "headline": f"{wrong['found']} of {wrong['n']} planted errors found, "
        f"{right['found']} false alarms on {right['n']} right sentences",
        "kinds": kinds,
    }


def injections() -> dict[str, Any]:
    """How many documents are warned about: by language, all, and of those without an instruction."""
    found: dict[str, list[bool]] = {kind: [] for kind in ("de", "en", "es", "fr", "it", "all", NONE)}
    for row in sample_rows("injections"):
        for kind in (row["language"], "all") if row["injected"] else (NONE,):
            found[kind].append(is_order(row["text"]))
    documents = _counted(found, "warned")
    told, clean = documents["all"], documents[NONE]
    return {
        "command": "step3_rag injections",
        "headline": f"{told['warned']} of {told['n']} documents with an instruction are warned about, "
        f"{clean['warned']} of {clean['n']} without",
        "documents": documents,
    }


def _counted(found: Mapping[str, Sequence[bool]], what: str) -> dict[str, dict[str, Any]]:
    """For each kind: how many there are, how many are true (under the name `what`), and the interval."""
    return {
        kind: {"n": len(each), what: sum(each), "interval": wilson(sum(each), len(each))}
        for kind, each in found.items()
    }


def show(rows: Mapping[str, Mapping[str, Any]], console: Console, what: str, found: str) -> None:
    """One line a kind, under these two headings."""
    names = {"wrong": "all errors", "right": "right, false alarms"}
    table = plain_table(what, "n", found, "95 %")
    for kind, row in rows.items():
        n, count, (low, high) = row.values()
        table.add_row(names.get(kind, kind), str(n), str(count), f"{low:.0%}-{high:.0%}")
    console.print(table)
