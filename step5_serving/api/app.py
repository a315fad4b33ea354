"""The FastAPI app around one Service: routes, error handlers, middleware."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer

from shared import __version__
from step5_serving.addresses import is_loopback
from step5_serving.api.replies import ERRORS, HANDLERS
from step5_serving.api.routes import documents, operation, pages, query
from step5_serving.api.security import SecurityMiddleware
from step5_serving.api.service import Service
from step5_serving.telemetry.metrics import Metrics

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# For OpenAPI only: keys.py reads the headers.
KEYS = [
    Depends(HTTPBearer(scheme_name="bearer", auto_error=False)),
    Depends(APIKeyHeader(name="x-api-key", scheme_name="x-api-key", auto_error=False)),
]
DESCRIPTION = """
Answers questions from documents, with the passages they come from (step 3 of the roadmap as a service).
Every error is one line: `{"error": {"type": ..., "message": ...}}`.
""".strip()


def create_app(service: Service) -> FastAPI:
    """The app of a service; server.py makes it from a Config."""
    config = service.config
    app = FastAPI(
        title="step5_serving",
        description=DESCRIPTION,
        version=__version__,
        docs_url=None,  # Swagger's page loads scripts from elsewhere; /openapi.json is enough
        redoc_url=None,
        lifespan=_lifespan,
        exception_handlers=HANDLERS,
        dependencies=KEYS,
    )
    app.state.service = service
    app.state.metrics = metrics = Metrics(service.admission)
    service.observers.append(metrics.observe)
    for each in (query, operation, documents, pages):
        app.include_router(each.router, responses=ERRORS)
    app.mount("/pages", pages.files)
    app.add_middleware(
        SecurityMiddleware,
        names={*LOOPBACK, config.host, *(config.names or ())} if is_loopback(config.host) else None,
        wants_keys=lambda: service.access.wants_keys,
        refusals=metrics.refusals,
    )
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.service.close()
