"""Step 3: the loop of self-reflection on a search that the grader plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from classroom.grading.callbacks import Log
from classroom.grading.submission import Made
from classroom.protocol.wire import Record


def _reflected(
    submission: Any, question: str, strategies: Sequence[str], sure: dict[Any, Any], offers: dict[str, Any]
) -> Made:
    """What `reflect` makes of a search that is so sure, and of strategies that offer this: query and k.

    What is searched and how it is asked again is compared; nobody knows beforehand what comes of it.
    """
    log = Log()

    def search(query, k):
        """Finds nothing."""

    def rewrite(strategy, asked, found):
        return offers.get(strategy)

    def sure_of(query, k):
        return sure.get((query, k), 0.0)

    heard = (log.hears("search", search), sure_of, log.hears("rewrite", rewrite))
    retriever = submission.make("classroom.drivers.step3:Scripted", *heard)
    options = Record("step3_rag.retrieve.search:Options", {"k": 5})
    args = (retriever, question, options, strategies, 0.85)
    return submission.make("step3_rag.reflect.reflect:reflect", *args, asked=log)


def check_loop(submission, *args) -> Made:
    """The attempts, the one that is kept, and the verdict; the outcome."""
    got = _reflected(submission, *args)
    for name in ("attempts", "best", "verdict"):
        got.check_get(name)
    return got
