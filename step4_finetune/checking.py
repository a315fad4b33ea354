"""The evaluator evaluated: its verdicts held against replies that were labelled by hand.

    verdict     n  said  right  missed          precision             recall  kappa
    greeting   70     4      4       0  1.00 [0.51, 1.00]  1.00 [0.51, 1.00]   1.00
    ...
    fits       70    48     47       9  0.98 [0.89, 1.00]  0.84 [0.72, 0.91]   0.63

A row of labelled.jsonl names a message, its intent, a reply, the rules that the reply breaks (`breaks`),
whether it does what was asked (`fits`) and keeps subject and facts (`keeps`). For a rule, precision is the
share of broken ones among those called broken, and recall the share of broken ones that were found. Replies
without a body are not counted for rules that only forbid: those are broken there by definition.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import stats
from shared.errors import UserError, reason
from step4_finetune import content
from step4_finetune.judge import judge_of, kappa

if TYPE_CHECKING:
    from rich.console import Console

    from shared.config import Settings
    from step4_finetune.guide import Guide

FIELDS = {"message": str, "reply": str, "fits": bool}


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


def measure(
    rows: Sequence[Mapping[str, Any]], guide: Guide, intents: Mapping[str, content.Intent]
) -> list[Measured]:
    """One line per rule of the guide (found broken), and one for `fits` and `keeps`, where rows label them.

    Raises:
        UserError: a row names a rule or an intent that there isn't.
    """
    ids, scores = [rule.id for rule in guide.rules], []
    for row in rows:
        if unknown := [each for each in row.get("breaks") or () if each not in ids]:
            raise UserError(
                f"row {row.get('id')} breaks {unknown[0]!r}: the guide's rules are {', '.join(ids)}"
            )
        if (name := row.get("intent")) not in (None, *intents):
            raise UserError(f"row {row.get('id')} has the intent {name!r}: use {', '.join(intents)}")
        asked = {"subject": row.get("subject") or (), "facts": row.get("facts") or ()}
        intent = intents[name] if name else None
        scores.append(
            content.score(row["reply"], guide, intent, message=row["message"], others=intents, **asked)
        )
    both = list(zip(rows, scores, strict=True))
    found = []
    for rule in guide.rules:
        judged = [
            (row, score)
            for row, score in both
            if row.get("breaks") is not None and not (rule.only_forbids and "empty" in score.problems)
        ]
        pairs = [(not score.rules[rule.id], rule.id in row["breaks"]) for row, score in judged]
        found += [_measured(rule.id, pairs)] if pairs else []
    for name, verdict in VERDICTS.items():
        pairs = [(verdict(score), row.get(name)) for row, score in both]
        known = [(said, label) for said, label in pairs if said is not None and label is not None]
        found += [_measured(name, known)] if known else []
    return found


VERDICTS: dict[str, Callable[[content.Score], bool | None]] = {
    "fits": lambda score: score.fits,
    "keeps": lambda score: False not in (score.subject, score.facts),
}


def judged(
    settings: Settings, rows: Sequence[Mapping[str, Any]], intents: Mapping[str, content.Intent]
) -> list[Measured]:
    """The same for a judge model (judge.py) and `fits`; what it says that can't be read is not counted.

    Raises:
        UserError: the model can't be asked.
    """
    from shared.progress import count_bar

    ask, pairs = judge_of(settings, settings.model), []
    with count_bar("judging", len(rows)) as progress:
        for number, row in enumerate(rows, 1):
            said = ask(row["message"], row["reply"], intents.get(row.get("intent") or ""))
            pairs += [(said, row["fits"])] if said is not None else []
            progress(number, len(rows))
    return [_measured(f"fits, by {settings.model}", pairs)]


def halves(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The sample's odd rows, which its patterns were improved on, and its even ones, which were held out."""
    return {"improved on": list(rows[0::2]), "held out": list(rows[1::2])}


def crossed(
    rows: Sequence[Mapping[str, Any]], guide: Guide, intents: Mapping[str, content.Intent]
) -> dict[str, Any]:
    """Chosen replies of a data set: do they fit their own intent, and none of their topic's other messages?

    A reply under a message of another intent is wrong, so whatever fits there is a false fit.
    """
    bodies = [guide.parts(row["chosen"]).body for row in rows]
    own = own_n = false = false_n = 0
    for row, body in zip(rows, bodies, strict=True):
        for other in rows:
            if other is not row and (other["topic"] != row["topic"] or other["intent"] == row["intent"]):
                continue
            fit = content.fits(body, intents[other["intent"]], other["message"], intents)
            if other is row:
                own, own_n = own + bool(fit), own_n + 1
            else:
                false, false_n = false + bool(fit), false_n + 1
    return {
        "n": own_n,
        "fit": own,
        "fit_interval": list(stats.wilson(own, own_n)),
        "crossed": false_n,
        "false_fit": false,
        "false_fit_interval": list(stats.wilson(false, false_n)),
    }


def _measured(name: str, pairs: Sequence[tuple[bool, bool]]) -> Measured:
    said, right = sum(said for said, _ in pairs), sum(said and label for said, label in pairs)
    missed = sum(label and not said for said, label in pairs)
    return Measured(name, len(pairs), said, right, missed, kappa(pairs))


def read_labelled(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of labelled replies, one JSON object a line.

    Raises:
        UserError: it can't be read, or a row lacks something; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is no JSON: {reason(error)}") from None
        wrong = [
            name
            for name, kind in FIELDS.items()
            if not isinstance(row, dict) or not isinstance(row.get(name), kind)
        ]
        if wrong:
            raise UserError(f"{path}, line {number}: {wrong[0]} must be a {FIELDS[wrong[0]].__name__}")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def show(console: Console, measured: Sequence[Measured]) -> None:
    """The table for people."""
    from rich.table import Table

    table = Table("verdict", box=None)
    for head in ("n", "said", "right", "missed", "precision", "recall", "kappa"):
        table.add_column(head, justify="right")
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
