"""How much each check catches, and how often it objects for nothing: on labelled sets, with intervals.

    check      side    split  caught         95 %   false alarms         95 %
    injection  input   test    20/20  0.84-1.00           0/20  0.00-0.16

The sets are in sample/guard, typed by hand, half dev, half test: patterns were made looking at dev alone. One
hand wrote both halves, so that test is unseen, but not unlike: what strangers will send is not in it. Tone
and facts are measured on the rows (rejected replies are to be caught, chosen ones are not), and so is what
all checks together object to in messages and replies in which nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step4_finetune.data.curate.finding import short
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


@dataclass(frozen=True)
class Outcome:
    """One text: whether it was to be caught, and whether it was."""

    text: str
    bad: bool
    caught: bool


Outcomes = Callable[[str], list[Outcome]]  # of a split


def read_set(name: str) -> list[dict[str, Any]]:
    """A labelled set: text, split, and a label, which is a word, or for pii a list of kinds."""
    return [row for _, row in read_jsonl(SETS / f"{name}.jsonl")]


def measure(guide: Guide, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A row of rates for each check and split."""
    return [
        rates(name, side, split, outcomes_of(split))
        for name, side, outcomes_of in _measures(guide, rows)
        for split in SPLITS
    ]


def _measures(guide: Guide, rows: Sequence[Row]) -> Iterable[tuple[str, str, Outcomes]]:
    """Each check with its side, and how its outcomes come from the name of a split."""

    def of_set(name: str, objects: Callable[[str], bool]) -> Outcomes:
        texts = read_set(name)
        return lambda split: [
            Outcome(each["text"], each["label"] != CLEAN[name], objects(each["text"]))
            for each in texts
            if each["split"] == split
        ]

    def of_personal(split: str) -> list[Outcome]:
        return [
            Outcome(each["text"], bool(each["label"]), finds(each["label"], each["text"]))
            for each in read_set("pii")
            if each["split"] == split
        ]

    def of_pairs(name: str) -> Outcomes:
        """Of the rows whose rejected reply is wrong in its tone, or else in its facts."""
        return lambda split: [
            Outcome(reply, bad, name in {check for check, _ in objections(reply, row)})
            for row in rows
            if row.split == split and row.rejected is not None
            if (FACTS in (row.breaks or ())) == (name == "facts")
            for reply, bad in ((row.chosen, False), (row.rejected, True))
        ]

    def objections(reply: str, row: Row) -> list[tuple[str, str]]:
        return wrong(reply, guide, row.notes, row.message)

    def of_good(text: Callable[[Row], str], objects: Callable[[Row], bool]) -> Outcomes:
        """Of texts in which nothing is wrong."""
        return lambda split: [Outcome(text(row), False, objects(row)) for row in rows if row.split == split]

    any_check = "any, on the rows"
    yield "pii", INPUT, of_personal
    yield "injection", INPUT, of_set("injection", lambda text: injection.find(text) is not None)
    yield any_check, INPUT, of_good(lambda row: row.message, lambda row: bool(check_input(row.message)[1]))
    yield "length", OUTPUT, of_set("length", lambda text: bool(too_short_or_long(guide.parts(text), guide)))
    yield "leak", OUTPUT, of_set("leak", lambda text: bool(leaked(guide.parts(text), guide)))
    yield "tone", OUTPUT, of_pairs("tone")
    yield "facts", OUTPUT, of_pairs("facts")
    yield any_check, OUTPUT, of_good(lambda row: row.chosen, lambda row: bool(objections(row.chosen, row)))


def finds(label: Sequence[str], text: str) -> bool:
    """Whether everything personal that the label names was found; for a clean text, whether anything was."""
    found = {each.kind for each in personal(text)}
    return found >= {PERSONAL[each] for each in label} if label else bool(found)


def rates(check: str, side: str, split: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Catch rate and false-positive rate with 95 % intervals; of dev, the texts that went wrong."""
    bad = [each.caught for each in outcomes if each.bad]
    clean = [each.caught for each in outcomes if not each.bad]
    wrong_ones = [short(each.text) for each in outcomes if each.bad != each.caught]
    return {
        "check": check,
        "side": side,
        "split": split,
        "caught": sum(bad),
        "bad": len(bad),
        "catch_rate": sum(bad) / len(bad) if bad else None,
        "catch_95": wilson(sum(bad), len(bad)) if bad else None,
        "false_alarms": sum(clean),
        "clean": len(clean),
        "false_positive_rate": sum(clean) / len(clean) if clean else None,
        "false_positive_95": wilson(sum(clean), len(clean)) if clean else None,
        **({"wrong": wrong_ones} if split == "dev" else {}),  # test stays unseen
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The rates as a table."""
    from shared.cli import plain_table

    heads = ("caught", "95 %", "false alarms", "95 %")
    table = plain_table("check", "side", "split", *heads, right=heads)
    for row in facts["rates"]:
        table.add_row(
            row["check"],
            row["side"],
            row["split"],
            *_of(row["caught"], row["bad"], row["catch_95"]),
            *_of(row["false_alarms"], row["clean"], row["false_positive_95"]),
        )
    console.print(table)
    console.print(
        "\nPatterns were made on dev. One hand wrote dev and test: strangers write otherwise. "
        f"{facts['machine']}",
        soft_wrap=True,
    )


def _of(hits: int, n: int, interval: Sequence[float] | None) -> tuple[str, str]:
    return (f"{hits}/{n}", f"{interval[0]:.2f}-{interval[1]:.2f}") if interval else ("-", "-")
