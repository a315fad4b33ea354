"""How long a connection may make the server wait: uvicorn's HTTP with the limits that it lacks."""

from __future__ import annotations

from typing import Any

SILENCE_S = 20  # for a connection until its first request, and between requests
SLOWEST_S = 300  # for a request's body to come
LONGEST_HEAD = 65536  # bytes of a request's line and headers


def protocol() -> Any:
    """uvicorn's HTTP, which closes a connection that makes the server wait for nothing.

    That is one that stays silent, a request whose head does not come to its end or is endless, a body that
    trickles in, and a reply that nobody reads.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base  # type: ignore[assignment]

    class Impatient(Base):  # type: ignore[misc, valid-type]
        _looking: Any = None
        _head = 0  # bytes of a request's head that has not come to its end
        _unread = 0  # bytes of replies that the client has not taken
        _before: tuple[str, Any] = ("", None)  # what was waited for at the last look, and of which request
        _waited = 0.0  # seconds, for that

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._looking = self.loop.call_later(SILENCE_S, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self._looking.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            is_body = before is not None and before.more_body
            super().data_received(data)
            if is_body or self.cycle is not before:
                self._head = 0
                return
            self._head += len(data)
            if self._head > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

        def _look(self) -> None:
            """Once in a while, so that a request pays nothing for it."""
            state = (self._awaited(), self.cycle)
            self._waited = self._waited + SILENCE_S if state == self._before else 0.0
            self._before = state
            if state[0] and self._waited >= self._patience(state[0]):
                self.transport.abort()  # `close` would wait until all is sent
            else:
                self._looking = self.loop.call_later(SILENCE_S, self._look)

        def _awaited(self) -> str:
            """What the client has to do next; "" where it is our turn, or uvicorn's clock runs."""
            cycle, unread = self.cycle, self.transport.get_write_buffer_size()
            is_stuck = unread > 0 and unread == self._unread
            self._unread = unread
            if is_stuck:
                return "read"
            if cycle is None or self._head:
                return "head"
            return "body" if cycle.more_body and not cycle.response_complete else ""

        def _patience(self, what: str) -> float:
            if what == "body":
                return SLOWEST_S
            # By now it had that long already: since it came, or, of a reply, since the look before.
            return 0.0 if what == "read" or self.cycle is None else SILENCE_S

    return Impatient
