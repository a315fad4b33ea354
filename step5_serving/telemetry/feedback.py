"""What a person thought of an answer: a thumb, a comment, or both, kept beside the call.

    >>> give(store, "4bf92f3577b34da6a3ce929d0e0e4736", "down", "It quotes the wrong contract.")

A second opinion on the same call takes the place of the first. Only whoever asked may say something: a call
of another key is not there for him.
"""

from __future__ import annotations

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
    redact: Callable[[Call], Call] = lambda call: call,
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
    c = calls.c
    named = (c.trace_id == name) | (c.span_id == name)
    [spans] = store.read(sa.select(c.span_id).where(named, c.key_id.is_not_distinct_from(key_id), ~RUNNING))
    if len(spans) > 1:
        ids = ", ".join(each.span_id for each in spans[:100])
        raise UserError(f"trace {name} holds {len(spans)} calls: name one by its span id, {ids}")
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
