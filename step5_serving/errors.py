"""The one error of the service: a status, a type for programs, a line for people.

    >>> ApiError(429, "rate_limit_error", "2 requests a second are allowed: wait 1 s", retry_after=1).body()
    {'error': {'type': 'rate_limit_error', 'message': '2 requests a second are allowed: wait 1 s'}}

The types are those of the Messages API (invalid_request_error, authentication_error, permission_error,
not_found_error, request_too_large, rate_limit_error, api_error, overloaded_error, timeout_error), which
clients of models know already, and two of our own: telemetry_unavailable, budget_exceeded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.masking import masked

if TYPE_CHECKING:
    from step5_serving.seam import Retrieved


class ApiError(Exception):
    """A request that gets no answer, and why.

    Args:
        status: of HTTP.
        type: one of the Messages API's.
        message: what was wrong, what is allowed, in one line; secrets in it are masked.
        retry_after: seconds after which another try makes sense.
        retrieved: what was found before it failed, for the telemetry.
    """

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        retry_after: int | None = None,
        retrieved: Retrieved | None = None,
    ) -> None:
        self.status, self.type, self.message = status, type, masked(" ".join(message.split()))
        self.retry_after, self.retrieved = retry_after, retrieved
        self.key_id: str | None = None  # whose call it was, where that is known
        self.has_row = False  # whether telemetry has a row of it, or was asked for one
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """As a reply says it."""
        return {"error": {"type": self.type, "message": self.message}}


def bad_request(message: str) -> ApiError:
    """What was sent makes no sense."""
    return ApiError(400, "invalid_request_error", message)


def not_found(message: str) -> ApiError:
    """There is no such thing."""
    return ApiError(404, "not_found_error", message)


def unavailable(message: str, retry_after: int | None = None) -> ApiError:
    """A part of the service does not work now."""
    return ApiError(503, "api_error", message, retry_after=retry_after)


def overloaded(message: str, retry_after: int | None = None) -> ApiError:
    """There is no room now."""
    return ApiError(503, "overloaded_error", message, retry_after=retry_after)


class TelemetryDown(ApiError):
    """The row could not be written: the answer is held back, since an answered call must have its row."""

    def __init__(self, why: str) -> None:
        super().__init__(503, "telemetry_unavailable", why, retry_after=1)


class BudgetExceeded(ApiError):
    """Today's money is spent; `retry_after` is the time to midnight, UTC."""

    def __init__(self, why: str, retry_after: int) -> None:
        super().__init__(429, "budget_exceeded", why, retry_after=retry_after)
