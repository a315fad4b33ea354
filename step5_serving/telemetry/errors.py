"""What a caller is refused with when telemetry says no: each has the HTTP status and the type of its reply."""

from __future__ import annotations


class Refused(Exception):
    """One line for the caller; `type` and `status` as they stand in the reply, `retry_after` in seconds."""

    type = "refused"
    status = 503

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TelemetryDown(Refused):
    """The row could not be written: the answer is held back, since an answered call must have its row."""

    type = "telemetry_unavailable"


class BudgetExceeded(Refused):
    """Today's money is spent."""

    type = "budget_exceeded"
    status = 429
