"""GET /telemetry/summary, /telemetry/calls, /telemetry/calls/{trace_id}: the data of the dashboard.

$ curl 'localhost:8000/telemetry/summary?since=24h'
{"calls":812,"errors":3,"error_rate":0.0037,...}

The database is read in a thread, so that a long summary doesn't block other requests.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from step5_serving.api.replies import caller_of, reply, service_of
from step5_serving.errors import not_found
from step5_serving.telemetry.reading import list_calls, show_call
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import parse_since, summarize

router = APIRouter(prefix="/telemetry", tags=["telemetry"])
LARGEST = 2**62


async def _store(request: Request) -> Store:
    """The database, if the caller may read it; else ApiError."""
    caller_of(request, "operate")
    return service_of(request).recorder.store


Telemetry = Annotated[Store, Depends(_store)]


@router.get("/summary")
async def summary(
    store: Telemetry,
    since: Annotated[str, Query(max_length=20, examples=["24h", "30m", "7d"])] = "24h",
) -> Response:
    """Counts, costs, percentiles, by prompt version and over time."""
    return reply(await asyncio.to_thread(summarize, store, parse_since(since)))


@router.get("/calls")
async def calls(
    store: Telemetry,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=0, le=LARGEST, description="`next` of the previous page.")] = None,
    low_confidence: bool = False,
    error: bool = False,
) -> Response:
    """The latest calls, newest first."""
    return reply(
        await asyncio.to_thread(list_calls, store, limit, before, low_confidence=low_confidence, error=error)
    )


@router.get("/calls/{trace_id}")
async def call(store: Telemetry, trace_id: str) -> Response:
    """One call with passages and prompt, by its span id or trace id."""
    found = await asyncio.to_thread(show_call, store, trace_id)
    if found is None:
        raise not_found(f"there is no call {trace_id[:40]}")
    return reply(found)
