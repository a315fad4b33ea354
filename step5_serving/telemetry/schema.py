"""The tables of telemetry, the same for SQLite and Postgres.

    calls      one row a call: numbers and short words, so that a summary of a day reads little
    bodies     what was asked and answered, by the call's id: long texts, read one at a time
    prompts    the text of every prompt, once by its hash
    texts      the text of every passage, once by its hash

Columns have the names of OpenTelemetry's GenAI conventions, with _ for the dots, where these have one:
gen_ai_request_model, gen_ai_usage_input_tokens, error_type. Times are whole microseconds since 1970, UTC:
both databases divide them into buckets without a function of their own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from step5_serving.telemetry.call import Call

VERSION = 1
OPERATIONS = {"query": "invoke_workflow", "messages": "chat", "chat.completions": "chat"}  # by route
metadata = MetaData()
ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what is called INTEGER

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text))

calls = Table(
    "calls",
    metadata,
    Column("id", ID, primary_key=True),
    Column("trace_id", String(32), nullable=False),  # not unique: a client's trace may hold several calls
    Column("started_us", BigInteger, nullable=False),
    Column("http_route", String(32), nullable=False),
    Column("http_response_status_code", Integer, nullable=False),
    Column("error_type", Text),
    Column("key_id", Text),
    Column("gen_ai_operation_name", String(32)),
    Column("gen_ai_provider_name", Text),  # the engine
    Column("gen_ai_request_model", Text),
    Column("gen_ai_response_finish_reasons", Text),
    Column("gen_ai_prompt_name", Text),
    Column("prompt_version", Integer),
    Column("prompt_sha256", String(64)),
    Column("gen_ai_usage_input_tokens", Integer),
    Column("gen_ai_usage_output_tokens", Integer),
    Column("cost_usd", Double),
    Column("confidence", Double),
    Column("abstained", Boolean),
    Column("total_ms", Double),
    Column("queue_ms", Double),
    Column("retrieve_ms", Double),
    Column("rerank_ms", Double),
    Column("generate_ms", Double),
    Column("first_token_ms", Double),
)
Index("calls_started_us", calls.c.started_us)
Index("calls_trace_id", calls.c.trace_id)

bodies = Table(
    "bodies",
    metadata,
    Column("call_id", ID, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("question", Text),
    Column("answer", Text),
    Column("sources", Text, nullable=False),  # JSON, and so the next two; sources without their texts
    Column("attempts", Text, nullable=False),
    Column("parameters", Text, nullable=False),
)

# `seen_us` is when a text was last used, give or take half a day (sinks.py): prune needs no more.
prompts = Table(
    "prompts",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("id", Text),
    Column("version", Integer),
    Column("text", Text, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)

texts = Table(
    "texts",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)


def microseconds(when: datetime) -> int:
    """Since 1970; a time without a zone is UTC."""
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6)


def iso(us: int) -> str:
    """2026-11-25T19:58:03.120Z"""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call_row(call: Call) -> tuple[Any, ...]:
    """The columns of `calls` but the id, in the table's order."""
    return (
        call.trace_id,
        microseconds(call.started_at),
        call.route,
        call.status,
        call.error_type,
        call.key_id,
        OPERATIONS.get(call.route, call.route),
        call.engine,
        call.model,
        call.finish_reason,
        call.prompt_id,
        call.prompt_version,
        call.prompt_sha256,
        call.input_tokens,
        call.output_tokens,
        call.cost_usd,
        call.confidence,
        call.abstained,
        call.total_ms,
        call.queue_ms,
        call.retrieve_ms,
        call.rerank_ms,
        call.generate_ms,
        call.first_token_ms,
    )


def body_row(call: Call) -> tuple[Any, ...]:
    """The columns of `bodies` but the id."""
    sources = [{name: value for name, value in each.items() if name != "text"} for each in call.sources]
    return (
        clean(call.question),
        clean(call.answer),
        dumps(sources),
        dumps(call.attempts),
        dumps(call.parameters),
    )


def dumps(value: Any) -> str:
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)) or ""


def clean(text: str | None) -> str | None:
    """Without what a database can't hold: the null character, and halves of surrogate pairs."""
    return text if text is None else text.replace("\0", "").encode("utf-8", "replace").decode()
