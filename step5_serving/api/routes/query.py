"""POST /query and POST /query/stream: a question in, an answer from the documents out.

$ curl localhost:8000/query --json '{"question": "What are the contract renewal terms?"}'
{"answer":"It renews for two years unless a party gives 90 days notice. [1]","abstained":false,...}

$ curl -N localhost:8000/query/stream --json '{"question": "What are the contract renewal terms?"}'
event: retrieved
data: {"sources":[...],"confidence":0.97,"attempts":[...]}

event: delta
data: {"text":"It renews "}
...
event: done
data: {the same as above}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from step5_serving.api import live
from step5_serving.api.live import event
from step5_serving.api.replies import caller_of, reply, service_of
from step5_serving.connections import while_connected
from step5_serving.seam import Query, Reply

router = APIRouter(tags=["questions"])


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
        },
    },
)
async def stream(query: Query, request: Request) -> Response:
    """Answer a question, streaming the text while it is written."""
    service, caller = service_of(request), caller_of(request, "ask", is_question=True)

    async def work(put: Callable[[bytes], None]) -> bytes:
        def write(text: str) -> None:
            put(event("delta", {"text": text}))

        def tell(found: dict[str, Any]) -> None:
            put(event("retrieved", found))

        return event("done", await service.query(query, caller, write, tell, stream=True))

    return await while_connected(request, live.stream(work))
