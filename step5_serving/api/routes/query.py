"""POST /query and POST /query/stream: a question in, an answer from the documents out. POST /feedback on it.

$ curl localhost:8000/query --json '{"question": "When do contracts renew automatically?"}'
{"answer":"It renews for two years unless a party gives 90 days notice. [1]","abstained":false,...}

$ curl -N localhost:8000/query/stream --json '{"question": "When do contracts renew automatically?"}'
event: retrieved
data: {"sources":[...],"confidence":0.97,"attempts":[...]}

event: delta
data: {"text":"It renews "}
...
event: done
data: {the same as above}

$ curl localhost:8000/feedback --json '{"trace_id": "4bf9...", "thumb": "down", "comment": "Outdated."}'
{"stored":true}
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from step5_serving.api import live
from step5_serving.api.live import event
from step5_serving.api.replies import caller_of, reply, service_of
from step5_serving.connections import while_connected
from step5_serving.seam import Query, Reply
from step5_serving.telemetry.call import Call

router = APIRouter(tags=["questions"])
Comment = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


@router.post("/query", response_model=Reply)
async def query(query: Query, request: Request) -> Response:
    """Answer a question from the documents."""
    answering = service_of(request).query(query, caller_of(request, "ask", is_question=True))
    answered = await while_connected(request, answering)
    return reply(answered, headers={"x-trace-id": answered.trace_id})


@router.post(
    "/query/stream",
    response_class=Response,
    responses={
        200: {
            "description": "Server-sent events: retrieved, delta ..., then done or error.",
            "content": {"text/event-stream": {"example": 'event: delta\ndata: {"text":"It renews "}\n\n'}},
        }
    },
)
async def stream(query: Query, request: Request) -> Response:
    """Answer a question, streaming the text while it is written."""
    service, caller = service_of(request), caller_of(request, "ask", is_question=True)

    async def work(put: Callable[[bytes], None]) -> bytes:
        def tell(name: str, data: dict[str, Any]) -> None:
            put(event(name, data))

        return event("done", await service.query(query, caller, tell, stream=True))

    return await while_connected(request, live.stream(work))


class Feedback(BaseModel):
    """An opinion on an answer."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(
        pattern="^([0-9a-f]{32}|[0-9a-f]{16})$", description="The trace_id of the reply, or its span_id."
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
    key_id, recorder = caller_of(request, "ask").key_id, service_of(request).recorder

    def save() -> None:
        comment = recorder.redact(Call("feedback", 200, question=body.comment)).question
        recorder.store.save_feedback(body.trace_id, body.thumb, comment, key_id)

    await asyncio.to_thread(save)
    request.app.state.metrics.feedback.labels(body.thumb or "none").inc()
    return reply({"stored": True})
