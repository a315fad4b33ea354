"""What was measured: shares with their 95 % intervals, and the same questions before and after a change.

    >>> summary(outcomes)["right_tool"]
    {'hits': 92, 'n': 100, 'share': 0.92, 'interval_95': [0.85, 0.959]}

Intervals are Wilson's, each style for itself. Where two overlap, the same questions may still tell the styles
apart: `compare` looks at the pairs.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared import stats
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
    """One question, asked in one way."""

    row: dict[str, Any]
    reply: Reply
    score: Score
    seconds: float


def share(hits: int, n: int) -> dict[str, Any]:
    """A share of n questions with its interval."""
    return {
        "hits": hits,
        "n": n,
        "share": round(hits / n, 4),
        "interval_95": [round(bound, 3) for bound in stats.wilson(hits, n)],
    }


def percent(found: dict[str, Any]) -> str:
    """`92% (85-96)`"""
    low, high = found["interval_95"]
    return f"{found['share']:.0%} ({low:.0%}-{high:.0%})".replace("%-", "-").replace("%)", ")")


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of one style: shares, means of tokens, median of seconds."""
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
    """Shares before and after on the same questions, and what the pairs say.

    The interval of the difference is a bootstrap over questions, p is McNemar's exact test.
    """
    pairs = [(getattr(a.score, metric), getattr(b.score, metric)) for a, b in zip(before, after, strict=True)]
    changes = [float(b) - float(a) for a, b in pairs]
    gained, lost, n = changes.count(1.0), changes.count(-1.0), len(changes)
    interval = stats.bootstrap(changes)
    return {
        "before": share(sum(a for a, _ in pairs), n),
        "after": share(sum(b for _, b in pairs), n),
        "difference": round(statistics.mean(changes), 4),
        "interval_95": interval and [round(bound, 3) for bound in interval],
        "gained": gained,
        "lost": lost,
        "p": float(f"{stats.sign_test(gained, lost):.2g}"),
    }
