"""GET /healthz (is the process alive?), /readyz (can it answer?), /metrics (for Prometheus).

    $ curl -i localhost:8000/readyz
    HTTP/1.1 503 Service Unavailable
    {"ready":false,"reason":"the engine torch ended (signal 9) and starts again: try again in a moment"}

A platform restarts what is not alive, and sends no traffic to what is not ready. So a dead engine makes the
service unready, never dead: a restart would not bring the engine back. While the index and the model load
at the start, nothing replies yet.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from step5_serving.api.replies import caller_of, reply, service_of

router = APIRouter(tags=["operation"])


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


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}},
    },
)
async def metrics(request: Request) -> Response:
    """Counters and histograms of this process."""
    caller_of(request, "operate")
    return Response(request.app.state.metrics.page(), media_type=CONTENT_TYPE_LATEST)
