"""How long a connection may make the server wait: uvicorn's HTTP with the limits that it lacks."""

from __future__ import annotations

from typing import Any

SILENCE_S = 20  # for a connection until its first request, and between requests
LONGEST_HEAD = 65536  # bytes of a request's line and headers


def protocol() -> Any:
    """uvicorn's HTTP, which closes a connection that makes the server wait for nothing.

    That is one that stays silent, a request whose head does not come to its end or is endless, and a reply
    that nobody reads. (Bodies have their limits in security.py.)
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
            # Two looks for a head after another request; else it had that long already.
            enough = SILENCE_S if state[0] == "head" and self.cycle is not None else 0.0
            if state[0] and self._waited >= enough:
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
            return "head" if cycle is None or self._head else ""

    return Impatient
