"""One call as telemetry keeps it: what was asked and answered, with which prompt, how long, at what cost.

>>> call = Call(route="query", status=200, question="When does it renew?", total_ms=41.5)
>>> len(call.trace_id), call.prompt, call.cost_usd
(32, None, None)

None is "unknown" or "did not happen", never zero: an engine that counts no tokens has None for them, and a
call without a price has None for its cost. The database names its columns after OpenTelemetry's GenAI
conventions where these have a name (schema.py); here they have short ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

# Routes that change the documents: their rows say who did it, and are no answers.
CHANGES = ("ingest", "delete")
STAGES = ("queue", "retrieve", "rerank", "generate")  # in the order in which a call goes through them
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

# Of its own, so that nobody's `random.seed(0)` makes trace ids that were there before. Ids are no secrets,
# and to ask the system for each would let go of the interpreter, which under load is milliseconds.
_random = random.Random()


def new_trace_id() -> str:
    """A trace id of W3C Trace Context: 32 hex digits, not all zero."""
    return f"{_random.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """A span id of W3C Trace Context: 16 hex digits, not all zero."""
    return f"{_random.getrandbits(64) or 1:016x}"


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a call belongs to: the caller's, or one of its own.

    Source: https://www.w3.org/TR/trace-context/
    """

    id: str
    parent: str | None = None

    @classmethod
    def of(cls, traceparent: str | None) -> Trace:
        """Of the header; one that is wrong is as good as none."""
        found = TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if found and found[1].strip("0") and found[2].strip("0"):
            return cls(found[1], found[2])
        return cls(new_trace_id())


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Call:
    """One call; `total_ms` is from the arrival of the request to the last byte of the answer but the row.

    `sources` are dicts {number, document, place, text, chunk, sha256}.
    `attempts` are dicts {strategy, query, confidence, took}, and where they were timed also {start_ms,
    retrieve_ms, rerank_ms}, start_ms counted from `started_at`: spans.py draws them.
    """

    route: str  # query, or one of CHANGES
    status: int
    trace_id: str = field(default_factory=new_trace_id)
    span_id: str = field(default_factory=new_span_id)  # the call's own: a trace may hold several calls
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
    prompt_text: str | None = None  # the whole template, so that the call can be made again
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
    parent_span_id: str | None = None  # of the caller's traceparent header, 16 hex; not stored
    running: bool = False  # this is the opening row of a stream; the same call without it replaces it

    @property
    def prompt(self) -> str | None:
        """The prompt as people name it: answer/1@ab12cd34."""
        return prompt_name(self.prompt_id, self.prompt_version, self.prompt_sha256)


def prompt_name(id: str | None, version: int | None, sha256: str | None) -> str | None:
    """Id, version and the first eight digits of the hash; None where the call had no prompt.

    >>> prompt_name("answer", 1, "ab12cd34ef")
    'answer/1@ab12cd34'
    """
    return f"{id}/{version}@{(sha256 or '')[:8]}" if id is not None else None
