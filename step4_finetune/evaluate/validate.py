"""The evaluator evaluated: its verdicts held against replies that were labelled by hand.

    verdict     n  said  right  missed          precision             recall  kappa
    greeting  140     7      7       2  1.00 [0.65, 1.00]  0.78 [0.45, 0.94]   0.87
    ...

A row of labelled.jsonl has a message, its notes, a reply, the rules that it breaks (`breaks`), and whether it
is `faithful`. Replies without a body are not counted for rules that only forbid: those are broken there by
definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware, stats
from shared.errors import UserError
from step4_finetune.data.files import read_jsonl, require_texts
from step4_finetune.tone.scores import score

if TYPE_CHECKING:
    from rich.console import Console

    from step4_finetune.tone.rules import Guide


def run(rows: Sequence[Mapping[str, Any]], guide: Guide) -> dict[str, Any]:
    """What the command `evaluator` says; see `measure`."""
    found = measure(rows, guide)
    last = found[-1]
    return {
        "command": "step4_finetune evaluator",
        "headline": f"{last['name']}: kappa {last['kappa'] or 0:.2f} on {last['n']} labelled replies",
        "n": len(rows),
        "verdicts": found,
        "machine": hardware.describe(),
    }


def measure(rows: Sequence[Mapping[str, Any]], guide: Guide) -> list[dict[str, Any]]:
    """One line per rule of the guide (found broken), and one for what is not faithful, where rows label it.

    Raises:
        UserError: a row names a rule that there isn't.
    """
    verdicts: dict[str, list[tuple[bool, bool]]] = {rule.id: [] for rule in guide.rules} | {"unfaithful": []}
    for row in rows:
        labels = row.get("breaks")
        if unknown := sorted(set(labels or ()) - {rule.id for rule in guide.rules}):
            known = ", ".join(rule.id for rule in guide.rules)
            raise UserError(f"row {row.get('id')} breaks {unknown[0]!r}: the guide's rules are {known}")
        found = score(row["reply"], guide, row.get("notes") or (), row["message"])
        for rule in guide.rules:
            if labels is not None and not (rule.only_forbids and "empty" in found.problems):
                verdicts[rule.id].append((not found.rules[rule.id], rule.id in labels))
        if found.faithful is not None and row.get("faithful") is not None:
            verdicts["unfaithful"].append((not found.faithful, not row["faithful"]))
    return [_measured(name, pairs) for name, pairs in verdicts.items() if pairs]


def _measured(name: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """How often a verdict was said, rightly so, and missed; shares with 95 % intervals, None of nothing."""
    said, right = sum(said for said, _ in pairs), sum(said and label for said, label in pairs)
    broken = sum(label for _, label in pairs)
    return {
        "name": name,
        "n": len(pairs),
        "said": said,
        "right": right,
        "missed": broken - right,
        "precision": right / said if said else None,
        "precision_interval": list(stats.wilson(right, said)) if said else None,
        "recall": right / broken if broken else None,
        "recall_interval": list(stats.wilson(right, broken)) if broken else None,
        "kappa": kappa(pairs),
    }


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


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The table for people."""
    from shared.cli import plain_table

    heads = ("n", "said", "right", "missed", "precision", "recall", "kappa")
    rows = [
        [
            each["name"],
            *(str(each[name]) for name in ("n", "said", "right", "missed")),
            *(_share(each[name], each[f"{name}_interval"]) for name in ("precision", "recall")),
            "-" if each["kappa"] is None else f"{each['kappa']:.2f}",
        ]
        for each in facts["verdicts"]
    ]
    console.print(plain_table("verdict", *heads, rows=rows, right=heads))


def _share(share: float | None, interval: Sequence[float] | None) -> str:
    return f"{share:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "-"
