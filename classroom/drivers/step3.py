"""A stand-in for step 3: a search that finds nothing. The grader gives the confidence and the next query.

Self-reflection calls `confidence` and `rewrite` with its retriever; for this one they ask the grader.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from step3_rag.reflect import confidence, loop, rewrite
from step3_rag.retrieve.search import SearchOptions, SearchResult


class Scripted:
    """A retriever whose functions are the grader's."""

    def __init__(
        self,
        search: Callable[[str, int], None],
        sure: Callable[[str, int], float],
        rewrite: Callable[[str, str, list[Any]], tuple[str, int] | None],
    ) -> None:
        self._search, self._sure, self._rewrite = search, sure, rewrite

    def search(self, query: str, options: SearchOptions) -> SearchResult:
        """Finds nothing."""
        self._search(query, options.k)
        return SearchResult(query, options)

    def confidence(self, found: SearchResult) -> float:
        """The confidence in a search."""
        return self._sure(found.query, found.options.k)

    def rewrite(self, strategy: str, question: str, found: SearchResult) -> tuple[str, SearchOptions] | None:
        """How a strategy rewrites a question, given what was found."""
        offered = self._rewrite(strategy, question, [found.query, found.options.k])
        return (offered[0], SearchOptions(k=offered[1])) if offered else None


def _dispatching(original: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function; if its argument `at` is a scripted retriever, that answers instead."""

    @wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if len(args) > at and isinstance(args[at], Scripted):
            return getattr(args[at], original.__name__)(*args[:at])
        return original(*args, **kwargs)

    return dispatch


for module in (confidence, rewrite, loop):
    for name, at in (("confidence", 1), ("rewrite", 3)):
        found: Any = getattr(module, name, None)
        if callable(found):
            setattr(module, name, _dispatching(found, at))
