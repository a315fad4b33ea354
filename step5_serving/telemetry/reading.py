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
from step5_serving.telemetry.schema import (
    COLUMNS,
    FIELDS,
    bodies,
    calls,
    feedback,
    iso,
    microseconds,
    prompts,
    texts,
)
from step5_serving.telemetry.store import Store

LOW = 0.68  # the confidence under which step 3 asks again, or says that it doesn't know
LONGEST = 200  # characters of a question in a short row
MOST = 500  # rows of a page
c = calls.c
FAILED = c.http_response_status_code >= 400
SHOWN = {"trace_id", "span_id", "route", "status", "error_type", "key_id", "question", "comment"}
SHOWN |= {"model", "engine", "finish_reason", "input_tokens", "output_tokens", "cost_usd"}
SHOWN |= {"confidence", "abstained"}
SHORT = [c[name].label(FIELDS.get(name, name)) for name in ("id", *COLUMNS)]


def list_calls(
    store: Store,
    limit: int = 50,
    before: int | None = None,
    *,
    low_confidence: bool = False,
    error: bool = False,
) -> dict[str, Any]:
    """The latest calls first; only those in doubt, or that failed, where asked for."""
    limit, statement = max(1, min(limit, MOST)), _everything()
    if before is not None:
        statement = statement.where(c.id < before)
    if low_confidence:
        statement = statement.where(c.confidence < LOW)
    if error:
        statement = statement.where(FAILED)
    [rows] = store.read(statement.order_by(c.id.desc()).limit(limit + 1))
    found = [{**_short(row), "question": row.question and row.question[:LONGEST]} for row in rows[:limit]]
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
    [rows] = store.read(_everything().where(of_trace | of_span).order_by(c.id).limit(100))
    rows = [row for row in rows if (row.span_id or "").startswith(name)] or rows
    if len({row.trace_id for row in rows}) > 1:
        raise UserError(f"several calls begin with {name}: give more of its digits")
    if len(rows) > 1:
        spans = ", ".join(row.span_id for row in rows)
        raise UserError(f"trace {name} holds {len(rows)} calls: name one by its span id, {spans}")
    return _whole(store, rows[0]) if rows else None


def look_at(store: Store, since: timedelta) -> list[dict[str, Any]]:
    """Questions that were disliked, in doubt or not answered, with `reasons`; disliked ones first."""
    disliked, doubtful = feedback.c.thumb == -1, c.confidence < LOW
    within = c.started_us > microseconds(now() - since)
    statement = _everything().where(c.http_route == "query", ~FAILED, c.opened_by.is_(None), within)
    statement = statement.where(sa.or_(disliked, doubtful, c.abstained.is_(True)))
    [rows] = store.read(statement.order_by(sa.case((disliked, 0), else_=1), c.id.desc()).limit(MOST))
    found = []
    for row in rows:
        whole = _whole(store, row)
        low = row.confidence is not None and row.confidence < LOW
        why = {"disliked": row.thumb == -1, "low confidence": low, "abstained": bool(row.abstained)}
        found.append({**whole, "reasons": [name for name, holds in why.items() if holds]})
    return found


def _everything() -> Any:
    """A SELECT of calls with their bodies, prompts and feedback."""
    opinion = (feedback.c.thumb, feedback.c.comment)
    statement = sa.select(*SHORT, *opinion, bodies, prompts.c.text.label("prompt_text"))
    statement = statement.join(bodies, bodies.c.call_id == c.id)
    statement = statement.outerjoin(feedback, feedback.c.call_id == c.id)
    return statement.outerjoin(prompts, prompts.c.sha256 == c.prompt_sha256)


def _whole(store: Store, row: Any) -> dict[str, Any]:
    whole = {**_short(row), "answer": row.answer}
    whole |= {name: json.loads(getattr(row, name)) for name in ("sources", "attempts", "parameters")}
    hashes = [each["sha256"] for each in whole["sources"]]
    [found] = store.read(sa.select(texts).where(texts.c.sha256.in_(hashes)))
    known = {each.sha256: each.text for each in found}
    for each in whole["sources"]:
        each["text"] = known.get(each["sha256"])
    whole["prompt"] = row.prompt_id and {
        "id": row.prompt_id,
        "version": row.prompt_version,
        "sha256": row.prompt_sha256,
        "text": row.prompt_text,
    }
    return whole


def _short(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict(row._mapping)
    return {
        **{name: value for name, value in found.items() if name in SHOWN or name.endswith("_ms")},
        "state": "running" if found["opened_by"] else "lost" if found["error_type"] == "lost" else "done",
        "started_at": iso(found["started_us"]),
        "prompt_version": prompt_name(found["prompt_id"], found["prompt_version"], found["prompt_sha256"]),
        "thumb": {1: "up", -1: "down"}.get(found["thumb"]),
    }
