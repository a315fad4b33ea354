"""GET /healthz (the process lives), /readyz (it can answer), /metrics (for Prometheus).

    $ curl -i localhost:8000/readyz
    HTTP/1.1 503 Service Unavailable
    {"ready":false,"reason":"loading the index and the model"}

A platform restarts what is not alive and sends no traffic to what is not ready: so an engine that is down
makes it unready, and never dead, since a restart would not bring the engine back.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from step5_serving.api.replies import caller_of, errors, reply, service_of

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process runs its event loop."""

    alive: bool


class Ready(BaseModel):
    """Whether questions can be answered now, or why not."""

    ready: bool
    reason: str | None


@router.get("/healthz", response_model=Alive)
async def healthz() -> Response:
    """Whether the process is alive."""
    return reply({"alive": True})


@router.get(
    "/readyz",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Not now."}},
)
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
        **errors(404),
    },
)
async def metrics(request: Request) -> Response:
    """Counters and histograms of this process."""
    caller_of(request, "operate")
    page = request.app.state.metrics.page()
    return Response(page, media_type=request.app.state.metrics_type)
