"""How much each check catches, and how often it objects for nothing: on labelled sets, with intervals.

    check      side    split  caught         95 %   false alarms         95 %
    injection  input   test    20/20  0.84-1.00           0/20  0.00-0.16

The sets are in sample/guard, typed by hand, half dev, half test: patterns were made looking at dev alone. One
hand wrote both halves, so that test is unseen, but not unlike: what strangers will send is not in it. Tone
and facts are measured on the rows (rejected replies are to be caught, chosen ones are not), and so is what
all checks together object to in messages and replies in which nothing is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step4_finetune.data.curate.finding import replies
from step4_finetune.data.curate.personal import personal
from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import FACTS, SAMPLE, Row
from step4_finetune.guard import injection
from step4_finetune.guard.around import INPUT, OUTPUT, check_input
from step4_finetune.guard.reply import leaked, too_short_or_long, wrong

if TYPE_CHECKING:
    from rich.console import Console

    from step4_finetune.tone.rules import Guide

SETS = SAMPLE.with_name("guard")
CLEAN = {"injection": "clean", "length": "fine", "leak": "clean"}  # the label of a text to be left alone
PERSONAL = {"email": "e-mail address", "phone": "telephone number", "card": "card number", "iban": "IBAN"}
SPLITS = ("dev", "test")
ANY = "any, on the rows"
CHECKS = (
    *(("pii", INPUT), ("injection", INPUT), (ANY, INPUT)),
    *(("length", OUTPUT), ("leak", OUTPUT), ("tone", OUTPUT), ("facts", OUTPUT), (ANY, OUTPUT)),
)
Outcomes = list[tuple[bool, bool]]  # of each text: whether it was to be caught, and whether it was


def read_set(name: str) -> list[dict[str, Any]]:
    """A labelled set: text, split, and a label, which is a word, or for pii a list of kinds."""
    return [row for _, row in read_jsonl(SETS / f"{name}.jsonl")]


def measure(guide: Guide, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A row of rates for each check and split."""
    found: dict[tuple[str, str, str], Outcomes] = defaultdict(list)
    for each in read_set("pii"):
        seen, label = {one.kind for one in personal(each["text"])}, {PERSONAL[kind] for kind in each["label"]}
        caught = seen >= label if label else bool(seen)  # all that is personal; of a clean text anything
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
    # Nothing is wrong in messages and chosen replies; in rejected ones the facts are, or else the tone.
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


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The rates as a table."""
    from shared.cli import plain_table

    heads = ("caught", "95 %", "false alarms", "95 %")
    rows = []
    for row in facts["rates"]:
        caught = _of(row["caught"], row["bad"], row["catch_95"])
        alarms = _of(row["false_alarms"], row["clean"], row["false_positive_95"])
        rows.append([row["check"], row["side"], row["split"], *caught, *alarms])
    console.print(plain_table("check", "side", "split", *heads, rows=rows, right=heads))
    console.print(
        "\nPatterns were made on dev. One hand wrote dev and test: strangers write otherwise. "
        f"{facts['machine']}",
        soft_wrap=True,
    )


def _of(hits: int, n: int, interval: Sequence[float] | None) -> tuple[str, str]:
    return (f"{hits}/{n}", f"{interval[0]:.2f}-{interval[1]:.2f}") if interval else ("-", "-")
