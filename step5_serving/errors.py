"""The error of the service: a status, a type for programs, a line for people.

    >>> ApiError(429, "rate_limit_error", "2 requests a second are allowed: wait 1 s", retry_after=1).body()
    {'error': {'type': 'rate_limit_error', 'message': '2 requests a second are allowed: wait 1 s'}}

The types are those of the Messages API (invalid_request_error, authentication_error, permission_error,
not_found_error, request_too_large, rate_limit_error, api_error, overloaded_error, timeout_error), and two
more: telemetry_unavailable, budget_exceeded.
"""

from typing import Any

from shared.masking import masked


class ApiError(Exception):
    """A request that gets no answer, and why.

    Args:
        status: the HTTP status.
        message: what was wrong and what is allowed; it is put on one line, with secrets masked.
        retry_after: seconds after which a retry makes sense.
    """

    def __init__(self, status: int, type: str, message: str, *, retry_after: int | None = None) -> None:
        self.status, self.type, self.message = status, type, masked(" ".join(message.split()))
        self.retry_after = retry_after
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The JSON of the reply."""
        return {"error": {"type": self.type, "message": self.message}}


def bad_request(message: str) -> ApiError:
    """The request is malformed."""
    return ApiError(400, "invalid_request_error", message)


def not_found(message: str) -> ApiError:
    """What was requested does not exist."""
    return ApiError(404, "not_found_error", message)


def unavailable(message: str, retry_after: int | None = None) -> ApiError:
    """A part of the service is broken now."""
    return ApiError(503, "api_error", message, retry_after=retry_after)


def overloaded(message: str, retry_after: int | None = None) -> ApiError:
    """There is no room for the request now."""
    return ApiError(503, "overloaded_error", message, retry_after=retry_after)


class TelemetryDown(ApiError):
    """The row could not be written, so the answer is not sent: an answered call must have its row."""

    def __init__(self, why: str) -> None:
        super().__init__(503, "telemetry_unavailable", why, retry_after=1)
