"""What a person thought of an answer: a thumb, a comment, or both, kept beside the call.

    >>> give(store, "4bf92f3577b34da6a3ce929d0e0e4736", "down", "It quotes the wrong contract.")

A second opinion on the same call takes the place of the first. Only whoever asked may say something: a call
of another key is not there for him.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import sqlalchemy as sa

from shared.errors import UserError
from step5_serving.errors import TelemetryDown
from step5_serving.telemetry.call import Call, now
from step5_serving.telemetry.schema import RUNNING, calls, clean, feedback, microseconds
from step5_serving.telemetry.store import Store, why

THUMBS = {"up": 1, "down": -1}


def give(
    store: Store,
    name: str,
    thumb: str | None,
    comment: str | None = None,
    *,
    key_id: str | None = None,
    redact: Callable[[Call], Call] | None = None,
) -> bool:
    """Keep it; False where this key made no such call, or the call is not over.

    Args:
        name: the call's whole trace id, or its span id where the trace holds several calls.
        thumb: `up`, `down` or None.
        redact: as for calls, for the comment.

    Raises:
        UserError: several calls have that trace id.
        TelemetryDown: it could not be written.
    """
    if redact and comment:
        comment = redact(Call("feedback", 200, question=comment)).question
    its = calls.c.key_id == key_id if key_id is not None else calls.c.key_id.is_(None)
    named = (calls.c.trace_id == name) | (calls.c.span_id == name)
    [found] = store.read(sa.select(calls.c.id, calls.c.span_id).where(named, its, ~RUNNING).limit(100))
    if len(found) > 1:
        spans = ", ".join(row.span_id for row in found)
        raise UserError(f"trace {name} holds {len(found)} calls: name one by its span id, {spans}")
    if not found:
        return False
    row = {"call_id": found[0].id, "thumb": THUMBS.get(thumb or ""), "comment": clean(comment)}
    try:
        with store.writing() as connection:
            connection.execute(sa.delete(feedback).where(feedback.c.call_id == found[0].id))
            connection.execute(sa.insert(feedback).values(given_us=microseconds(now()), **row))
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise TelemetryDown(f"the feedback could not be written: {why(error)}") from None
    return True
