"""The app: routes, error handlers and what stands before them, around one Service.

    app = create_app(Config(), answerer=ScriptedAnswerer(), recorder=recorder)

Nothing heavy happens before the server listens: the index, the embedder and the model are loaded by a task
that begins when the app has started, and /readyz tells when they are there. A question that comes earlier
waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from step5_serving.addresses import is_loopback
from step5_serving.api.keys import Keys
from step5_serving.api.replies import HANDLERS
from step5_serving.api.routes import documents, feedback, health, pages, query, telemetry
from step5_serving.api.security import SecurityMiddleware
from step5_serving.api.service import Records, Service
from step5_serving.config import Config
from step5_serving.seam import Answerer

log = logging.getLogger(__name__)
WATCH_S = 5.0  # seconds between looks at what may break
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DESCRIPTION = """
Answers questions from documents, with the passages they come from (step 3 of the roadmap as a service).
Every error is one line: `{"error": {"type": ..., "message": ...}}`.
""".strip()


def create_app(
    config: Config,
    *,
    answerer: Answerer,
    recorder: Records,
    library: Callable[[], Any] | None = None,
    keys: Keys | None = None,
    **parts: Any,
) -> FastAPI:
    """An app of these parts; server.py makes them from a Config.

    Args:
        library: gives what keeps the documents, for /ingest and /documents; None: nothing does.
        parts: of the Service: versions, budget, after.
    """
    service = Service(config, answerer, recorder, keys or Keys(config.keys), **parts)
    app = FastAPI(
        title="step5_serving",
        description=DESCRIPTION,
        version="0.1.0",
        docs_url=None,  # Swagger's page takes its scripts from elsewhere; /openapi.json is all one needs
        redoc_url=None,
        lifespan=_lifespan,
        exception_handlers=HANDLERS,
    )
    state = app.state
    state.service, state.library = service, library
    state.began, state.closing = datetime.now(UTC), list[Callable[[], None]]()
    state.metrics, state.metrics_type = _metrics(service)
    routers = [each.router for each in (query, health, telemetry, documents, feedback, pages)]
    for router in routers:
        app.include_router(router)
    app.mount("/pages", pages.files)
    app.add_middleware(
        SecurityMiddleware,
        names={*LOOPBACK, config.host, *config.names} if is_loopback(config.host) else None,
        wants_keys=lambda: service.access.wants_keys,
        paths=[getattr(route, "path", "") for router in routers for route in router.routes],
        count=state.metrics.refused,
    )
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    watching = asyncio.ensure_future(_watch(service))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await service.close()
        for close in app.state.closing:
            await asyncio.to_thread(close)


async def _watch(service: Service) -> None:
    """Load everything, then look after it for ever: an idle server notices, too, what broke."""
    while True:
        try:
            await service.ready()
        except Exception:
            log.exception("looking after the service failed")
        await asyncio.sleep(WATCH_S)


def _metrics(service: Service) -> tuple[Any, str]:
    from step5_serving.telemetry.metrics import CONTENT_TYPE, Metrics

    waiting = getattr(service.recorder, "waiting", None)
    unwritten = (lambda: service.recorder.waiting) if waiting is not None else None  # type: ignore[attr-defined]
    metrics = Metrics(waiting=lambda: service.admission.waiting, telemetry_waiting=unwritten)
    metrics.in_flight.set_function(lambda: service.admission.running)
    service.after.append(metrics.observe)
    return metrics, CONTENT_TYPE


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's, with the two ways to send a key, and without the 422 that never comes: it is a 400 here."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = schema.setdefault("components", {})
        parts["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        schema["security"] = [{}, {"bearer": []}, {"x-api-key": []}]
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            parts.get("schemas", {}).pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
