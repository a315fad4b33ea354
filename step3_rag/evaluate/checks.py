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

from typing import NamedTuple

from shared.stats import share
from step3_rag.answer import read
from step3_rag.answer.context import Source, looks_like_instruction
from step3_rag.evaluate.dataset import sample_rows
from step3_rag.evaluate.measurement import Measurement


class Checked(NamedTuple):
    """A text, and whether the check found something in it."""

    kind: str  # of what was planted in it; "": nothing
    flagged: bool


def citations() -> Measurement:
    """How many sentences of each kind of error the citation check rejects, and how many right ones."""
    texts = []
    for row in sample_rows("citations"):
        source = Source(1, row["doc"], row["doc"], row["source"], (1,))
        (sentence, *_) = read.check(row["sentence"].rstrip(".") + " [1].", [source])
        texts.append(Checked(row["error"], not sentence.is_supported))
    return measure("citations", texts, "all errors", "right, false alarms")


def injections() -> Measurement:
    """How many documents raise a warning: by language, and of those without an instruction."""
    texts = []
    for row in sample_rows("injections"):
        kind = row["language"] if row["injected"] else ""
        texts.append(Checked(kind, looks_like_instruction(row["text"])))
    return measure("injections", texts, "all", "without an instruction")


def measure(command: str, texts: list[Checked], planted: str, others: str) -> Measurement:
    """The share flagged of each kind, of all kinds (a row `planted`), and of texts without one (`others`)."""
    by_kind: dict[str, list[bool]] = {}
    for text in sorted(texts):
        by_kind.setdefault(text.kind, []).append(text.flagged)
    clean = by_kind.pop("")
    by_kind[planted] = [text.flagged for text in texts if text.kind]
    by_kind[others] = clean
    hits = by_kind[planted]
    return Measurement(
        command=f"step3_rag {command}",
        headline=f"{sum(hits)} of {len(hits)} found, {sum(clean)} false alarms on {len(clean)} others",
        tables={"kind": {kind: {"found": share(sum(flags), len(flags))} for kind, flags in by_kind.items()}},
        note=f"{len(texts)} texts of the sample",
    )
