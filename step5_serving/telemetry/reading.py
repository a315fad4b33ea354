"""Reads single calls: a page of short rows, or one call with everything that was stored.

    >>> list_calls(store, limit=1)
    {'calls': [{'trace_id': '4bf9...', 'question': 'When does it renew?', 'total_ms': 41.5, ...}], 'next': 17}
    >>> show_call(store, "4bf9")["prompt"]["text"]

Keys are the field names of call.py; `next` is the `before` of the following page.
"""

import json
import re
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.errors import not_found
from step5_serving.telemetry.call import now, prompt_name
from step5_serving.telemetry.schema import FIELDS, RUNNING, bodies, calls, feedback, iso, microseconds
from step5_serving.telemetry.store import Store, several_calls

LOW = 0.35  # confidence below which step 3 searches again or abstains
LONGEST = 200  # characters of a question in a short row
MOST = 500  # calls from which those to review are chosen
c = calls.c
FAILED = c.http_response_status_code >= 400
PROMPT = {"prompt_id": "id", "prompt_version": "version", "prompt_sha256": "sha256", "prompt_text": "text"}
LISTS = ("sources", "attempts", "parameters")  # JSON
HIDDEN = {"id", "started_us", "opened_by", "gen_ai_operation_name", "answer", *LISTS, *PROMPT}
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
    """The latest calls, newest first: all, or only those with low confidence or an error."""
    statement = EVERYTHING.order_by(c.id.desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(c.id < before)
    if low_confidence:
        statement = statement.where(c.confidence < LOW)
    if error:
        statement = statement.where(FAILED)
    [rows] = store.read(statement)
    page = [_short_row(row) for row in rows[:limit]]
    for each in page:
        each["question"] = each["question"] and each["question"][:LONGEST]
    return {"calls": page, "next": rows[limit - 1].id if len(rows) > limit else None}


def show_call(store: Store, id: str) -> dict[str, Any]:
    """One call with its texts.

    Args:
        id: the span id or trace id, or at least its first four digits.

    Raises:
        UserError: it is not an id, or several calls match.
        ApiError: there is no such call.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{4,32}", id):
        raise UserError(f"{id[:60]!r} is not a trace id: it has 32 digits of 0-9 and a-f (4 may do)")
    id = id.lower()
    # A range, not LIKE: it uses the index in both databases, whatever their collation.
    of_trace = c.trace_id.between(id, id.ljust(32, "f"))
    of_span = c.span_id.between(id, id.ljust(16, "f")) if len(id) <= 16 else sa.false()
    [rows] = store.read(EVERYTHING.where(of_trace | of_span).order_by(c.id).limit(100))
    rows = [row for row in rows if row.span_id.startswith(id)] or rows
    if not rows:
        raise not_found(f"there is no call {id}: `telemetry calls` lists them")
    if len({row.trace_id for row in rows}) > 1:
        raise UserError(f"several calls begin with {id}: give more of its digits")
    if len(rows) > 1:
        raise several_calls(id, [row.span_id for row in rows])
    return _whole_row(rows[0])


def calls_to_review(store: Store, since: timedelta, limit: int = 100) -> list[dict[str, Any]]:
    """Calls that were disliked, had low confidence or abstained, with their `reasons`; disliked ones first.

    Each question appears once.
    """
    reasons = {
        "disliked": feedback.c.thumb == -1,
        "low confidence": c.confidence < LOW,
        "abstained": c.abstained.is_(True),
    }
    recent = c.started_us > microseconds(now() - since)
    [rows] = store.read(
        EVERYTHING.add_columns(*(each.label(f"is {name}") for name, each in reasons.items()))
        .where(c.http_route == "query", ~FAILED, ~RUNNING, recent, sa.or_(*reasons.values()))
        .order_by(sa.case((reasons["disliked"], 0), else_=1), c.id.desc())
        .limit(MOST)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        question = " ".join((row.question or "").lower().split())
        if question and question not in found:
            mine = [name for name in reasons if row._mapping[f"is {name}"]]
            found[question] = {**_whole_row(row), "reasons": mine}
    return list(found.values())[:limit]


def _short_row(row: Any) -> dict[str, Any]:
    found = row._mapping
    ended = "lost" if found["error_type"] == "lost" else "done"
    return {
        **{name: value for name, value in found.items() if name not in HIDDEN},
        "state": "running" if found["opened_by"] else ended,
        "started_at": iso(found["started_us"]),
        "prompt_version": prompt_name(found["prompt_id"], found["prompt_version"], found["prompt_sha256"]),
        "thumb": {1: "up", -1: "down"}.get(found["thumb"]),
    }


def _whole_row(row: Any) -> dict[str, Any]:
    lists = {name: json.loads(getattr(row, name)) for name in LISTS}
    prompt = row.prompt_id and {name: getattr(row, column) for column, name in PROMPT.items()}
    return {**_short_row(row), "answer": row.answer, **lists, "prompt": prompt}
