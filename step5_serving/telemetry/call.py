"""One call as telemetry stores it: question, answer, prompt, times, tokens and cost.

>>> call = Call(route="query", status=200, question="When does it renew?", total_ms=41.5)
>>> len(call.trace_id), call.prompt, call.cost_usd
(32, None, None)

None means "unknown" or "did not happen", never zero: an engine that doesn't count tokens leaves None, and so
does a model without a price. The database columns have the longer names of OpenTelemetry's GenAI conventions
(schema.py).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

CHANGES = ("ingest", "delete")  # routes that change the documents; their rows say who did it
STAGES = ("queue", "retrieve", "rerank", "generate")  # of a call, in this order
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

# A generator of its own, so that `random.seed(0)` elsewhere doesn't repeat trace ids. Ids are no secrets, and
# os.urandom would release the GIL, which costs milliseconds under load.
_random = random.Random()


def new_trace_id() -> str:
    """A trace id of W3C Trace Context: 32 hex digits, not all zero."""
    return f"{_random.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """A span id of W3C Trace Context: 16 hex digits, not all zero."""
    return f"{_random.getrandbits(64) or 1:016x}"


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a call belongs to: the caller's or a new one (https://www.w3.org/TR/trace-context/)."""

    id: str
    parent: str | None = None  # span id

    @classmethod
    def from_header(cls, traceparent: str | None) -> Trace:
        """The trace of a `traceparent` header; a new one if it is missing or malformed."""
        found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if found and found[1].strip("0") and found[2].strip("0"):
            return cls(found[1], found[2])
        return cls(new_trace_id())


class Caller(NamedTuple):
    """Who sent a request, from where, in which trace."""

    key_id: str | None
    host: str
    trace: Trace


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Call:
    """One call; `total_ms` is the time from the request to the end of the answer, without writing the row.

    `sources` are dicts {number, document, place, text, chunk, sha256}; `attempts` are dicts {strategy, query,
    confidence, took}, and if timed also {start_ms, retrieve_ms, rerank_ms} with start_ms after `started_at`.
    """

    route: str  # query or one of CHANGES
    status: int
    trace_id: str = field(default_factory=new_trace_id)
    span_id: str = field(default_factory=new_span_id)  # a trace may have several calls
    started_at: datetime = field(default_factory=now)
    error_type: str | None = None
    key_id: str | None = None
    question: str | None = None
    answer: str | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    confidence: float | None = None
    abstained: bool | None = None
    model: str | None = None
    engine: str | None = None
    prompt_id: str | None = None
    prompt_version: int | None = None
    prompt_sha256: str | None = None
    prompt_text: str | None = None  # the whole template, for a replay
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str | None = None
    cost_usd: float | None = None
    total_ms: float | None = None
    queue_ms: float | None = None
    retrieve_ms: float | None = None
    rerank_ms: float | None = None
    generate_ms: float | None = None
    first_token_ms: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    parent_span_id: str | None = None  # from the traceparent header, 16 hex digits; not stored
    running: bool = False  # a stream's opening row, which its final row replaces

    @property
    def prompt(self) -> str | None:
        """The prompt's short name, like answer/1@ab12cd34."""
        return prompt_name(self.prompt_id, self.prompt_version, self.prompt_sha256)


def prompt_name(id: str | None, version: int | None, sha256: str | None) -> str | None:
    """Id, version and the first eight digits of the hash; None if the call had no prompt.

    >>> prompt_name("answer", 1, "ab12cd34ef")
    'answer/1@ab12cd34'
    """
    return f"{id}/{version}@{(sha256 or '')[:8]}" if id is not None else None
