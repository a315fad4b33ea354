"""Explains errors of a Messages API in one line: what happened and what to do.

    with one_line_errors("claude-sonnet-5-5", settings):
        client.messages.create(...)

    error: claude-sonnet-5-5: the key is wrong (401): set ANTHROPIC_API_KEY to a valid one

The SDK retries twice, within a few seconds, if a server is busy or can't be reached. It would also wait as
long as `retry-after` says and retry after a timeout; `with_timeouts` prevents both. Once an answer has
started to stream, the SDK doesn't retry.

Source: https://docs.claude.com/en/api/errors
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2

from shared.config import Settings
from shared.errors import UserError, reason
from shared.masking import masked

LONGEST_WAIT_S = 30.0
TIMEOUT_S = 60.0
LONGEST_TIMEOUT_S = 86400.0  # a day

# What a status means and what to do.
STATUSES = {
    401: "the key is wrong (401): set {key} to a valid one",
    403: "the key may not do this (403): {message}",
    404: "the server doesn't know this model (404): choose another with --model ({message})",
    413: "the conversation is too long (413): {message}; ask for less, or start a new chat",
    429: "your rate limit is reached (429): try again {when} ({message})",
    529: "the server is overloaded (529): try again {when} ({message})",
}
REQUEST_REFUSED = "the server refuses the request ({code}): {message}"  # any other status below 500
SERVER_FAILED = "the server failed ({code}): try again {when} ({message})"


class TimedOut(UserError, anthropic.AnthropicError):
    """There was no answer within the timeout."""


class NotMessagesApi(UserError, anthropic.AnthropicError):
    """The server's answer is not one of the Messages API."""


def with_timeouts(
    client: anthropic.Anthropic, timeout_s: float = TIMEOUT_S, flag: str = ""
) -> anthropic.Anthropic:
    """The client with a timeout for each read, and without retries after more than 30 seconds.

    Its requests raise `TimedOut`, or `NotMessagesApi` if the server doesn't speak the Messages API. `flag` is
    the command's option for the timeout, if it has one.

    Raises:
        UserError: the timeout is not between 1 second and a day.
    """
    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:  # also refuses NaN
        raise UserError(f"--timeout {timeout_s:g} is not allowed: use 1 to {LONGEST_TIMEOUT_S:.0f} seconds")

    url = masked(str(client.base_url).rstrip("/"))

    def check_response(request: Any, call_next: Any) -> Any:
        try:
            response = call_next(request)
        except anthropic.APITimeoutError:
            hint = f", or allow more with {flag}" if flag else ""
            raise TimedOut(f"no answer within {timeout_s:g} s: try again{hint}") from None
        wait_s = retry_after(response.headers)
        if wait_s is not None and wait_s > LONGEST_WAIT_S:
            response.headers["x-should-retry"] = "false"
        if response.http_response.is_success and not _is_message(request, response.http_response):
            response.http_response.close()
            raise NotMessagesApi(f"the server at {url} does not speak the Messages API")
        return response

    return client.with_options(timeout=timeout_s).with_middleware(check_response)


@contextmanager
def one_line_errors(model: str, settings: Settings) -> Iterator[None]:
    """Turn exceptions of the SDK and its transport into a `UserError`; others are not changed.

    An exception that has one of these as its `cause` counts as that one.

    Raises:
        UserError: names the model, what happened and what to do.
    """
    try:
        yield
    except UserError:  # such as TimedOut: already one line
        raise
    except Exception as error:
        cause = getattr(error, "cause", error)
        if not isinstance(cause, httpx2.TransportError | anthropic.AnthropicError):
            raise
        raise UserError(f"{model}: {explain(cause, settings)}") from None


def explain(error: Exception, settings: Settings) -> str:
    """What went wrong and what to do, without the model's name."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, anthropic.APIStatusError):
        return _explain_status(error, settings)
    if isinstance(error, anthropic.APIConnectionError):
        server = masked(settings.base_url) if settings.base_url else "the API"
        cause = reason(error.__cause__) if error.__cause__ else "no connection"
        return f"{server} can't be reached ({cause}): is it running, are you online?"
    if isinstance(error, httpx2.TimeoutException):
        return "the answer stopped in the middle and nothing more arrived; ask again"
    return f"the connection broke off in the middle of the answer ({reason(error)})"


def _explain_status(error: anthropic.APIStatusError, settings: Settings) -> str:
    """An error that the server sent: with an error status, or as an event in a stream (status 200)."""
    code = error.status_code
    message = reason(Exception(error.api_message or error.message))
    if code == 200:
        return f"the server broke off its answer: {message}; ask again"
    wait_s = retry_after(error.response.headers)
    when = f"in {wait_s:.0f} s" if wait_s and wait_s >= 1 else "in a minute"
    key = "ROADMAP_BASE_URL_KEY" if settings.base_url else "ANTHROPIC_API_KEY"
    text = STATUSES.get(code)
    if text is None:
        text = SERVER_FAILED if code >= 500 else REQUEST_REFUSED
    return text.format(code=code, key=key, message=message, when=when)


def _is_message(request: Any, response: httpx2.Response) -> bool:
    """Whether the response has the requested form: an event stream, a message, or a token count."""
    if request.stream:
        return response.headers.get("content-type", "").startswith("text/event-stream")
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and (body.get("type") == "message" or "input_tokens" in body)


def retry_after(headers: Any) -> float | None:
    """The seconds in the `retry-after` header; None without one, or if it is a date."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None  # NaN is not >= 0 either
