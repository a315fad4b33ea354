"""The tables of telemetry, the same for SQLite and Postgres.

    calls      one row a call: numbers and short words, so that a summary of a day reads little
    bodies     what was asked and answered, by the call's id: long texts, read one at a time
    prompts    the text of every prompt, once by its hash
    texts      the text of every passage, once by its hash
    feedback   what a person thought of an answer, by the call's id

Columns have the names of OpenTelemetry's GenAI conventions, with _ for the dots, where these have one:
gen_ai_request_model, gen_ai_usage_input_tokens, error_type. Times are whole microseconds since 1970, UTC:
both databases divide them into buckets without a function of their own.

A stream has its row before its first byte. Such a row names the process that answers (`opened_by`) until the
call ends; when that process is gone, the call is lost (store.py).
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
    SmallInteger,
    String,
    Table,
    Text,
)

from step5_serving.telemetry.call import Call
from step5_serving.telemetry.owner import OWNER

VERSION = 2
OPERATIONS = {"query": "invoke_agent"}  # by route, where they have another name
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
    Column("span_id", String(16)),
    Column("opened_by", Text),  # null: the call has ended
)
Index("calls_started_us", calls.c.started_us)
Index("calls_trace_id", calls.c.trace_id)
Index("calls_span_id", calls.c.span_id)
RUNNING = calls.c.opened_by.is_not(None)
Index("calls_running", calls.c.opened_by, sqlite_where=RUNNING, postgresql_where=RUNNING)

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

feedback = Table(
    "feedback",
    metadata,
    Column("call_id", ID, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("thumb", SmallInteger),  # 1 up, -1 down, null: only a comment
    Column("comment", Text),
    Column("given_us", BigInteger, nullable=False),
)


def microseconds(when: datetime) -> int:
    """Since 1970; a time without a zone is UTC."""
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6)


def iso(us: int) -> str:
    """2026-11-25T19:58:03.120Z"""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


FIELDS = {  # of a Call, by column; elsewhere they have the column's name
    "http_route": "route",
    "http_response_status_code": "status",
    "gen_ai_provider_name": "engine",
    "gen_ai_request_model": "model",
    "gen_ai_response_finish_reasons": "finish_reason",
    "gen_ai_prompt_name": "prompt_id",
    "gen_ai_usage_input_tokens": "input_tokens",
    "gen_ai_usage_output_tokens": "output_tokens",
}
COLUMNS = calls.columns.keys()[1:]  # the database counts the ids


def call_row(call: Call) -> tuple[Any, ...]:
    """The columns of `calls` but the id, in the table's order."""
    made = {
        "started_us": microseconds(call.started_at),
        "gen_ai_operation_name": OPERATIONS.get(call.route, call.route),
        "gen_ai_usage_input_tokens": _count(call.input_tokens),
        "gen_ai_usage_output_tokens": _count(call.output_tokens),
        "opened_by": OWNER if call.running else None,
    }
    return tuple(
        made[name] if name in made else clean(getattr(call, FIELDS.get(name, name))) for name in COLUMNS
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
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def clean(text: Any) -> Any:
    """A text without what a database can't hold: the null character, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _count(tokens: int | None) -> int | None:
    """A count that fits into the column; an engine that says more has not counted."""
    return tokens if tokens is not None and 0 <= tokens < 2**31 else None
