"""Summaries of measurements: shares with 95 % intervals, and comparisons on the same questions.

    >>> summary(outcomes)["right_tool"]
    {'hits': 92, 'n': 100, 'share': 0.92, 'interval_95': [0.85, 0.959]}

The intervals are Wilson intervals, for each style on its own. Styles whose intervals overlap may still differ
significantly on the same questions: `compare` uses the pairs.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.stats import bootstrap, share, sign_test
from step2_tools.evaluate.prompt_styles import Reply
from step2_tools.evaluate.scoring import Score

SHARES = {
    "valid": "valid calls",
    "right_tool": "right tool",
    "right_arguments": "right arguments",
    "needless": "needless calls",
}


@dataclass(frozen=True)
class Outcome:
    """One question, asked in one style, and its score."""

    row: dict[str, Any]
    reply: Reply
    score: Score
    seconds: float


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """One style's figures: shares, mean tokens, median seconds."""
    n = len(outcomes)
    return {
        "n": n,
        **{name: share(sum(getattr(each.score, name) for each in outcomes), n) for name in SHARES},
        "input_tokens": round(statistics.mean(each.reply.input_tokens for each in outcomes), 1),
        "output_tokens": round(statistics.mean(each.reply.output_tokens for each in outcomes), 1),
        "seconds": round(statistics.median(each.seconds for each in outcomes), 3),
    }


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Right tool and right arguments for each kind of question."""
    kinds: dict[str, list[Outcome]] = {}
    for each in outcomes:
        kinds.setdefault(each.row["kind"], []).append(each)
    return {
        kind: {
            name: share(sum(getattr(each.score, name) for each in group), len(group))
            for name in ("right_tool", "right_arguments")
        }
        for kind, group in kinds.items()
    }


def compare(before: Sequence[Outcome], after: Sequence[Outcome], metric: str) -> dict[str, Any]:
    """Shares before and after a change on the same questions, and a paired test of the difference.

    The interval of the difference is a bootstrap over questions; p is from McNemar's exact test.
    """
    pairs = [(getattr(a.score, metric), getattr(b.score, metric)) for a, b in zip(before, after, strict=True)]
    changes = [float(b) - float(a) for a, b in pairs]
    gained, lost, n = changes.count(1.0), changes.count(-1.0), len(changes)
    interval = bootstrap(changes)
    return {
        "before": share(sum(a for a, _ in pairs), n),
        "after": share(sum(b for _, b in pairs), n),
        "difference": round(statistics.mean(changes), 4),
        "interval_95": interval and [round(bound, 3) for bound in interval],
        "gained": gained,
        "lost": lost,
        "p": float(f"{sign_test(gained, lost):.2g}"),
    }
