"""The evaluator evaluated: its verdicts on replies that were labelled by hand.

A labelled row has a message, its notes, a reply, the rules that it breaks (`breaks`), and whether it is
`faithful` and `reads` as one reply. Both together are `content`: what a reader judges beside the rules.
Empty replies don't count for rules that only forbid, which they break by definition.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared import hardware, stats
from shared.errors import UserError
from step4_finetune.data.files import read_jsonl
from step4_finetune.data.rows import texts
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import Compared, score

UNFAITHFUL, UNREADABLE, CONTENT = "unfaithful", "not one reply", "one of both"


def run(rows: Sequence[Mapping[str, Any]], guide: Guide) -> dict[str, Any]:
    """The facts of the command `evaluator`, with a line for each rule of the guide, and one for unfaithful
    replies, those that do not read as one, and those of either kind, where rows label these.

    Raises:
        UserError: a row names an unknown rule.
    """
    names = (*(rule.id for rule in guide.rules), UNFAITHFUL, UNREADABLE, CONTENT)
    verdicts: dict[str, list[tuple[bool, bool]]] = {name: [] for name in names}
    for row in rows:
        labels = row.get("breaks")
        if unknown := sorted(set(labels or ()) - {rule.id for rule in guide.rules}):
            known = ", ".join(rule.id for rule in guide.rules)
            raise UserError(f"row {row.get('id')} breaks {unknown[0]!r}: the guide's rules are {known}")
        more = Compared(row.get("facts") or (), row.get("internal") or (), row.get("example") or "")
        found = score(row["reply"], guide, row.get("notes") or (), row["message"], more)
        for rule in guide.rules:
            if labels is not None and not (rule.only_forbids and "empty" in found.problems):
                verdicts[rule.id].append((not found.rules[rule.id], rule.id in labels))
        if found.faithful is not None and row.get("faithful") is not None:
            verdicts[UNFAITHFUL].append((not found.faithful, not row["faithful"]))
        if found.reads is not None and row.get("reads") is not None:
            verdicts[UNREADABLE].append((not found.reads, not row["reads"]))
            is_right = row["faithful"] and row["reads"]
            verdicts[CONTENT].append((not (found.faithful and found.reads), not is_right))
    found = [_measured(name, pairs) for name, pairs in verdicts.items() if pairs]
    last = found[-1]
    return {
        "command": "step4_finetune evaluator",
        "headline": f"{last['name']}: kappa {last['kappa'] or 0:.2f} on {last['n']} labelled replies",
        "n": len(rows),
        "verdicts": found,
        "machine": hardware.describe(),
    }


def _measured(name: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """Counts, precision, recall and Cohen's kappa of (verdict, label) pairs.

    Kappa is None where all verdicts and labels are the same.
    """
    from sklearn.metrics import cohen_kappa_score

    said = [label for verdict, label in pairs if verdict]
    broken = [verdict for verdict, label in pairs if label]
    differ = len({value for pair in pairs for value in pair}) > 1
    return {
        "name": name,
        "n": len(pairs),
        "said": len(said),
        "right": sum(said),
        "missed": broken.count(False),
        "precision": share(said),
        "recall": share(broken),
        "kappa": float(cohen_kappa_score(*zip(*pairs, strict=True))) if differ else None,
    }


def share(verdicts: Sequence[bool]) -> stats.Share | None:
    """How many of n verdicts are true, and their share with its 95 % interval; None where n is 0."""
    return stats.share(sum(verdicts), len(verdicts)) if verdicts else None


def read_labelled(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of labelled replies, in JSON lines; notes and breaks as in training rows.

    Raises:
        UserError: it can't be read or is empty, or a row has no message or reply, or wrong notes or breaks.
    """
    rows = []
    for number, row in read_jsonl(path, ("message", "reply")):
        lists = [name for name in ("notes", "facts", "internal", "breaks") if row.get(name) is not None]
        rows.append({**row, **{name: texts(row[name], f"{path}:{number}") for name in lists}})
    if not rows:
        raise UserError(f"{path} has no rows")
    return rows
