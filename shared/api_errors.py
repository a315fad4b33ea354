"""What can go wrong between us and a Messages API, each in one line: what it was, and what to do now.

    with one_line("claude-sonnet-5-5", settings):
        client.messages.create(...)

    error: claude-sonnet-5-5: the key is wrong (401): set ANTHROPIC_API_KEY to a valid one

The SDK itself tries again when a server is busy or can't be reached (twice, for a few seconds). It would
also wait as long as `retry-after` says, and send a request again that ran into the time-out: `ready` stops
both. Once an answer has begun to stream, nothing is sent again.

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.errors import UserError, reason

if TYPE_CHECKING:
    import anthropic

    from shared.config import Settings

LONGEST_WAIT_S = 30.0
TIMEOUT_S = 60.0


def ready(client: anthropic.Anthropic, timeout_s: float = TIMEOUT_S) -> anthropic.Anthropic:
    """The client with a time-out of `timeout_s` for each read, and no retries that a person would sit out."""
    import anthropic

    def impatient(request: Any, call_next: Any) -> Any:
        try:
            response = call_next(request)
        except anthropic.APITimeoutError:
            # Not retried: the answer may have been on its way, and three time-outs are three minutes.
            raise UserError(_timed_out(timeout_s)) from None
        if (_retry_after(response.headers) or 0) > LONGEST_WAIT_S:
            response.headers["x-should-retry"] = "false"
        return response

    return client.with_options(timeout=timeout_s).with_middleware(impatient)


@contextmanager
def one_line(model: str, settings: Settings) -> Iterator[None]:
    """Turn what the SDK and its transport raise into a `UserError`; other exceptions pass.

    Raises:
        UserError: names the model, what happened, and what can be done.
    """
    import anthropic
    import httpx2

    try:
        yield
    except UserError:  # from the embedded backend, an error of the SDK at the same time: it says all
        raise
    except anthropic.APIStatusError as error:
        raise UserError(f"{model}: {_of_status(error, settings)}") from None
    except anthropic.APIConnectionError as error:
        place = settings.base_url or "the API"
        cause = reason(error.__cause__) if error.__cause__ else "no connection"
        raise UserError(
            f"{model}: {place} can't be reached ({cause}): is it running, are you online?"
        ) from None
    except httpx2.TimeoutException:
        raise UserError(
            f"{model}: the answer stopped in the middle and nothing more came; ask again"
        ) from None
    except (httpx2.TransportError, anthropic.AnthropicError) as error:
        raise UserError(
            f"{model}: the connection broke off in the middle of the answer ({reason(error)})"
        ) from None


def _of_status(error: anthropic.APIStatusError, settings: Settings) -> str:
    """An error that the server sent: with a status of its own, or (status 200) as an event of a stream."""
    code, said = error.status_code, reason(Exception(error.api_message or error.message))
    if code == 200:
        return f"the server broke off its answer: {said}; ask again"
    key = "ROADMAP_BASE_URL_KEY" if settings.base_url else "ANTHROPIC_API_KEY"
    if code == 401:
        return f"the key is wrong (401): set {key} to a valid one"
    if code == 403:
        return f"the key may not do this (403): {said}"
    if code == 404:
        return f"the server doesn't know this model (404): choose another with --model ({said})"
    if code == 413 or "too long" in said:
        return f"the conversation is too long for it ({code}): {said}; ask less at once, or start a new chat"
    if code in (429, 529) or code >= 500:
        what = {429: "its limit for you is reached", 529: "it is overloaded"}.get(code, "it failed")
        wait = _retry_after(error.response.headers)
        when = f"in {wait:.0f} seconds" if wait and wait >= 1 else "in a minute"
        return f"{what} ({code}): try again {when} ({said})"
    return f"the server refuses the request ({code}): {said}"


def _timed_out(timeout_s: float) -> str:
    return f"no answer within {timeout_s:g} seconds: try again, or allow more with --timeout"


def _retry_after(headers: Any) -> float | None:
    """Seconds, if the header is there and is a number (it may also be a date, which we leave)."""
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None
