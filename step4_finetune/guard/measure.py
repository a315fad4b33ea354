"""Catch rate and false-alarm rate of each check on labelled sets, with intervals.

The sets in sample/guard were written by hand, half dev, half test, and the patterns by looking at dev only.
One person wrote both halves, so test resembles dev; in texts by other people, the checks may catch less. Tone
and facts are measured on the rows (rejected replies should be caught, chosen ones not), and so are the false
alarms of all checks together on messages and chosen replies.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from shared.personal import personal
from shared.stats import wilson
from step4_finetune.data.curate.finding import replies
from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import FACTS, SAMPLE, Row
from step4_finetune.guard import injection
from step4_finetune.guard.around import INPUT, OUTPUT, check_input
from step4_finetune.guard.reply import leaked, too_short_or_long, wrong
from step4_finetune.tone.rules import Guide

SETS = SAMPLE.with_name("guard")
CLEAN = {"injection": "clean", "length": "fine", "leak": "clean"}  # the label of a good text
PERSONAL = {"email": "e-mail address", "phone": "telephone number", "card": "card number", "iban": "IBAN"}
SPLITS = ("dev", "test")
ANY = "any, on the rows"
CHECKS = (
    *(("pii", INPUT), ("injection", INPUT), (ANY, INPUT)),
    *(("length", OUTPUT), ("leak", OUTPUT), ("tone", OUTPUT), ("facts", OUTPUT), (ANY, OUTPUT)),
)
Outcomes = list[tuple[bool, bool]]  # of each text: whether it should be caught, and whether it was


def read_set(name: str) -> list[dict[str, Any]]:
    """A labelled set: text, split, and a label (a word; for pii a list of kinds)."""
    return [row for _, row in read_jsonl(SETS / f"{name}.jsonl")]


def measure(guide: Guide, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rates of each check on each split."""
    found: dict[tuple[str, str, str], Outcomes] = defaultdict(list)
    for each in read_set("pii"):
        seen, label = {one.kind for one in personal(each["text"])}, {PERSONAL[kind] for kind in each["label"]}
        caught = seen >= label if label else bool(seen)  # every kind; in a clean text any
        found["pii", INPUT, each["split"]].append((bool(label), caught))
    objects: dict[tuple[str, str], Callable[[str], Any]] = {
        ("injection", INPUT): injection.find,
        ("length", OUTPUT): lambda text: too_short_or_long(guide.parts(text), guide),
        ("leak", OUTPUT): lambda text: leaked(guide.parts(text), guide),
    }
    for (check, side), object_to in objects.items():
        for each in read_set(check):
            bad = each["label"] != CLEAN[check]
            found[check, side, each["split"]].append((bad, bool(object_to(each["text"]))))
    # Messages and chosen replies are good; rejected ones have wrong facts, or else a wrong tone.
    for row in (row for row in rows if row.split in SPLITS):
        found[ANY, INPUT, row.split].append((False, bool(check_input(row.message)[1])))
        objections = [
            {check for check, _ in wrong(reply, guide, row.notes, row.message)} for _, reply in replies(row)
        ]
        found[ANY, OUTPUT, row.split].append((False, bool(objections[0])))
        kind = "facts" if FACTS in (row.breaks or ()) else "tone"
        if row.rejected is not None:
            found[kind, OUTPUT, row.split] += [(False, kind in objections[0]), (True, kind in objections[1])]
    return [
        rates(check, side, split, found[check, side, split]) for check, side in CHECKS for split in SPLITS
    ]


def rates(check: str, side: str, split: str, outcomes: Outcomes) -> dict[str, Any]:
    """Catch rate and false-positive rate with 95 % intervals."""
    found: dict[str, Any] = {"check": check, "side": side, "split": split}
    for hits, of, rate, interval, wanted in (
        ("caught", "bad", "catch_rate", "catch_95", True),
        ("false_alarms", "clean", "false_positive_rate", "false_positive_95", False),
    ):
        caught = [each for bad, each in outcomes if bad is wanted]
        found |= {hits: sum(caught), of: len(caught)}
        found[rate] = sum(caught) / len(caught) if caught else None
        found[interval] = wilson(sum(caught), len(caught)) if caught else None
    return found
