"""A user's opinion on an answer, stored with its call: a thumb, a comment, or both.

    >>> save_feedback(store, "4bf92f3577b34da6a3ce929d0e0e4736", "down", "It quotes the wrong contract.")

A second opinion replaces the first. Only the key that made a call may comment on it.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from step5_serving.errors import TelemetryDown
from step5_serving.telemetry.call import Call, now
from step5_serving.telemetry.reading import several_calls
from step5_serving.telemetry.schema import RUNNING, calls, clean, feedback, microseconds
from step5_serving.telemetry.store import Store, why

THUMBS = {"up": 1, "down": -1}


def save_feedback(
    store: Store,
    id: str,
    thumb: str | None,
    comment: str | None = None,
    *,
    key_id: str | None = None,
    redact: Callable[[Call], Call] = lambda call: call,
) -> bool:
    """Store feedback; False if this key made no such call, or the call is still running.

    Args:
        id: the call's trace id, or its span id if the trace has several calls.
        thumb: `up`, `down` or None.
        redact: applied to the comment, as to calls.

    Raises:
        UserError: several calls have that trace id.
        TelemetryDown: the database can't be read or written.
    """
    c = calls.c
    matches = (c.trace_id == id) | (c.span_id == id)
    [spans] = store.read(sa.select(c.span_id).where(matches, c.key_id.is_not_distinct_from(key_id), ~RUNNING))
    if len(spans) > 1:
        raise several_calls(id, [each.span_id for each in spans[:100]])
    if not spans:
        return False
    [[span]] = spans
    comment = clean(redact(Call("feedback", 200, question=comment)).question)
    row = {"thumb": THUMBS.get(thumb or ""), "comment": comment, "given_us": microseconds(now())}
    try:
        with store.writing() as connection:
            connection.execute(sa.delete(feedback).where(feedback.c.span_id == span))
            connection.execute(sa.insert(feedback).values(span_id=span, **row))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise TelemetryDown(f"the feedback could not be written: {why(error)}") from None
    return True
