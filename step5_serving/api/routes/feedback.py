"""POST /feedback: a thumb and a comment on an answer, from whoever asked.

$ curl localhost:8000/feedback --json '{"trace_id": "4bf9...", "thumb": "down", "comment": "Outdated."}'
{"stored":true}
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from step5_serving.api.replies import caller_of, reply
from step5_serving.errors import not_found
from step5_serving.telemetry.feedback import give

router = APIRouter(tags=["questions"])
Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Feedback(BaseModel):
    """What was thought of an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "thumb": "up"}]},
    )

    trace_id: str = Field(
        pattern="^([0-9a-f]{32}|[0-9a-f]{16})$",
        description="Of the reply; or its span_id.",
    )
    thumb: Literal["up", "down"] | None = None
    comment: Comment | None = None

    @model_validator(mode="after")
    def says_something(self) -> Feedback:
        if self.thumb is None and self.comment is None:
            raise ValueError("send a thumb, up or down, or a comment")
        return self


@router.post("/feedback")
async def feedback(given: Feedback, request: Request) -> Response:
    """Say what you thought of an answer. Saying it again replaces it."""
    key_id, recorder = caller_of(request, "ask"), request.app.state.service.recorder
    said = (given.trace_id, given.thumb, given.comment)
    stored = await asyncio.to_thread(give, recorder.store, *said, key_id=key_id, redact=recorder.redact)
    if not stored:
        raise not_found(f"there is no call {given.trace_id} of yours that is over")
    request.app.state.metrics.feedback.labels(given.thumb or "none").inc()
    return reply({"stored": True})
