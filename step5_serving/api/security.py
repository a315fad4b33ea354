"""The middleware before all routes: response headers, body limits, allowed hosts and origins, refusal counts.

    GET / HTTP/1.1            ->  content-security-policy: default-src 'none'; script-src 'self'; ...
    Host: evil.example        ->  421 host 'evil.example' is not served here: use 127.0.0.1, localhost ...
    Content-Length: 99999999  ->  413, before a byte of it is read

A server on loopback without keys answers everybody at this machine, but not the web pages they look at. A
page from elsewhere can send requests here, as a form does, so requests with a foreign Origin are refused. It
can also point its own name to 127.0.0.1 (DNS rebinding), so unknown Hosts are refused. (Starlette's
TrustedHostMiddleware would answer with a bare 400, which doesn't say what to do.) And a proxy on the same
machine makes the server reachable from outside, so without keys a request with a proxy's header is refused
as well. A proxy that adds no header can't be noticed; that is why operating always takes a key (keys.py).

It is plain ASGI: a `BaseHTTPMiddleware` runs each request in a task of its own, which costs a third of the
throughput.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastapi.responses import JSONResponse
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step5_serving.errors import ApiError
from step5_serving.telemetry.call import new_trace_id

MIB = 1024 * 1024


class Limit(NamedTuple):
    """Limits of a request's body."""

    bytes: int
    seconds: float  # until all of it has arrived


INGEST = Limit(64 * MIB, 300)
QUESTION = Limit(64 * 1024, 15)  # of all other paths: a question has 2,000 characters
OTHER = "other"
FORWARDED = re.compile(  # headers of proxies
    rb"forwarded|via|x-forwarded.*|x-original-.*|x-envoy-.*|x-real-ip|(x-|true-|x-cluster-|fastly-)?client-ip"
    rb"|cf-.*|x-azure-.*|x-appengine-.*|cloudfront-.*"
)
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),  # for browsers that don't know frame-ancestors
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")  # unless a route says otherwise


class SecurityMiddleware:
    """Wraps the app."""

    def __init__(
        self, app: ASGIApp, names: Iterable[str] | None, wants_keys: Callable[[], bool], refusals: Counter
    ) -> None:
        """Wrap the app.

        Args:
            names: the allowed hosts; None: any.
            wants_keys: whether requests need an API key now; if not, no proxy may forward them.
            refusals: counts the replies from status 400 on. The route is one of the app's or OTHER, never
                what the client sent, because each new value is a new series.
        """
        self.app, self.wants_keys, self.refusals = app, wants_keys, refusals
        self.names = None if names is None else frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given: dict[bytes, bytes] = dict(scope["headers"])
        request_id = f"req_{new_trace_id()[:24]}"
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", []), *HEADERS, (b"x-request-id", request_id.encode())]
                if b"cache-control" not in {name for name, _ in headers}:
                    headers.append(NO_STORE)
                message = {**message, "headers": headers}
                if message["status"] >= 400:
                    route = getattr(scope.get("route"), "path", OTHER)
                    self.refusals.labels(route, str(message["status"])).inc()
            await send(message)

        limit = INGEST if scope["path"] == "/ingest" else QUESTION
        length = given.get(b"content-length", b"")
        refusal = self._check(scope, given)
        if refusal is None:
            try:
                limited = _limited(receive, limit, int(length) if length.isdigit() else 0)
                await self.app(scope, limited, send_with_headers)
            except Exception:
                # A bug: all of it goes to the log, one line to the caller. A reply under way is broken off.
                logging.getLogger(__name__).exception("request %s failed", request_id)
                if started:
                    raise
                refusal = internal(request_id)
        if refusal is not None:
            await JSONResponse(refusal.body(), refusal.status)(scope, receive, send_with_headers)

    def _check(self, scope: Scope, given: dict[bytes, bytes]) -> ApiError | None:
        """Why the request is refused: a wrong Host, a proxy without keys, a page from elsewhere; or None."""
        host = given.get(b"host", b"").decode("latin-1")
        if self.names is not None and (name := re.sub(r":\d+$", "", host.lower())) not in self.names:
            known = ", ".join(sorted(self.names))
            message = f"host {name[:80]!r} is not served here: use {known}"
            return ApiError(421, "invalid_request_error", message)
        forwarded = [name for name in given if FORWARDED.fullmatch(name)]
        if forwarded and not self.wants_keys():
            header = forwarded[0].decode("latin-1")
            message = (
                f"this came through a proxy ({header}), and the server has no API key: make one with "
                "`python -m step5_serving keys add NAME`"
            )
            return ApiError(403, "permission_error", message)
        origin = given.get(b"origin", b"").decode("latin-1")
        is_read = scope["method"] in ("GET", "HEAD", "OPTIONS")  # whose replies other pages can't see
        if not is_read and origin and origin.split("://")[-1].lower() != host.lower():
            message = f"pages of {origin[:80]!r} may not call this server: call it directly"
            return ApiError(403, "permission_error", message)
        return None


def internal(request_id: str) -> ApiError:
    """What the caller sees of a bug."""
    return ApiError(500, "api_error", f"internal error: the server's log has it under {request_id}")


def _limited(receive: Receive, limit: Limit, length: int) -> Receive:
    """`receive` within the limit; `length`: of the body, as its header says (a chunked body has none).

    It raises Starlette's HTTPException (413 or 408), which passes through FastAPI.
    """
    read, ended, deadline = 0, False, asyncio.get_running_loop().time() + limit.seconds
    too_large = HTTPException(413, f"the body is too large: {limit.bytes:,} bytes are allowed here")

    async def receive_some() -> Message:
        nonlocal read, ended
        if ended:
            return await receive()
        if length > limit.bytes:
            raise too_large
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {limit.seconds:g} s") from None
        if message["type"] == "http.request":
            read, ended = read + len(message.get("body", b"")), not message.get("more_body", False)
            if read > limit.bytes:
                raise too_large
        return message

    return receive_some
