"""How much each check catches, and how often it objects for nothing: on labelled sets, with intervals.

    check      side    split  caught         95 %   false alarms         95 %
    injection  input   test    20/20  0.84-1.00           0/20  0.00-0.16

The sets are in sample/guard, typed by hand, half dev, half test: patterns were made looking at dev alone. One
hand wrote both halves, so that test is unseen, but not unlike: what strangers will send is not in it. Tone
and facts are measured on the rows (rejected replies are to be caught, chosen ones are not), and so is what
all checks together object to in messages and replies in which nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
ANY = "any, on the rows"
CHECKS = (
    *(("pii", INPUT), ("injection", INPUT), (ANY, INPUT)),
    *(("length", OUTPUT), ("leak", OUTPUT), ("tone", OUTPUT), ("facts", OUTPUT), (ANY, OUTPUT)),
)


@dataclass(frozen=True)
class Outcome:
    """One text that a check looked at: whether it was to be caught, and whether it was."""

    check: tuple[str, str]  # with its side
    split: str
    text: str
    bad: bool
    caught: bool


def read_set(name: str) -> list[dict[str, Any]]:
    """A labelled set: text, split, and a label, which is a word, or for pii a list of kinds."""
    return [row for _, row in read_jsonl(SETS / f"{name}.jsonl")]


def measure(guide: Guide, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A row of rates for each check and split."""
    found = [*of_sets(guide), *of_rows(guide, [row for row in rows if row.split in SPLITS])]
    return [
        rates(check, split, [each for each in found if (each.check, each.split) == (check, split)])
        for check in CHECKS
        for split in SPLITS
    ]


def of_sets(guide: Guide) -> Iterator[Outcome]:
    """What the checks say of the labelled sets."""
    for each in read_set("pii"):
        caught = finds(each["label"], each["text"])
        yield Outcome(("pii", INPUT), each["split"], each["text"], bool(each["label"]), caught)
    objects: dict[tuple[str, str], Callable[[str], Any]] = {
        ("injection", INPUT): injection.find,
        ("length", OUTPUT): lambda text: too_short_or_long(guide.parts(text), guide),
        ("leak", OUTPUT): lambda text: leaked(guide.parts(text), guide),
    }
    for check, object_to in objects.items():
        for each in read_set(check[0]):
            bad, caught = each["label"] != CLEAN[check[0]], bool(object_to(each["text"]))
            yield Outcome(check, each["split"], each["text"], bad, caught)


def of_rows(guide: Guide, rows: Sequence[Row]) -> Iterator[Outcome]:
    """What they say of messages and chosen replies, in which nothing is wrong, and of rejected replies, in
    whose facts or else tone something is."""
    for row in rows:
        found = bool(check_input(row.message)[1])
        yield Outcome((ANY, INPUT), row.split, row.message, False, found)
        said = {check for check, _ in wrong(row.chosen, guide, row.notes, row.message)}
        yield Outcome((ANY, OUTPUT), row.split, row.chosen, False, bool(said))
        if row.rejected is not None:
            kind = "facts" if FACTS in (row.breaks or ()) else "tone"
            yield Outcome((kind, OUTPUT), row.split, row.chosen, False, kind in said)
            said = {check for check, _ in wrong(row.rejected, guide, row.notes, row.message)}
            yield Outcome((kind, OUTPUT), row.split, row.rejected, True, kind in said)


def finds(label: Sequence[str], text: str) -> bool:
    """Whether everything personal that the label names was found; for a clean text, whether anything was."""
    found = {each.kind for each in personal(text)}
    return found >= {PERSONAL[each] for each in label} if label else bool(found)


def rates(check: tuple[str, str], split: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Catch rate and false-positive rate with 95 % intervals; of dev, the texts that went wrong."""
    bad = [each.caught for each in outcomes if each.bad]
    clean = [each.caught for each in outcomes if not each.bad]
    wrong_ones = [short(each.text) for each in outcomes if each.bad != each.caught]
    return {
        "check": check[0],
        "side": check[1],
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
