"""How much each check catches, and how often it objects for nothing: on labelled sets, with intervals.

    check      side    split  caught         95 %   false alarms         95 %
    injection  input   test    20/20  0.84-1.00           0/20  0.00-0.16

The sets are in sample/guard, typed by hand, half dev, half test: patterns and thresholds were made looking
at dev alone. One hand wrote both halves, so that test is unseen, but not unlike: what strangers will send is
not in it. Tone and facts are measured on the rows (rejected replies are to be caught, chosen ones are not),
and so is what all checks together object to in messages and replies in which nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.stats import wilson
from step4_finetune.data.curate.finding import short
from step4_finetune.data.files import read_jsonl, require_texts
from step4_finetune.data.rows import FACTS, SAMPLE, Row
from step4_finetune.guard import injection, pii
from step4_finetune.guard.around import check_input
from step4_finetune.guard.finding import INPUT, OUTPUT
from step4_finetune.guard.language import is_english
from step4_finetune.guard.reply import Limits, leaked, too_short_or_long, wrong

if TYPE_CHECKING:
    from rich.console import Console

    from step4_finetune.guard.topic import Topic
    from step4_finetune.tone.rules import Guide

SETS = SAMPLE.with_name("guard")
CLEAN = {  # what a text is called that the check should leave alone
    "injection": "clean",
    "offtopic": "ontopic",
    "language": "english",
    "length": "fine",
    "leak": "clean",
}
SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Labelled:
    """A text and its label: a word, or for pii a list of kinds."""

    text: str
    label: Any
    split: str


@dataclass(frozen=True)
class Outcome:
    """One text: whether it was to be caught, and whether it was."""

    text: str
    bad: bool
    caught: bool


def read_set(name: str, folder: Path = SETS) -> list[Labelled]:
    """A labelled set.

    Raises:
        UserError: it can't be read, or a line of it is wrong.
    """
    path, found = folder / f"{name}.jsonl", []
    for number, row in read_jsonl(path):
        require_texts(row, ("text", "split"), f"{path}:{number}")
        found.append(Labelled(row["text"], row.get("label"), row["split"]))
    return found


def off_topic_dev(folder: Path = SETS) -> list[tuple[str, bool]]:
    """The labelled messages for the threshold; True is off topic."""
    return [
        (each.text, each.label == "offtopic") for each in read_set("offtopic", folder) if each.split == "dev"
    ]


def measure(
    guide: Guide, rows: Sequence[Row], topic: Topic, limits: Limits, folder: Path = SETS
) -> list[dict[str, Any]]:
    """A row of rates for each check and split."""
    found = []
    for name, side, outcomes_of in _measures(guide, rows, topic, limits, folder):
        for split in SPLITS:
            found.append(rates(name, side, split, outcomes_of(split)))
    return found


def _measures(
    guide: Guide, rows: Sequence[Row], topic: Topic, limits: Limits, folder: Path
) -> Iterable[tuple[str, str, Callable[[str], list[Outcome]]]]:
    """Each check with its side, and how its outcomes come from the name of a split."""

    def of_set(name: str, objects: Callable[[str], bool]) -> Callable[[str], list[Outcome]]:
        texts = read_set(name, folder)
        return lambda split: [
            Outcome(each.text, each.label != CLEAN[name], objects(each.text))
            for each in texts
            if each.split == split
        ]

    def personal(split: str) -> list[Outcome]:
        return [
            Outcome(each.text, bool(each.label), finds(each.label, each.text))
            for each in read_set("pii", folder)
            if each.split == split
        ]

    def of_pairs(name: str, split: str) -> list[Outcome]:
        """Of the rows whose rejected reply is wrong in its tone, or else in its facts."""
        return [
            Outcome(reply, bad, name in {check for check, _ in objections(reply, row)})
            for row in rows
            if row.split == split and row.rejected is not None
            if (FACTS in (row.breaks or ())) == (name == "facts")
            for reply, bad in ((row.chosen, False), (row.rejected, True))
        ]

    def objections(reply: str, row: Row) -> list[tuple[str, str]]:
        return wrong(reply, guide, limits, row.notes, row.message)

    def all_of_message(split: str) -> list[Outcome]:
        return [
            Outcome(row.message, False, bool(check_input(row.message, topic, limits)[1]))
            for row in rows
            if row.split == split
        ]

    def all_of_reply(split: str) -> list[Outcome]:
        return [
            Outcome(row.chosen, False, bool(objections(row.chosen, row)))
            for row in rows
            if row.split == split
        ]

    yield "pii", INPUT, personal
    yield "injection", INPUT, of_set("injection", lambda text: injection.find(text) is not None)
    yield "offtopic", INPUT, of_set("offtopic", topic.is_off)
    yield "language", INPUT, of_set("language", lambda text: is_english(text) is False)
    yield "any, on the rows", INPUT, all_of_message
    yield (
        "length",
        OUTPUT,
        of_set("length", lambda text: bool(too_short_or_long(guide.parts(text), guide, limits))),
    )
    yield "leak", OUTPUT, of_set("leak", lambda text: bool(leaked(guide.parts(text), guide)))
    yield "tone", OUTPUT, lambda split: of_pairs("tone", split)
    yield "facts", OUTPUT, lambda split: of_pairs("facts", split)
    yield "any, on the rows", OUTPUT, all_of_reply


def finds(label: Sequence[str], text: str) -> bool:
    """Whether everything personal that the label names was found; for a clean text, whether anything was."""
    found = {each.kind for each in pii.find(text)}
    return found >= {pii.LABELS[each] for each in label} if label else bool(found)


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
        "\nPatterns and thresholds were made on dev. One hand wrote dev and test: strangers write otherwise.",
        soft_wrap=True,
    )


def _of(hits: int, n: int, interval: Sequence[float] | None) -> tuple[str, str]:
    return (f"{hits}/{n}", f"{interval[0]:.2f}-{interval[1]:.2f}") if interval else ("-", "-")
