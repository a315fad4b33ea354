"""Counts what was turned away and has no row in telemetry: by route and status, for Prometheus and summary.

    401 /query, 403 /telemetry/summary, 404 other, 413 /ingest, 421 other ...

It stands before everything else, so that it sees the replies of every other part. Routes are those of the
app, never what somebody typed: each new name would be a new series, kept for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"


class CountRefusals:
    """Wraps the app."""

    def __init__(self, app: ASGIApp, paths: Iterable[str], count: Callable[[str, int], None]) -> None:
        """`paths` are those of the routes, `count` gets a route and a status from 400 on."""
        self.app, self.paths, self.count = app, frozenset(paths), count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_and_count(message: Message) -> None:
            refuses = message["type"] == "http.response.start" and message["status"] >= 400
            if refuses and not state.get("has_row"):
                path = getattr(scope.get("route"), "path", scope["path"])
                self.count(path if path in self.paths else OTHER, message["status"])
            await send(message)

        await self.app(scope, receive, send_and_count)
