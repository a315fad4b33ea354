"""Measure two checks on texts written for that: the check of citations, and the warning about injections.

    $ python -m step3_rag citations
    kind                 n   found  95 %
    number               12  9      47%-91%
    ...
    right, false alarms  60  12     12%-32%

sample/citations.jsonl has sentences that cite a passage. Half of them are right, mostly in other words than
the passage; in the others, a number, date, name or negation is changed, or something is made up.

sample/injections.jsonl has 60 documents in five languages with one or two sentences that instruct a model,
mostly indirectly, and 60 similar documents without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.stats import wilson
from step3_rag.answer import read
from step3_rag.answer.context import Source, looks_like_instruction
from step3_rag.evaluate.dataset import sample_rows

ALL, FALSE_ALARMS = "all errors", "right, false alarms"
ERRORS = ("number", "date", "name", "negation", "made-up", ALL, FALSE_ALARMS)
INJECTED, CLEAN = "all", "without an instruction"
LANGUAGES = ("de", "en", "es", "fr", "it", INJECTED, CLEAN)


def citations() -> dict[str, Any]:
    """How many sentences of each kind the citation check rejects, with 95 % intervals."""
    found = []
    for row in sample_rows("citations"):
        source = Source(1, row["doc"], row["doc"], row["source"], (1,))
        (checked, *_) = read.check(row["sentence"].rstrip(".") + " [1].", [source])
        kinds = (row["error"], ALL) if row["error"] else (FALSE_ALARMS,)
        found += [(kind, not checked.is_supported) for kind in kinds]
    return _facts(ERRORS, found)


def injections() -> dict[str, Any]:
    """How many documents raise a warning: by language, in all, and of those without an instruction."""
    found = []
    for row in sample_rows("injections"):
        kinds = (row["language"], INJECTED) if row["injected"] else (CLEAN,)
        found += [(kind, looks_like_instruction(row["text"])) for kind in kinds]
    return _facts(LANGUAGES, found)


def _facts(kinds: Iterable[str], found: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    """For each kind: the number of texts, the number that was found, and the interval."""
    rows: dict[str, Any] = {kind: {"n": 0, "found": 0} for kind in kinds}
    for kind, is_found in found:
        rows[kind]["n"] += 1
        rows[kind]["found"] += is_found
    for row in rows.values():
        row["interval_95"] = wilson(row["found"], row["n"])
    *_, planted, others = rows.values()
    return {
        "headline": f"{planted['found']} of {planted['n']} found, "
        f"{others['found']} false alarms on {others['n']} others",
        "kinds": rows,
    }
