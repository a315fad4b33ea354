"""Measure two checks on texts written for that: the check of citations, and the warning about injections.

    $ python -m step3_rag citations
    kind                              found
    date                12/12 100% (76-100)
    ...
    right, false alarms   12/60 20% (12-32)

sample/citations.jsonl has sentences that cite a passage. Half of them are right, mostly in other words than
the passage; in the others, a number, date, name or negation is changed, or something is made up.

sample/injections.jsonl has 60 documents in five languages with one or two sentences that instruct a model,
mostly indirectly, and 60 similar documents without.
"""

from collections.abc import Sequence
from typing import Any

from shared.stats import share
from step3_rag.answer import read
from step3_rag.answer.context import Source, looks_like_instruction
from step3_rag.evaluate.dataset import sample_rows


def citations() -> dict[str, Any]:
    """How many sentences of each kind of error the citation check rejects, and how many right ones."""
    found = []
    for row in sample_rows("citations"):
        source = Source(1, row["doc"], row["doc"], row["source"], (1,))
        (checked, *_) = read.check(row["sentence"].rstrip(".") + " [1].", [source])
        found.append((row["error"], not checked.is_supported))
    return _facts(found, "all errors", "right, false alarms")


def injections() -> dict[str, Any]:
    """How many documents raise a warning: by language, and of those without an instruction."""
    found = [
        (row["language"] if row["injected"] else "", looks_like_instruction(row["text"]))
        for row in sample_rows("injections")
    ]
    return _facts(found, "all", "without an instruction")


def _facts(found: Sequence[tuple[str, bool]], planted: str, others: str) -> dict[str, Any]:
    """The share found of each kind, of all kinds (`planted`), and of the texts without a kind (`others`)."""
    kinds = {
        kind: [hit for each, hit in found if each == kind] for kind in sorted({each for each, _ in found})
    }
    right = kinds.pop("")
    kinds |= {planted: [hit for hits in kinds.values() for hit in hits], others: right}
    rows = {kind: {"found": share(sum(hits), len(hits))} for kind, hits in kinds.items()}
    return {
        "headline": f"{sum(kinds[planted])} of {len(kinds[planted])} found, "
        f"{sum(right)} false alarms on {len(right)} others",
        "tables": {"kind": rows},
        "note": f"{len(found)} texts of the sample",
    }
