"""What a caller is refused with when telemetry says no."""

from __future__ import annotations

from step5_serving.errors import ApiError


class TelemetryDown(ApiError):
    """The row could not be written: the answer is held back, since an answered call must have its row."""

    def __init__(self, why: str, retry_after: int = 1) -> None:
        super().__init__(503, "telemetry_unavailable", why, retry_after=retry_after)


class BudgetExceeded(ApiError):
    """Today's money is spent; `retry_after` is the time to midnight, UTC."""

    def __init__(self, why: str, retry_after: int) -> None:
        super().__init__(429, "budget_exceeded", why, retry_after=retry_after)
