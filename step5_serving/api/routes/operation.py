"""GET /healthz (is the process alive?), /readyz (can it answer?), /metrics (for Prometheus), and /telemetry.

    $ curl -i localhost:8000/readyz
    HTTP/1.1 503 Service Unavailable
    {"ready":false,"reason":"the engine torch ended (signal 9) and starts again: try again in a moment"}

    $ curl 'localhost:8000/telemetry/summary?since=24h' -H "x-api-key: $KEY"
    {"calls":812,"errors":3,"error_rate":0.0037,...}

A platform restarts what is not alive, and sends no traffic to what is not ready. So a dead engine makes the
service unready, never dead: a restart would not bring the engine back. While the index and the model load
at the start, nothing replies yet.

Routes that read the database are no coroutines: FastAPI runs them in threads, beside other requests.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from step5_serving.api.replies import caller_of, reply, service_of
from step5_serving.telemetry.reading import list_calls, show_call
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import parse_since, summarize

router = APIRouter(tags=["operation"])
LARGEST = 2**62


@router.get("/healthz")
async def healthz() -> Response:
    """Whether the process is alive."""
    return reply({"alive": True})


@router.get("/readyz", responses={503: {"description": "Not now."}})
async def readyz(request: Request) -> Response:
    """Whether index, model and telemetry are there."""
    reason = await service_of(request).ready()
    if reason is None:
        return reply({"ready": True, "reason": None})
    return reply({"ready": False, "reason": reason}, 503, {"retry-after": "1"})


METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}
}


@router.get("/metrics", response_class=Response, responses=METRICS)
async def metrics(request: Request) -> Response:
    """Counters and histograms of this process."""
    caller_of(request, "operate")
    return Response(request.app.state.metrics.page(), media_type=CONTENT_TYPE_LATEST)


# --- the data of the dashboard --------------------------------------------------------------------------


async def _store(request: Request) -> Store:
    """The database, if the caller may read it; else ApiError."""
    caller_of(request, "operate")
    return service_of(request).recorder.store


Telemetry = Annotated[Store, Depends(_store)]


@router.get("/telemetry/summary")
def summary(
    store: Telemetry, since: Annotated[str, Query(max_length=20, examples=["24h", "30m", "7d"])] = "24h"
) -> Response:
    """Counts, costs, percentiles, by prompt version and over time."""
    return reply(summarize(store, parse_since(since)))


@router.get("/telemetry/calls")
def calls(
    store: Telemetry,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=0, le=LARGEST, description="`next` of the previous page.")] = None,
    low_confidence: bool = False,
    error: bool = False,
) -> Response:
    """The latest calls, newest first."""
    return reply(list_calls(store, limit, before, low_confidence=low_confidence, error=error))


@router.get("/telemetry/calls/{trace_id}")
def call(store: Telemetry, trace_id: str) -> Response:
    """One call with passages and prompt, by its span id or trace id."""
    return reply(show_call(store, trace_id))
