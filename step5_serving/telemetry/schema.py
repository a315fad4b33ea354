"""The tables of telemetry, the same for SQLite and Postgres.

    calls      one row per call: numbers and short words, so that the summary of a day reads little
    bodies     question, answer, passages and prompt: long texts, read one call at a time
    feedback   what a user thought of an answer

The call's span id joins them. Columns have the names of OpenTelemetry's GenAI conventions, with _ for the
dots, where there is one: gen_ai_request_model, gen_ai_usage_input_tokens, error_type. Times are whole
microseconds since 1970 (UTC), which both databases can divide into buckets.

A stream has a row before its first byte. That row names the process that answers (`opened_by`) until the call
ends; if the process ends first, the call is lost (store.py).
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Integer, String, Table, Text

from step5_serving.telemetry.call import Call

VERSION = 3
OPERATIONS = {"query": "invoke_agent"}  # routes with a name in the GenAI conventions
metadata = sa.MetaData()

meta = Table("meta", metadata, Column("key", String(64), primary_key=True), Column("value", Text))


def _declared() -> dict[str, Column[Any]]:
    """The columns that Call declares, by field."""
    columns = {}
    for field, hint in get_type_hints(Call, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, *name, column_type = get_args(hint)
            columns[field] = Column(name[0] if name else field, column_type, nullable=isinstance(None, kind))
    return columns


OF_CALL = _declared()
FIELDS = {column.name: field for field, column in OF_CALL.items()}
calls = Table(
    "calls",
    metadata,
    # SQLite only auto-increments a column of type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    *OF_CALL.values(),
    Column("started_us", BigInteger, nullable=False),
    Column("gen_ai_operation_name", String(32)),
    sa.UniqueConstraint("span_id"),
)
sa.Index("calls_started_us", calls.c.started_us)
sa.Index("calls_trace_id", calls.c.trace_id)
RUNNING = calls.c.opened_by.is_not(None)
sa.Index("calls_running", calls.c.opened_by, sqlite_where=RUNNING, postgresql_where=RUNNING)


def _of_call() -> Column[str]:
    return Column("span_id", sa.ForeignKey("calls.span_id", ondelete="CASCADE"), primary_key=True)


bodies = Table(
    "bodies",
    metadata,
    _of_call(),
    Column("question", Text),
    Column("answer", Text),
    Column("prompt_text", Text),
    Column("sources", Text, nullable=False),  # JSON, like the next two
    Column("attempts", Text, nullable=False),
    Column("parameters", Text, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    _of_call(),
    Column("thumb", sa.SmallInteger),  # 1 up, -1 down, null: only a comment
    Column("comment", Text),
    Column("given_us", BigInteger, nullable=False),
)


def microseconds(when: datetime) -> int:
    """Since 1970; a time without a zone is UTC."""
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6)


def iso(us: int) -> str:
    """2026-11-25T19:58:03.120Z"""
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call_row(call: Call) -> dict[str, Any]:
    """The columns of `calls`, without the id."""
    computed = {
        "started_us": microseconds(call.started_at),
        "gen_ai_operation_name": operation_of(call),
        "gen_ai_usage_input_tokens": _valid_count(call.input_tokens),
        "gen_ai_usage_output_tokens": _valid_count(call.output_tokens),
    }
    return {name: clean(getattr(call, field)) for name, field in FIELDS.items()} | computed


def body_row(call: Call) -> dict[str, Any]:
    """The columns of `bodies`."""
    texts = {name: clean(getattr(call, name)) for name in ("question", "answer", "prompt_text")}
    lists = {
        name: clean(json.dumps(getattr(call, name), ensure_ascii=False, separators=(",", ":")))
        for name in ("sources", "attempts", "parameters")
    }
    return {"span_id": call.span_id, **texts, **lists}


def clean(text: Any) -> Any:
    """A text without what a database can't store: null characters and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode() if isinstance(text, str) else text


def operation_of(call: Call) -> str:
    """The operation in the GenAI conventions; else the route's name."""
    return OPERATIONS.get(call.route, call.route)


def _valid_count(tokens: int | None) -> int | None:
    """A count that fits into the column; an engine that reports anything else has not counted."""
    return tokens if tokens is not None and 0 <= tokens < 2**31 else None
