"""The trace that a call belongs to.

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from step5_serving.telemetry.call import new_trace_id

TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace a call belongs to: the caller's, by the header `traceparent`, or one of its own."""

    id: str
    parent: str | None = None

    @classmethod
    def of(cls, traceparent: str | None) -> Trace:
        """Of the header; one that is wrong is as good as none."""
        found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if found and found[1].strip("0") and found[2].strip("0"):
            return cls(found[1], found[2])
        return cls(new_trace_id())
