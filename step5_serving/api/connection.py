"""One HTTP connection, with limits on what comes before the app: uvicorn has none of them but h11's.

    64 KiB of headers        more is answered with 400, and the connection is closed
    10 s for the headers     from the first connection or byte until they are complete; then it is closed
    20 s without a request   an idle connection is closed (`timeout_keep_alive`)

Whoever sends a header byte by byte, or nothing, holds a connection and memory without ever needing a key
(Slowloris). h11 also refuses two Host headers, of which a proxy and this server could choose different ones.
httptools has no limit, and takes both; it would answer about a tenth more calls a second without a model.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_BYTES = 64 * 1024
HEADERS_S = 10.0


class LimitedConnection(H11Protocol):
    """uvicorn's connection with a time limit for headers."""

    _late: asyncio.TimerHandle | None = None  # closes the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio: somebody has connected."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: the next bytes of a request are there."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # the app has the request
            self._stop_waiting()
        elif self._late is None:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio: the connection is closed."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._late = self.loop.call_later(HEADERS_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
