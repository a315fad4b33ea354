"""One of our engines as an HTTP server on loopback that speaks the Messages API, as vLLM and Ollama do.

    $ python -m step5_serving.engines --engine torch --model tiny --port 8001
    $ curl localhost:8001/v1/messages --json '{"model": "tiny", "max_tokens": 20, "messages": [...]}'

    POST /v1/messages, /v1/messages/count_tokens     a message, its events, or the length of a prompt
    GET  /v1/models                                  the one that it has
    GET  /healthz                                    200, or 503 with the reason: loading, can't load

Requests that come while the model loads get 503 and Retry-After. A client that closes its connection stops
its text at the next token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shared.embedded import endpoint, stream
from shared.embedded.wire import Refused
from shared.errors import UserError, reason
from step5_serving.connections import ClientGone, while_connected

if TYPE_CHECKING:
    from shared.embedded.backend import Backend

HOSTS = ["127.0.0.1", "localhost"]
LOADING = "the model is loading"
TRY_AGAIN_S = 5.0  # between attempts to load what could not be loaded
END = object()


class EngineServer:
    """The routes around one model, which loads in the background."""

    def __init__(self, backend: Backend, model: str) -> None:
        self.backend, self.model = backend, model
        self.trouble: str | None = LOADING
        self._failed_at = 0.0
        self.load()

    def load(self) -> None:
        """Begin to load, in a thread that ends: what torch keeps for each thread ends with it."""
        self.trouble = LOADING
        threading.Thread(target=self._load, name="loading", daemon=True).start()

    def _load(self) -> None:
        try:
            self.backend.warm_up()
            self.trouble = None
        except Exception as error:
            known = isinstance(error, UserError)
            if not known:
                logging.getLogger(__name__).exception("the model could not be loaded")
            self._failed_at = time.monotonic()
            self.trouble = str(error) if known else f"the model could not be loaded: {reason(error)}"

    # --- routes ---

    async def healthz(self, _request: Request) -> Response:
        """Whether it can answer; a model that could not be loaded is tried again."""
        trouble = self.trouble
        if trouble not in (None, LOADING) and time.monotonic() - self._failed_at > TRY_AGAIN_S:
            self.load()
        status = 200 if trouble is None else 503
        return JSONResponse({"ready": trouble is None, "reason": trouble}, status)

    async def models(self, _request: Request) -> Response:
        """In the fields that both Anthropic's API and OpenAI's have."""
        one = {"id": self.model, "type": "model", "object": "model", "display_name": self.model}
        return JSONResponse({"object": "list", "data": [one], "has_more": False})

    async def messages(self, request: Request) -> Response:
        """A message: whole, or as a stream of events."""
        try:
            if self.trouble is not None:
                raise Refused(f"{self.trouble}: try again in a moment", 503, "overloaded_error")
            content = await _body(request)
            parts = in_thread(self._parts(request.method, request.url.path, content))
            begun = await anext(parts)
            if isinstance(begun, endpoint.Reply) and begun.wanted:
                return StreamingResponse(_encoded(parts), 200, endpoint.headers_of(), "text/event-stream")
            if isinstance(begun, endpoint.Reply):
                begun = await while_connected(request.receive, _whole(parts))
            return JSONResponse(begun, headers=endpoint.headers_of())
        except ClientGone:
            return Response(status_code=499)
        except Exception as error:
            status, body = _describe(error)
            retry = {"retry-after": "1"} if status == 503 else {}
            return JSONResponse(body, status, {**endpoint.headers_of(status), **retry})

    def _parts(self, method: str, path: str, content: bytes) -> Generator[Any, None, None]:
        """How the request is answered, then the events; for a thread, because the model blocks."""
        begun = endpoint.begin(method, path, content, self.model, self.backend)
        yield begun
        if isinstance(begun, endpoint.Reply):
            with contextlib.closing(begun.events) as events:
                yield from events


def create_app(backend: Backend, model: str) -> Starlette:
    """The app around a backend, which begins to load."""
    server = EngineServer(backend, model)
    return Starlette(
        routes=[
            Route("/v1/messages", server.messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", server.messages, methods=["POST"]),
            Route("/v1/models", server.models),
            Route("/healthz", server.healthz),
        ],
        # A page in this machine's browser must not reach the model by a name that it points at loopback.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
    )


# --- a request's work -----------------------------------------------------------------------------------


async def in_thread(items: Generator[Any, None, None]) -> AsyncGenerator[Any, None]:
    """The items of a generator that blocks, from its own thread; closing this stops it at the next item."""
    loop, ready, stopped = asyncio.get_running_loop(), asyncio.Queue[Any](), threading.Event()

    def put(item: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(ready.put_nowait, item)

    def work() -> None:
        try:
            with contextlib.closing(items):
                for item in items:
                    put(item)
                    if stopped.is_set():
                        break
        except Exception as error:
            put(error)
        put(END)

    threading.Thread(target=work, name="request", daemon=True).start()
    try:
        while (item := await ready.get()) is not END:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stopped.set()


async def _encoded(events: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    """The events as they are sent; what goes wrong after the first byte is the last of them."""
    async with contextlib.aclosing(events):
        try:
            async for event in events:
                yield endpoint.encode(event)
        except Exception as error:
            yield endpoint.encode(_describe(error)[1])


async def _whole(events: AsyncGenerator[Any, None]) -> dict[str, Any]:
    async with contextlib.aclosing(events):
        return stream.whole([event async for event in events])


async def _body(request: Request) -> bytes:
    """The body, of JSON, and not longer than the API allows.

    Raises:
        Refused: it is something else.
    """
    # Browsers send a page's JSON to another site only after they have asked it, and it never says yes.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused("content-type must be application/json", 415)
    pieces, size = list[bytes](), 0
    async for piece in request.stream():
        pieces.append(piece)
        if (size := size + len(piece)) > endpoint.LONGEST_BODY:
            raise endpoint.too_long()
    return b"".join(pieces)


def _describe(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of an error."""
    if isinstance(error, UserError):  # the model was lost
        error = Refused(str(error), 503, "api_error")
    return endpoint.describe(error)
