"""Single calls read back: a page of short rows, or one call with everything that was kept.

    >>> list_calls(store, limit=1)
    {'calls': [{'trace_id': '4bf9...', 'question': 'When does it renew?', 'total_ms': 41.5, ...}], 'next': 17}
    >>> show_call(store, "4bf9")["prompt"]["text"]

Names are those of call.py; `next` is what the following page takes as `before`. A call is named by its trace
id, or by its span id where the trace holds several calls; both may be cut short as long as one call fits.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.telemetry.call import now, prompt_name
from step5_serving.telemetry.schema import FIELDS, RUNNING, bodies, calls, feedback, iso, microseconds
from step5_serving.telemetry.store import Store

LOW = 0.68  # the confidence under which step 3 asks again, or says that it doesn't know
LONGEST = 200  # characters of a question in a short row
MOST = 500  # calls among which those that deserve a look are chosen
c = calls.c
FAILED = c.http_response_status_code >= 400
PROMPT = {"prompt_id": "id", "prompt_version": "version", "prompt_sha256": "sha256", "prompt_text": "text"}
LONG = ("sources", "attempts", "parameters")  # JSON
HIDDEN = {"id", "started_us", "opened_by", "gen_ai_operation_name", "answer", *LONG, *PROMPT}  # in short rows
EVERYTHING = (
    sa.select(*(each.label(FIELDS.get(each.name, each.name)) for each in c))
    .add_columns(*bodies.c.values()[1:], feedback.c.thumb, feedback.c.comment)
    .join(bodies, bodies.c.span_id == c.span_id)
    .outerjoin(feedback, feedback.c.span_id == c.span_id)
)


def list_calls(
    store: Store,
    limit: int = 50,
    before: int | None = None,
    *,
    low_confidence: bool = False,
    error: bool = False,
) -> dict[str, Any]:
    """The latest calls first; only those in doubt, or that failed, where asked for."""
    statement = EVERYTHING.order_by(c.id.desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(c.id < before)
    if low_confidence:
        statement = statement.where(c.confidence < LOW)
    if error:
        statement = statement.where(FAILED)
    [rows] = store.read(statement)
    found = [_short(row) for row in rows[:limit]]
    for each in found:
        each["question"] = each["question"] and each["question"][:LONGEST]
    return {"calls": found, "next": rows[limit - 1].id if len(rows) > limit else None}


def show_call(store: Store, name: str) -> dict[str, Any] | None:
    """One call with its texts; None where there is none.

    Args:
        name: the beginning of its span id or its trace's id, at least four digits.

    Raises:
        UserError: it is neither, or several calls fit.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{4,32}", name):
        raise UserError(f"{name[:60]!r} is not a trace id: it has 32 digits of 0-9 and a-f (4 may do)")
    name = name.lower()
    # A range, not LIKE: it uses the index in both databases, whatever their collation.
    of_trace = c.trace_id.between(name, name.ljust(32, "f"))
    of_span = c.span_id.between(name, name.ljust(16, "f")) if len(name) <= 16 else sa.false()
    [rows] = store.read(EVERYTHING.where(of_trace | of_span).order_by(c.id).limit(100))
    rows = [row for row in rows if (row.span_id or "").startswith(name)] or rows
    if len({row.trace_id for row in rows}) > 1:
        raise UserError(f"several calls begin with {name}: give more of its digits")
    if len(rows) > 1:
        spans = ", ".join(row.span_id for row in rows)
        raise UserError(f"trace {name} holds {len(rows)} calls: name one by its span id, {spans}")
    return _whole(rows[0]) if rows else None


def look_at(store: Store, since: timedelta, limit: int = 100) -> list[dict[str, Any]]:
    """Calls that deserve a look, each question once, with `reasons`; disliked ones first.

    They were disliked, in doubt, or not answered.

    Raises:
        TelemetryDown: the database can't be read.
    """
    why = {"disliked": feedback.c.thumb == -1, "low confidence": c.confidence < LOW}
    why["abstained"] = c.abstained.is_(True)
    within = c.started_us > microseconds(now() - since)
    [rows] = store.read(
        EVERYTHING.add_columns(*(each.label(f"is {name}") for name, each in why.items()))
        .where(c.http_route == "query", ~FAILED, ~RUNNING, within, sa.or_(*why.values()))
        .order_by(sa.case((why["disliked"], 0), else_=1), c.id.desc())
        .limit(MOST)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        asked = " ".join((row.question or "").lower().split())
        if asked and asked not in found:
            found[asked] = {**_whole(row), "reasons": [name for name in why if row._mapping[f"is {name}"]]}
    return list(found.values())[:limit]


def _short(row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    ended = "lost" if found["error_type"] == "lost" else "done"
    return {
        **{name: value for name, value in found.items() if name not in HIDDEN},
        "state": "running" if found["opened_by"] else ended,
        "started_at": iso(found["started_us"]),
        "prompt_version": prompt_name(found["prompt_id"], found["prompt_version"], found["prompt_sha256"]),
        "thumb": {1: "up", -1: "down"}.get(found["thumb"]),
    }


def _whole(row: Any) -> dict[str, Any]:
    lists = {name: json.loads(getattr(row, name)) for name in LONG}
    prompt = row.prompt_id and {name: getattr(row, column) for column, name in PROMPT.items()}
    return {**_short(row), "answer": row.answer, **lists, "prompt": prompt}
