"""POST /feedback: a thumb and a comment on an answer, from the key that asked.

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
from step5_serving.telemetry.feedback import save_feedback

router = APIRouter(tags=["questions"])
Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Feedback(BaseModel):
    """An opinion on an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "thumb": "up"}]},
    )

    trace_id: str = Field(
        pattern="^([0-9a-f]{32}|[0-9a-f]{16})$",
        description="The trace_id of the reply, or its span_id.",
    )
    thumb: Literal["up", "down"] | None = None
    comment: Comment | None = None

    @model_validator(mode="after")
    def is_not_empty(self) -> Feedback:
        if self.thumb is None and self.comment is None:
            raise ValueError("send a thumb, up or down, or a comment")
        return self


@router.post("/feedback")
async def feedback(body: Feedback, request: Request) -> Response:
    """Store feedback on an answer; it replaces earlier feedback."""
    key_id, recorder = caller_of(request, "ask").key_id, request.app.state.service.recorder
    given = (body.trace_id, body.thumb, body.comment)
    options = {"key_id": key_id, "redact": recorder.redact}
    stored = await asyncio.to_thread(save_feedback, recorder.store, *given, **options)
    if not stored:
        raise not_found(f"there is no call {body.trace_id}, or not with your key, or it still runs")
    request.app.state.metrics.feedback.labels(body.thumb or "none").inc()
    return reply({"stored": True})
