"""What can go wrong with a Messages API, each in one line: what happened and what to do.

    with one_line_errors("claude-sonnet-5-5", settings):
        client.messages.create(...)

    error: claude-sonnet-5-5: the key is wrong (401): set ANTHROPIC_API_KEY to a valid one

The SDK retries twice, within a few seconds, when a server is busy or can't be reached. It would also wait as
long as `retry-after` says and resend a request that timed out; `with_timeouts` prevents both. Once an answer
has begun to stream, nothing is resent.

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2

from shared.config import Settings
from shared.errors import UserError, reason
from shared.masking import masked

LONGEST_WAIT_S = 30.0
TIMEOUT_S, LONGEST_TIMEOUT_S = 60.0, 86400.0

# What a status means and what to do; `key`, `message` and `when` are filled in.
STATUSES = {
    401: "the key is wrong (401): set {key} to a valid one",
    403: "the key may not do this (403): {message}",
    404: "the server doesn't know this model (404): choose another with --model ({message})",
    413: "the conversation is too long (413): {message}; ask for less, or start a new chat",
    429: "your rate limit is reached (429): try again {when} ({message})",
    529: "the server is overloaded (529): try again {when} ({message})",
}


class TimedOut(UserError, anthropic.AnthropicError):
    """No answer came in time."""


class NotMessagesApi(UserError, anthropic.AnthropicError):
    """The server answered with something that is not a message."""


def with_timeouts(
    client: anthropic.Anthropic, timeout_s: float = TIMEOUT_S, flag: str = ""
) -> anthropic.Anthropic:
    """The client with a time-out for each read, and no retry that takes over 30 seconds.

    Its requests raise `TimedOut`, and `NotMessagesApi` where the server does not speak the Messages API.
    `flag` is the option that sets the time-out, where the command has one.

    Raises:
        UserError: the time-out is not between 1 second and a day.
    """
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:  # false for nan, too
        raise UserError(f"--timeout {timeout_s:g} is not allowed: use 1 to {LONGEST_TIMEOUT_S:.0f} seconds")

    place = masked(str(client.base_url).rstrip("/"))

    def check_response(request: Any, call_next: Any) -> Any:
        try:
            response = call_next(request)
        except anthropic.APITimeoutError:
            more = f", or allow more with {flag}" if flag else ""
            raise TimedOut(f"no answer within {timeout_s:g} seconds: try again{more}") from None
        if (retry_after(response.headers) or 0) > LONGEST_WAIT_S:
            response.headers["x-should-retry"] = "false"
        if response.http_response.is_success and not _is_message(request, response.http_response):
            response.http_response.close()
            raise NotMessagesApi(f"the server at {place} does not speak the Messages API")
        return response

    return client.with_options(timeout=timeout_s).with_middleware(check_response)


@contextmanager
def one_line_errors(model: str, settings: Settings) -> Iterator[None]:
    """Turn what the SDK and its transport raise into a `UserError`; other exceptions pass.

    Raises:
        UserError: names the model, what happened, and what can be done.
    """
    try:
        yield
    except UserError:  # such as TimedOut: already one line
        raise
    except (httpx2.TransportError, anthropic.AnthropicError) as error:
        raise UserError(f"{model}: {explain(error, settings)}") from None


def explain(error: Exception, settings: Settings) -> str:
    """What went wrong and what to do, without the model's name."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, anthropic.APIStatusError):
        return _explain_status(error, settings)
    if isinstance(error, anthropic.APIConnectionError):
        place = masked(settings.base_url) if settings.base_url else "the API"
        cause = reason(error.__cause__) if error.__cause__ else "no connection"
        return f"{place} can't be reached ({cause}): is it running, are you online?"
    if isinstance(error, httpx2.TimeoutException):
        return "the answer stopped in the middle and nothing more came; ask again"
    return f"the connection broke off in the middle of the answer ({reason(error)})"


def _explain_status(error: anthropic.APIStatusError, settings: Settings) -> str:
    """An error that the server sent: with its status, or (status 200) as an event in a stream."""
    code, message = error.status_code, reason(Exception(error.api_message or error.message))
    if code == 200:
        return f"the server broke off its answer: {message}; ask again"
    wait = retry_after(error.response.headers)
    text = STATUSES.get(code, f"the server refuses the request ({code}): {{message}}")
    if code >= 500:
        text = STATUSES.get(code, f"the server failed ({code}): try again {{when}} ({{message}})")
    return text.format(
        key="ROADMAP_BASE_URL_KEY" if settings.base_url else "ANTHROPIC_API_KEY",
        message=message,
        when=f"in {wait:.0f} seconds" if wait and wait >= 1 else "in a minute",
    )


def _is_message(request: Any, response: httpx2.Response) -> bool:
    """Whether the response is what was requested: an event stream, a message, or a token count."""
    if request.stream:
        return response.headers.get("content-type", "").startswith("text/event-stream")
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and (body.get("type") == "message" or "input_tokens" in body)


def retry_after(headers: Any) -> float | None:
    """Seconds to wait by the header of that name; None without one, or where it is a date."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None  # not NaN either
