"""Step 3's loop of self-reflection, played with a scripted search: it can't be called with plain data.

    >>> loop("wich year", ["spelling"], 0.85, {("wich year", 5): 0.2, ("which year", 5): 0.9},
    ...      {"spelling": ("which year", 5)})["best"]
    ('spelling', 'which year', 0.9)

The nodes that an exercise leaves to write run inside LangGraph, as they do in the step. What they call is
scripted: searching, judging and rewriting give what the scenario says, and what was asked of them is in the
transcript. Nothing here knows what is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

K = 5  # passages that the first search asks for

Asked = tuple[str, int]  # a query and k
Sure = Mapping[Asked, float | None]
Offers = Mapping[str, Asked | None]


def loop(
    question: str, strategies: Sequence[str], threshold: float, sure: Sure, offers: Offers
) -> dict[str, Any]:
    """What was searched, how it was asked again, and what was kept.

    Args:
        sure: the confidence of each search, 0.0 for others.
        offers: what each strategy makes of a question; None: nothing.
    """
    transcript, got = _played(question, strategies, threshold, sure, offers)
    return {
        **transcript,
        "attempts": [_told(each) for each in got.attempts],
        "best": _told(got.best),
        "verdict": got.verdict,
    }


def trace(
    question: str, strategies: Sequence[str], threshold: float, sure: Sure, offers: Offers
) -> list[str]:
    """The path that `ask --trace` shows."""
    path: list[str] = _played(question, strategies, threshold, sure, offers)[1].path
    return path


def _told(attempt: Any) -> tuple[str, str, float | None]:
    return attempt.strategy, attempt.query, attempt.confidence


def _played(
    question: str, strategies: Sequence[str], threshold: float, sure: Sure, offers: Offers
) -> tuple[dict[str, list[Any]], Any]:
    from step3_rag.reflect import reflect as lesson
    from step3_rag.retrieve.search import Found, Options

    searched: list[Asked] = []
    rewritten: list[tuple[str, str, Asked]] = []

    class Scripted:
        """A retriever that finds nothing, and is as sure of it as the scenario says."""

        def search(self, query: str, options: Any) -> Any:
            searched.append((query, options.k))
            return Found(query, options)

    def confidence(found: Any, *_others: Any) -> float | None:
        return sure.get((found.query, found.options.k), 0.0)

    def rewrite(strategy: str, question: str, found: Any, *_others: Any) -> tuple[str, Any] | None:
        rewritten.append((strategy, question, (found.query, found.options.k)))
        offered = offers.get(strategy)
        return (offered[0], Options(k=offered[1])) if offered else None

    with _standing_in(confidence=confidence, rewrite=rewrite):
        retriever: Any = Scripted()
        got = lesson.reflect(retriever, question, Options(k=K), strategies, threshold)
    return {"searched": searched, "rewritten": rewritten}, got


@contextmanager
def _standing_in(**functions: Any) -> Iterator[None]:
    """Functions stand in for those of the same name, where they are defined and in the lesson."""
    from step3_rag.reflect import confidence, reflect, rewrite

    with ExitStack() as stack:
        for module in (confidence, rewrite, reflect):
            for name, function in functions.items():
                stack.enter_context(patch.object(module, name, function, create=True))
        yield
