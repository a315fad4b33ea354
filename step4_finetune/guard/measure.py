"""Catch rate and false-alarm rate of each check on labelled sets, with intervals.

The sets in sample/guard were written by hand, half dev, half test, and the patterns by looking at dev only.
One person wrote both halves, so test resembles dev; in texts by other people, the checks may catch less. Tone
and facts are measured on the rows (rejected replies should be caught, chosen ones not), and so are the false
alarms of all checks together on messages and chosen replies.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from shared import hardware
from shared.personal import personal
from step4_finetune.data.curate.finding import replies
from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import FACTS, SAMPLE, Row
from step4_finetune.evaluate.validate import share
from step4_finetune.guard import injection
from step4_finetune.guard.around import INPUT, OUTPUT, check_input
from step4_finetune.guard.reply import leaked, too_short_or_long, wrong
from step4_finetune.tone.rules import Guide

SETS = SAMPLE.with_name("guard")
SPLITS = ("dev", "test")
ANY = "rows, any check"
Outcomes = list[tuple[bool, bool]]  # of each text: whether it should be caught, and whether it was


def read_set(name: str) -> list[dict[str, Any]]:
    """A labelled set: text, split, and a label (a list of what is wrong, for pii of the kinds)."""
    return [row for _, row in read_jsonl(SETS / f"{name}.jsonl")]


def run(guide: Guide, rows: Sequence[Row]) -> dict[str, Any]:
    """The rates of each check on each split: the facts of `guard --measure`.

    Raises:
        UserError: Presidio is not installed.
    """
    found: dict[tuple[str, str, str], Outcomes] = defaultdict(list)
    objects: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
        ("pii", INPUT): _sees_personal_data,
        ("injection", INPUT): lambda each: injection.find(each["text"]),
        ("length", OUTPUT): lambda each: too_short_or_long(guide.parts(each["text"]), guide),
        ("leak", OUTPUT): lambda each: leaked(guide.parts(each["text"]), guide),
    }
    for (check, side), object_to in objects.items():
        for each in read_set(check):
            found[check, side, each["split"]].append((bool(each["label"]), bool(object_to(each))))
    # Messages and chosen replies are good; rejected ones have wrong facts, or else a wrong tone.
    for row in (row for row in rows if row.split in SPLITS):
        objections = [
            {check for check, _ in wrong(reply, guide, row.notes, row.message)} for _, reply in replies(row)
        ]
        kind = "facts" if FACTS in (row.breaks or ()) else "tone"
        if row.rejected is not None:
            found[kind, OUTPUT, row.split] += [(False, kind in objections[0]), (True, kind in objections[1])]
        found[ANY, INPUT, row.split].append((False, bool(check_input(row.message)[1])))
        found[ANY, OUTPUT, row.split].append((False, bool(objections[0])))
    measured = [rates(*key, outcomes) for key, outcomes in sorted(found.items())]
    of_test = [row for row in measured if row["split"] == "test" and row["caught"]]
    low = min(of_test, key=lambda row: row["caught"].share)
    return {
        "command": "step4_finetune guard",
        "headline": f"least caught on test: {low['check']} {low['caught'].share:.0%}",
        "rates": measured,
        "machine": hardware.describe(),
    }


def _sees_personal_data(text: dict[str, Any]) -> bool:
    """Whether every labelled kind is found; in a text without any, whether one is."""
    seen = {each.kind for each in personal(text["text"])}
    return bool(seen) and seen >= set(text["label"])


def rates(check: str, side: str, split: str, outcomes: Outcomes) -> dict[str, Any]:
    """The shares of bad texts that are caught, and of good ones that cause a false alarm."""
    caught, alarms = (share([each for bad, each in outcomes if bad is wanted]) for wanted in (True, False))
    return {"check": check, "side": side, "split": split, "caught": caught, "false_alarms": alarms}
