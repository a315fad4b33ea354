"""An engine as an HTTP server on loopback that speaks the Messages API, as vLLM and Ollama do.

    $ python -m step5_serving.engines --engine torch --model tiny --port 8001
    $ curl localhost:8001/v1/messages --json '{"model": "tiny", "max_tokens": 20, "messages": [...]}'

    POST /v1/messages   a message, or its events
    GET  /v1/models     its one model
    GET  /health        200: it listens once the model is loaded

When a client closes its connection, its generation stops at the next token. With a key in
ROADMAP_BASE_URL_KEY, every request but /health needs it: the service hands its child a random one, since any
user of the machine can reach a port on loopback.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Generator
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.embedded import endpoint
from shared.embedded.backend import Backend
from shared.embedded.wire import Refused
from shared.errors import UserError
from step5_serving.connections import ClientGone, while_connected

HOSTS = ["127.0.0.1", "localhost"]
NO_KEY = "the key is missing or wrong: this engine belongs to a service, which has it"
THREADS = 512  # one per request, waiting for its next token


def create_app(backend: Backend) -> Starlette:
    """The app that serves a model."""
    model = backend.settings.model

    async def health(_request: Request) -> Response:
        return Response()

    async def models(_request: Request) -> Response:
        # With the fields of both Anthropic's API and OpenAI's.
        one = {"id": model, "type": "model", "object": "model", "display_name": model}
        return JSONResponse({"object": "list", "data": [one], "has_more": False})

    async def messages(request: Request) -> Response:
        """A message, whole or as a stream of events."""
        try:
            # Browsers send JSON to another site only after a preflight request, which this server refuses.
            if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                raise Refused("content-type must be application/json", 415)
            content = await request.body()
            events, as_stream = await run_in_threadpool(
                endpoint.handle, request.method, request.url.path, content, model, backend
            )
            if as_stream:
                return StreamingResponse(
                    _encoded(events), 200, endpoint.response_headers(), "text/event-stream"
                )
            message = await while_connected(request, _whole(events))
            return JSONResponse(message, headers=endpoint.response_headers())
        except ClientGone:
            return Response(status_code=499)
        except Exception as error:
            status, body = _describe(error)
            retry = {"retry-after": "1"} if status == 503 else {}
            return JSONResponse(body, status, {**endpoint.response_headers(status), **retry})

    middleware = [
        # A page in this machine's browser must not reach the model by a host name that points to loopback.
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
    ]
    if key := backend.settings.base_url_key:
        middleware.append(Middleware(KeyMiddleware, key=key.get_secret_value()))
    return Starlette(
        routes=[
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/models", models),
            Route("/health", health),
        ],
        middleware=middleware,
        lifespan=_lifespan,
    )


class KeyMiddleware:
    """Refuses requests without the key, except for /health."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/health" and not self._has_key(scope):
            status, body = endpoint.describe_error(Refused(NO_KEY, 401, "authentication_error"))
            await JSONResponse(body, status)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        """Whether `x-api-key` or `Authorization: Bearer` has it; it takes as long for any wrong key."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        bearer = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        given = headers.get(b"x-api-key", bearer)
        return secrets.compare_digest(given, self.key)


@contextlib.asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


async def _encoded(events: Generator[endpoint.Event, None, None]) -> AsyncIterator[bytes]:
    """The events as bytes; an error after the first one becomes the last event."""
    with contextlib.closing(events):
        try:
            async for event in iterate_in_threadpool(events):
                yield endpoint.encode_event(event)
        except Exception as error:
            yield endpoint.encode_event(_describe(error)[1])


async def _whole(events: Generator[endpoint.Event, None, None]) -> dict[str, Any]:
    """The whole message. When cancelled, it stops generating after the event that a thread waits for."""
    return endpoint.assemble_message([event async for event in iterate_in_threadpool(events)])


def _describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of an error."""
    if isinstance(error, UserError):  # the model was lost
        error = Refused(str(error), 503, "api_error")
    return endpoint.describe_error(error)
