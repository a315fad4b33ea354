"""The evaluator evaluated: its verdicts on replies that were labelled by hand.

    verdict     n  said  right  missed          precision             recall  kappa
    greeting  140     7      7       2  1.00 [0.65, 1.00]  0.78 [0.45, 0.94]   0.87
    ...

A labelled row has a message, its notes, a reply, the rules that it breaks (`breaks`), and whether it is
`faithful`. Empty replies don't count for rules that only forbid, which they break by definition.
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
    """The facts of the command `evaluator`; see `measure`."""
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
    """One line for each rule of the guide, and one for unfaithful replies, where rows label these.

    Raises:
        UserError: a row names an unknown rule.
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
    """Counts, precision, recall and kappa of (verdict, label) pairs; shares of nothing are None."""
    said, broken = sum(verdict for verdict, _ in pairs), sum(label for _, label in pairs)
    right = sum(verdict and label for verdict, label in pairs)
    found: dict[str, Any] = {
        "name": name,
        "n": len(pairs),
        "said": said,
        "right": right,
        "missed": broken - right,
    }
    for share, of in (("precision", said), ("recall", broken)):
        found[share] = right / of if of else None
        found[f"{share}_interval"] = list(stats.wilson(right, of)) if of else None
    return {**found, "kappa": kappa(pairs)}


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance, 1 if full, 0 if no more than chance gives.

    None without pairs, or where all verdicts and labels are the same.

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
    """The rows of a file of labelled replies, in JSON lines.

    Raises:
        UserError: it can't be read or is empty, or a row lacks a message or reply.
    """
    rows = []
    for number, row in read_jsonl(path):
        require_texts(row, ("message", "reply"), f"{path}:{number}")
        rows.append(row)
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows


def show(facts: Mapping[str, Any], console: Console) -> None:
    """One line for each verdict."""
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
