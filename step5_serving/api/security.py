"""What stands before every route: headers, limits of bodies, whose page may call, ids, counts of refusals.

    GET / HTTP/1.1            ->  content-security-policy: default-src 'none'; script-src 'self'; ...
    Host: evil.example        ->  421 this server answers to 127.0.0.1, localhost ...
    Content-Length: 99999999  ->  413, before a byte of it is read

A server on loopback without keys trusts whoever sits at this machine, not every web page they look at. A page
from elsewhere can send requests here (that is what a browser does with a form), so one that a browser
marks as coming from another site is refused; and it can let its own name point to 127.0.0.1 (DNS rebinding),
so names that are not ours are refused too. (Starlette's TrustedHostMiddleware answers these with a bare 400,
which doesn't say what to do.) A proxy on the same machine turns the Internet into loopback, so without keys a
request with a proxy's header is refused as well.

It is one ASGI middleware: a `BaseHTTPMiddleware` would put every request into a task of its own and cost a
third of the throughput.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step5_serving.errors import ApiError
from step5_serving.telemetry.call import new_trace_id

MIB = 1024 * 1024


class Limit(NamedTuple):
    """Of a request's body."""

    bytes: int
    seconds: float  # until all of it is here

    def refusal(self) -> ApiError:
        """Of a longer body."""
        return ApiError(
            413, "request_too_large", f"the body is too large: {self.bytes:,} bytes are allowed here"
        )


INGEST = Limit(64 * MIB, 300)
QUESTION = Limit(64 * 1024, 15)  # any other path's: a question has 2,000 characters
OTHER = "other"
FORWARDED = frozenset((b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip"))
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
UNCACHED = (b"cache-control", b"no-store")  # answers are nobody else's; files of the pages say otherwise


class SecurityMiddleware:
    """Wraps the app."""

    def __init__(
        self,
        app: ASGIApp,
        names: Iterable[str] | None,
        wants_keys: Callable[[], bool] = lambda: True,
        paths: Iterable[str] = (),
        count: Callable[[str, int], None] = lambda _route, _status: None,
    ) -> None:
        """Around the app.

        Args:
            names: the hosts that requests may ask for; None: any.
            wants_keys: whether a request needs an API key; while it doesn't, no proxy may hand one on.
            paths: of the routes.
            count: gets the route and the status of each refusal that has no row in telemetry. A route is one
                of `paths` or OTHER, never what somebody typed: each new name would be a new series.
        """
        self.app, self.wants_keys = app, wants_keys
        self.names = None if names is None else frozenset(name.lower() for name in names)
        self.paths, self.count = frozenset(paths), count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given: dict[bytes, bytes] = dict(scope["headers"])
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = f"req_{new_trace_id()[:24]}"
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = message.setdefault("headers", [])
                if b"cache-control" not in {name for name, _ in headers}:
                    headers.append(UNCACHED)
                ours = [*HEADERS, (b"x-request-id", request_id.encode())]
                message = {**message, "headers": [*headers, *ours]}
                if message["status"] >= 400 and not state.get("has_row"):
                    path = getattr(scope.get("route"), "path", scope["path"])
                    self.count(path if path in self.paths else OTHER, message["status"])
            await send(message)

        limit, length = limit_of(scope["path"]), given.get(b"content-length", b"0")
        refusal = self._stranger(scope, given)
        if refusal is None and length.isdigit() and int(length) > limit.bytes:
            refusal = limit.refusal()
        if refusal is None:
            try:
                await self.app(scope, _limited(receive, limit), send_with_headers)
            except Exception:
                # A bug: the log gets all of it, the caller one line. What has begun can only be broken off.
                logging.getLogger(__name__).exception("request %s failed", request_id)
                if started:
                    raise
                refusal = internal(request_id)
        if refusal is not None:
            headers = {"connection": "close"} if refusal.status == 413 else {}
            response = JSONResponse(refusal.body(), refusal.status, headers)
            await response(scope, receive, send_with_headers)

    def _stranger(self, scope: Scope, given: dict[bytes, bytes]) -> ApiError | None:
        """Why this request is not for us, or not from one of our pages; None where all is well."""
        host = given.get(b"host", b"").decode("latin-1")
        if self.names is not None and (name := _name_of(host)) not in self.names:
            known = ", ".join(sorted(self.names))
            return ApiError(421, "invalid_request_error", f"host {name[:80]!r} is not here: use {known}")
        forwarded = [name for name in given if name in FORWARDED or name.startswith(b"x-forwarded-")]
        if forwarded and not self.wants_keys():
            header = forwarded[0].decode("latin-1")
            return ApiError(
                403,
                "permission_error",
                f"this came through a proxy ({header}), and the server has no API key: make one with "
                "`python -m step5_serving keys add NAME`",
            )
        origin = given.get(b"origin", b"").decode("latin-1")
        changes = scope["method"] not in ("GET", "HEAD", "OPTIONS")  # the others no other page can read
        if changes and origin and origin.split("://")[-1].lower() != host.lower():
            return ApiError(
                403,
                "permission_error",
                f"pages of {origin[:80]!r} may not call this server: call it directly",
            )
        return None


def internal(request_id: str) -> ApiError:
    """What a caller reads of a bug of ours."""
    return ApiError(500, "api_error", f"internal error: the server's log has it under {request_id}")


def limit_of(path: str) -> Limit:
    """What the body of a request may be."""
    return INGEST if path == "/ingest" else QUESTION


def _limited(receive: Receive, limit: Limit) -> Receive:
    """The same within the limit: a body in pieces doesn't say beforehand how long it is, or when it ends.

    Raises (from the function that it returns):
        HTTPException: 413 or 408; one of Starlette's passes through FastAPI.
    """
    read, ended, deadline = 0, False, asyncio.get_running_loop().time() + limit.seconds

    async def receive_some() -> Message:
        nonlocal read, ended
        if ended:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {limit.seconds:g} s") from None
        if message["type"] == "http.request":
            read, ended = read + len(message.get("body", b"")), not message.get("more_body", False)
            if read > limit.bytes:
                raise HTTPException(413, limit.refusal().message)
        return message

    return receive_some


def _name_of(host: str) -> str:
    """A Host header without its port: `[::1]:8000` is ::1.

    >>> _name_of("localhost:8000"), _name_of("[::1]:8000")
    ('localhost', '::1')
    """
    if host.startswith("["):
        return host[1:].split("]")[0].lower()
    return host.rsplit(":", 1)[0].lower() if host.rsplit(":", 1)[-1].isdigit() else host.lower()
