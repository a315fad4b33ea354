"""One call as telemetry stores it: question, answer, prompt, times, tokens and cost.

>>> call = Call(route="query", status=200, question="When does it renew?", total_ms=41.5)
>>> len(call.trace_id), call.prompt, call.cost_usd
(32, None, None)

None means "unknown" or "did not happen", never zero: an engine that doesn't count tokens leaves None, and so
does a model without a price. Fields with a column in the table of calls (schema.py) name its type, and its
name where OpenTelemetry's GenAI conventions have a longer one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from sqlalchemy import Boolean, Double, Integer, String, Text

from shared import personal
from shared.masking import masked

CHANGES = ("ingest", "delete")  # routes that change the documents; their rows say who did it
STAGES = ("queue", "retrieve", "rerank", "generate")  # of a call, in this order
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

# A generator of its own, so that `random.seed(0)` elsewhere doesn't repeat trace ids. Ids are no secrets, and
# os.urandom would release the GIL, which costs milliseconds under load.
_random = random.Random()


def new_trace_id() -> str:
    """A trace id of W3C Trace Context: 32 hex digits, not all zero."""
    return f"{_random.getrandbits(128) or 1:032x}"


def trace_of(traceparent: str | None) -> tuple[str, str | None]:
    """The trace that a call belongs to, and its caller's span (https://www.w3.org/TR/trace-context/).

    If the `traceparent` header is missing or malformed, it is a new trace.
    """
    found = TRACEPARENT.fullmatch(traceparent or "")
    if found and found[1].strip("0") and found[2].strip("0"):
        return found[1], found[2]
    return new_trace_id(), None


class Caller(NamedTuple):
    """Who sent a request, from where, in which trace."""

    key_id: str | None
    host: str
    trace_id: str
    parent_span_id: str | None


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Call:
    """One call; `total_ms` is the time from the request to the end of the answer, without writing the row.

    `sources` are dicts {number, document, place, text, chunk, sha256}; `attempts` are dicts {strategy, query,
    confidence, took}, and if timed also {start_ms, retrieve_ms, rerank_ms} with start_ms after `started_at`.
    """

    route: Annotated[str, "http_route", String(32)]  # query or one of CHANGES
    status: Annotated[int, "http_response_status_code", Integer]
    trace_id: Annotated[str, String(32)] = field(default_factory=new_trace_id)
    # 16 digits; a trace may have several calls.
    span_id: Annotated[str, String(16)] = field(default_factory=lambda: new_trace_id()[:16])
    started_at: datetime = field(default_factory=now)
    error_type: Annotated[str | None, Text] = None
    key_id: Annotated[str | None, Text] = None
    question: str | None = None
    answer: str | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    confidence: Annotated[float | None, Double] = None
    abstained: Annotated[bool | None, Boolean] = None
    model: Annotated[str | None, "gen_ai_request_model", Text] = None
    engine: Annotated[str | None, "gen_ai_provider_name", Text] = None
    prompt_id: Annotated[str | None, "gen_ai_prompt_name", Text] = None
    prompt_version: Annotated[int | None, Integer] = None
    prompt_sha256: Annotated[str | None, String(64)] = None
    prompt_text: str | None = None  # the whole template, for a replay
    input_tokens: Annotated[int | None, "gen_ai_usage_input_tokens", Integer] = None
    output_tokens: Annotated[int | None, "gen_ai_usage_output_tokens", Integer] = None
    finish_reason: Annotated[str | None, "gen_ai_response_finish_reasons", Text] = None
    cost_usd: Annotated[float | None, Double] = None
    total_ms: Annotated[float | None, Double] = None
    queue_ms: Annotated[float | None, Double] = None
    retrieve_ms: Annotated[float | None, Double] = None
    rerank_ms: Annotated[float | None, Double] = None
    generate_ms: Annotated[float | None, Double] = None
    first_token_ms: Annotated[float | None, Double] = None
    parameters: dict[str, Any] = field(default_factory=dict)
    opened_by: Annotated[str | None, Text] = None  # the process that answers, in the opening row of a stream
    parent_span_id: str | None = None  # from the traceparent header, 16 hex digits; not stored

    @property
    def prompt(self) -> str | None:
        """The prompt's short name, like answer/1@ab12cd34."""
        return prompt_name(self.prompt_id, self.prompt_version, self.prompt_sha256)

    def redacted(self) -> Call:
        """A copy with placeholders for personal data and secrets in all that a caller or a model wrote.

        The passages stay: they are the operator's own documents, and a replay needs them unchanged.
        """
        names = ("question", "answer", "attempts", "parameters", "error_type")
        return replace(self, **{name: redact(getattr(self, name)) for name in names})


def redact(value: Any) -> Any:
    """The same value with each text redacted: `[secret]` for a key, `[e-mail address]`, `[IBAN]` ..."""
    if isinstance(value, str):
        text = personal.as_read(value)
        redacted, _ = personal.redact(masked(text, "[secret]"))
        return value if redacted == text else redacted
    if isinstance(value, dict):
        return {redact(name): redact(each) for name, each in value.items()}
    return [redact(each) for each in value] if isinstance(value, list | tuple) else value


def prompt_name(id: str | None, version: int | None, sha256: str | None) -> str | None:
    """Id, version and the first eight digits of the hash; None if the call had no prompt.

    >>> prompt_name("answer", 1, "ab12cd34ef")
    'answer/1@ab12cd34'
    """
    return f"{id}/{version}@{(sha256 or '')[:8]}" if id is not None else None
