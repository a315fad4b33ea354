"""What can go wrong between us and a Messages API, each in one line: what it was, and what to do now.

    with one_line_errors("claude-sonnet-5-5", settings):
        client.messages.create(...)

    error: claude-sonnet-5-5: the key is wrong (401): set ANTHROPIC_API_KEY to a valid one

The SDK retries when a server is busy or can't be reached (twice, within a few seconds). It would also wait as
long as `retry-after` says and resend a request that timed out; `with_timeouts` prevents both. Once an answer
has begun to stream, nothing is resent.

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2

from shared.config import Settings
from shared.errors import UserError, reason

LONGEST_WAIT_S = 30.0
TIMEOUT_S, LONGEST_TIMEOUT_S = 60.0, 86400.0


class TimedOut(UserError, anthropic.AnthropicError):
    """No answer came in time. Of the SDK's own kind, so that it counts as a request that failed."""


class NotMessagesApi(UserError, anthropic.AnthropicError):
    """The server answered with something that is no message."""


def with_timeouts(client: anthropic.Anthropic, timeout_s: float = TIMEOUT_S) -> anthropic.Anthropic:
    """The client with a time-out of `timeout_s` for each read, and no retries that a person would sit out.

    Its requests raise `TimedOut`, and `NotMessagesApi` where something else than the Messages API answers.

    Raises:
        UserError: a time-out that is none.
    """
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:  # nor is nan
        raise UserError(f"--timeout {timeout_s:g} is not allowed: use 1 to {LONGEST_TIMEOUT_S:.0f} seconds")
    place = _without_password(str(client.base_url).rstrip("/"))

    def impatient(request: Any, call_next: Any) -> Any:
        try:
            response = call_next(request)
        except anthropic.APITimeoutError:
            # Not retried: the answer may have been on its way, and three time-outs are three minutes.
            raise TimedOut(
                f"no answer within {timeout_s:g} seconds: try again, or allow more with --timeout"
            ) from None
        if response.http_response.is_success and not _is_message(request, response.http_response):
            response.http_response.close()
            raise NotMessagesApi(f"the server at {place} does not speak the Messages API")
        if (_retry_after(response.headers) or 0) > LONGEST_WAIT_S:
            response.headers["x-should-retry"] = "false"
        return response

    return client.with_options(timeout=timeout_s).with_middleware(impatient)


@contextmanager
def one_line_errors(model: str, settings: Settings) -> Iterator[None]:
    """Turn what the SDK and its transport raise into a `UserError`; other exceptions pass.

    Raises:
        UserError: names the model, what happened, and what can be done.
    """
    try:
        yield
    except (
        UserError
    ):  # from the embedded backend or `with_timeouts`, an error of the SDK as well: it says all
        raise
    except (httpx2.TransportError, anthropic.AnthropicError) as error:
        raise UserError(f"{model}: {explain(error, settings)}") from None


def explain(error: Exception, settings: Settings) -> str:
    """What went wrong and what to do, without the model's name."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error, settings)
    if isinstance(error, anthropic.APIConnectionError):
        place = _without_password(settings.base_url) if settings.base_url else "the API"
        cause = reason(error.__cause__) if error.__cause__ else "no connection"
        return f"{place} can't be reached ({cause}): is it running, are you online?"
    if isinstance(error, httpx2.TimeoutException):
        return "the answer stopped in the middle and nothing more came; ask again"
    return f"the connection broke off in the middle of the answer ({reason(error)})"


def _of_status(error: anthropic.APIStatusError, settings: Settings) -> str:
    """An error that the server sent: with a status of its own, or (status 200) as an event of a stream."""
    code, told = error.status_code, reason(Exception(error.api_message or error.message))
    if code == 200:
        return f"the server broke off its answer: {told}; ask again"
    key = "ROADMAP_BASE_URL_KEY" if settings.base_url else "ANTHROPIC_API_KEY"
    if code == 401:
        return f"the key is wrong (401): set {key} to a valid one"
    if code == 403:
        return f"the key may not do this (403): {told}"
    if code == 404:
        return f"the server doesn't know this model (404): choose another with --model ({told})"
    if code == 413 or "too long" in told:
        return f"the conversation is too long for it ({code}): {told}; ask less at once, or start a new chat"
    if code in (429, 529) or code >= 500:
        what = {429: "its limit for you is reached", 529: "it is overloaded"}.get(code, "it failed")
        wait = _retry_after(error.response.headers)
        when = f"in {wait:.0f} seconds" if wait and wait >= 1 else "in a minute"
        return f"{what} ({code}): try again {when} ({told})"
    return f"the server refuses the request ({code}): {told}"


def _is_message(request: Any, response: httpx2.Response) -> bool:
    """Is it what the request asked for: events, a message, or a count? Looked at before anything reads it."""
    if request.stream:
        return response.headers.get("content-type", "").startswith("text/event-stream")
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and (body.get("type") == "message" or "input_tokens" in body)


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)


def _retry_after(headers: Any) -> float | None:
    """Seconds, if the header is there and is a number (it may also be a date, which we leave)."""
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None
