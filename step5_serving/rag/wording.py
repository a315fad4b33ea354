"""Translates step 3's results and errors into those of seam.py."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2

from shared.config import Settings
from shared.errors import UserError
from step5_serving.errors import ApiError
from step5_serving.seam import Attempt, Retrieved, Source

RERANK = ("maxsim", "scorer", "rerank")  # stages of a search; the others are retrieval


def retrieved(reflection: Any, sources: list[Any]) -> Retrieved:
    """The result of a search."""
    attempts, start = [], 0.0
    for each in reflection.attempts:
        seconds = each.found.seconds
        rerank = 1000 * sum(seconds.get(stage, 0.0) for stage in RERANK)
        retrieve = 1000 * sum(seconds.values()) - rerank
        took = each is reflection.best
        attempts.append(Attempt(each.strategy, each.query, each.confidence, took, start, retrieve, rerank))
        start += retrieve + rerank
    return Retrieved(
        sources=[
            Source(each.number, each.document, each.place, each.text, each.chunks[0], _sha256(each.text))
            for each in sources
        ],
        confidence=reflection.best.confidence,
        attempts=attempts,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def model_error(error: Exception, settings: Settings, found: Retrieved) -> ApiError:
    """The error for a caller when the chat model fails."""
    import anthropic

    from shared.chat.errors import NotMessagesApi, TimedOut, explain

    message = f"{settings.model}: {explain(error, settings)}"
    if isinstance(error, NotMessagesApi):  # trying again doesn't help
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
