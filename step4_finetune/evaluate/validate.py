"""The evaluator evaluated: its verdicts held against replies that were labelled by hand.

    verdict     n  said  right  missed          precision             recall  kappa
    greeting   70     4      4       0  1.00 [0.51, 1.00]  1.00 [0.51, 1.00]   1.00
    ...
    unfaithful 100   48     47       9  0.98 [0.89, 1.00]  0.84 [0.72, 0.91]   0.63

A row of labelled.jsonl names a message, its notes, a reply, the rules that the reply breaks (`breaks`), and
whether it is `faithful`: says what the notes say, and nothing else. Precision is the share of broken ones
among those called broken, and recall the share of broken ones that were found. Replies without a body are not
counted for rules that only forbid: those are broken there by definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import stats
from shared.errors import UserError
from step4_finetune.data.files import read_jsonl, require_texts
from step4_finetune.tone.scores import score

if TYPE_CHECKING:
    from rich.console import Console

    from step4_finetune.tone.rules import Guide


@dataclass(frozen=True)
class Measured:
    """How one verdict of the evaluator does on labelled replies."""

    name: str
    n: int
    said: int  # how often it says so
    right: int  # of those, rightly
    missed: int
    kappa: float | None

    @property
    def precision(self) -> float | None:
        """None where it never said so."""
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """None where there was nothing to find."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    def as_json(self) -> dict[str, Any]:
        """Its figures with 95 % intervals."""
        return {
            "name": self.name,
            "n": self.n,
            "said": self.said,
            "right": self.right,
            "missed": self.missed,
            "precision": self.precision,
            "precision_interval": list(stats.wilson(self.right, self.said)) if self.said else None,
            "recall": self.recall,
            "recall_interval": list(stats.wilson(self.right, self.right + self.missed))
            if self.recall is not None
            else None,
            "kappa": self.kappa,
        }


def measure(rows: Sequence[Mapping[str, Any]], guide: Guide) -> list[Measured]:
    """One line per rule of the guide (found broken), and one for what is not faithful, where rows label it.

    Raises:
        UserError: a row names a rule that there isn't.
    """
    ids, found = [rule.id for rule in guide.rules], []
    for row in rows:
        if unknown := [each for each in row.get("breaks") or () if each not in ids]:
            raise UserError(
                f"row {row.get('id')} breaks {unknown[0]!r}: the guide's rules are {', '.join(ids)}"
            )
        found.append(score(row["reply"], guide, row.get("notes") or (), row["message"]))
    both = list(zip(rows, found, strict=True))
    found = []
    for rule in guide.rules:
        judged = [
            (row, score)
            for row, score in both
            if row.get("breaks") is not None and not (rule.only_forbids and "empty" in score.problems)
        ]
        pairs = [(not score.rules[rule.id], rule.id in row["breaks"]) for row, score in judged]
        found += [_measured(rule.id, pairs)] if pairs else []
    known = [
        (not score.faithful, not row["faithful"])
        for row, score in both
        if score.faithful is not None and row.get("faithful") is not None
    ]
    return [*found, *([_measured("unfaithful", known)] if known else [])]


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance; 1 is full, 0 is what chance alone gives.

    None where there is nothing to agree on: no pairs, or both always say the same one thing.

    >>> kappa([(True, True), (True, False), (False, False), (False, False)])
    0.5
    """
    n = len(pairs)
    if not n:
        return None
    observed = sum(a == b for a, b in pairs) / n
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    chance = first * second + (1 - first) * (1 - second)
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _measured(name: str, pairs: Sequence[tuple[bool, bool]]) -> Measured:
    said, right = sum(said for said, _ in pairs), sum(said and label for said, label in pairs)
    missed = sum(label and not said for said, label in pairs)
    return Measured(name, len(pairs), said, right, missed, kappa(pairs))


def read_labelled(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of labelled replies, one JSON object a line.

    Raises:
        UserError: it can't be read, or a row lacks something; names the line.
    """
    rows = []
    for number, row in read_jsonl(path):
        require_texts(row, ("message", "reply"), f"{path}:{number}")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def show(console: Console, measured: Sequence[Measured]) -> None:
    """The table for people."""
    from shared.cli import plain_table

    heads = ("n", "said", "right", "missed", "precision", "recall", "kappa")
    table = plain_table("verdict", *heads, right=heads)
    for each in measured:
        table.add_row(
            each.name,
            *map(str, (each.n, each.said, each.right, each.missed)),
            _share(each.right, each.said),
            _share(each.right, each.right + each.missed),
            "-" if each.kappa is None else f"{each.kappa:.2f}",
        )
    console.print(table)


def _share(hits: int, n: int) -> str:
    if not n:
        return "-"
    low, high = stats.wilson(hits, n)
    return f"{hits / n:.2f} [{low:.2f}, {high:.2f}]"
