"""Step 3's words in those of the seam: what it found, and how its failures are told to the one who asks."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import httpx2

from shared.config import Settings
from shared.errors import UserError
from step5_serving.errors import ApiError, unavailable
from step5_serving.seam import Attempt, Retrieved, Source

RERANK = ("maxsim", "scorer", "rerank")  # stages of a search; the others are retrieval


def retrieved(reflection: Any, sources: list[Any]) -> Retrieved:
    """What a search gave."""
    attempts, start = [], 0.0
    for each in reflection.attempts:
        seconds = each.found.seconds
        rerank = 1000 * sum(seconds.get(stage, 0.0) for stage in RERANK)
        retrieve = 1000 * sum(seconds.values()) - rerank
        took = each is reflection.best
        attempts.append(Attempt(each.strategy, each.query, each.confidence, took, start, retrieve, rerank))
        start += retrieve + rerank
    return Retrieved(
        sources=[source_of(each) for each in sources],
        confidence=reflection.best.confidence,
        attempts=attempts,
    )


def source_of(source: Any) -> Source:
    """A passage, with the hash by which a replay knows it."""
    sha256 = hashlib.sha256(source.text.encode("utf-8", "replace")).hexdigest()
    return Source(source.number, source.document, source.place, source.text, source.chunks[0], sha256)


def refusal_of(error: Exception, settings: Settings, found: Retrieved | None) -> ApiError:
    """What to tell the caller when the chat model fails."""
    import anthropic

    from shared.chat.errors import NotMessagesApi, TimedOut, explain

    message = f"{settings.model}: {explain(error, settings)}"
    if isinstance(error, NotMessagesApi):  # and will not in five seconds either
        return ApiError(502, "api_error", message, retrieved=found)
    if isinstance(error, TimedOut | httpx2.TimeoutException):
        return ApiError(504, "timeout_error", message, retrieved=found)
    if isinstance(error, anthropic.APIConnectionError) or (
        isinstance(error, UserError) and not isinstance(error, anthropic.APIStatusError)
    ):
        return ApiError(503, "api_error", message, retry_after=5, retrieved=found)
    if isinstance(error, anthropic.APIStatusError) and error.status_code in (429, 503, 529):
        return ApiError(503, "overloaded_error", message, retry_after=5, retrieved=found)
    return ApiError(502, "api_error", message, retrieved=found)


@contextlib.contextmanager
def refusing() -> Any:
    """A UserError of step 3 as a refusal: the vector store is gone, the index is damaged."""
    try:
        yield
    except UserError as error:
        raise unavailable(str(error), 5) from None
