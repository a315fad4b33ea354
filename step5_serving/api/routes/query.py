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

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from step5_serving.api import live
from step5_serving.api.live import event
from step5_serving.api.replies import caller_of, reply, service_of, trace_of
from step5_serving.connections import while_connected
from step5_serving.seam import Query, Retrieved

router = APIRouter(tags=["questions"])


class Passage(BaseModel):
    """What a citation [1] points at."""

    number: int
    document: str
    place: str
    text: str


class Search(BaseModel):
    """One attempt to find passages; `took` is the one that was used."""

    strategy: str
    query: str
    confidence: float | None
    took: bool


class Usage(BaseModel):
    """Tokens of the model; null is unknown."""

    input_tokens: int | None
    output_tokens: int | None


class Latency(BaseModel):
    """Milliseconds, of the whole and of its parts; null where a part did not happen."""

    total: float | None
    queue: float | None
    retrieve: float | None
    rerank: float | None
    generate: float | None


class Reply(BaseModel):
    """An answer and how it came about."""

    answer: str
    abstained: bool = Field(description="Whether it says that it doesn't know.")
    sources: list[Passage]
    confidence: float | None = Field(description="That the passages hold the answer; null: unknown.")
    attempts: list[Search]
    usage: Usage
    latency_ms: Latency
    cost_usd: float | None = Field(description="Null where the model's price is unknown.")
    prompt_version: str | None
    model: str
    trace_id: str
    span_id: str = Field(description="The call's own: one trace may hold several calls.")


@router.post("/query", response_model=Reply)
async def query(query: Query, request: Request) -> Response:
    """Answer a question from the documents."""
    service, key_id = service_of(request), caller_of(request, "ask")
    answering = service.query(query, key_id, trace_of(request))
    body = await while_connected(request.receive, answering)
    return reply(body, headers={"x-trace-id": body["trace_id"]})


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
    """The same, while it is written."""
    service, key_id, trace = service_of(request), caller_of(request, "ask"), trace_of(request)
    opened = asyncio.Event()

    async def work(put: Callable[[bytes], None]) -> bytes:
        def write(text: str) -> None:
            put(event("delta", {"text": text}))

        def tell(found: Retrieved) -> None:
            put(event("retrieved", found.shown()))

        return event("done", await service.query(query, key_id, trace, write, tell, opened))

    return await while_connected(request.receive, live.stream(work, opened))
