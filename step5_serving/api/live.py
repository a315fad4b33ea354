"""Replies that are written while the work goes on, and work that stops when nobody waits for it any more.

    event: delta
    data: {"text": "It renews"}

A server that goes on writing for a client who has left wastes the one thing that is scarce. So whoever works
for a request works inside `while_connected`: when the connection closes, the work is cancelled, and the
cancellation stops the model at its next token. Streams do it as plain requests do.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import from_json, to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from step5_serving.errors import ClientGone

T = TypeVar("T")
EVENTS = "text/event-stream; charset=utf-8"
WATCH_AFTER = 0.02  # seconds
PATIENCE = 1.0  # seconds before a stream says at least that it has begun
PING_EVERY = 15.0  # seconds; proxies close what is silent for longer
PING = b": ping\n\n"


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The outcome of the work, which is cancelled when the client goes away. The body has to be read already.

    Raises:
        ClientGone: he did.
    """
    task, gone = asyncio.current_task(), False
    assert task is not None

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watchers: list[asyncio.Future[None]] = []

    def begin() -> (
        None
    ):  # what is done sooner needs nobody to watch, and a task costs as much as a small reply
        watchers.append(asyncio.ensure_future(watch()))

    beginning = asyncio.get_running_loop().call_later(WATCH_AFTER, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        beginning.cancel()
        for watcher in watchers:
            watcher.cancel()


def event(name: str | None, data: Any) -> bytes:
    """One server-sent event.

    >>> event("delta", {"text": "It"})
    b'event: delta\\ndata: {"text":"It"}\\n\\n'
    """
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + to_json(data) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Received:
    """An event from another server: what it is, and how it came."""

    name: str
    data: Any  # its JSON; None where there is none
    raw: bytes


async def events_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[Received]:
    """The events of a stream of bytes, cut wherever the network cut it."""
    held = b""
    async for chunk in chunks:
        held = (held + chunk).replace(b"\r\n", b"\n")
        *whole, held = held.split(b"\n\n")
        for block in whole:
            yield _received(block)
    if held.strip():
        yield _received(held)


def _received(block: bytes) -> Received:
    name, data = "message", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode("utf-8", "replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    try:
        parsed = from_json(b"\n".join(data)) if data else None
    except ValueError:
        parsed = None
    return Received(name, parsed, block + b"\n\n")


class Sender:
    """The reply's side of a connection."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def start(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """The status and the headers; those of events where none are given."""
        self.started = True
        # The second is for nginx, which would keep the events until there are many.
        given = {"content-type": EVENTS, "x-accel-buffering": "no"} if headers is None else headers
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, *pieces: bytes) -> None:
        """More of the body; begins the reply where nobody has."""
        if not self.started:
            await self.start()
        await self._send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})

    async def end(self, *pieces: bytes) -> None:
        """The last of it."""
        if not self.started:
            await self.start()
        await self._send({"type": "http.response.body", "body": b"".join(pieces), "more_body": False})


class Live(Response):
    """A reply that `work` writes. A refusal before it has begun becomes a plain reply with its status."""

    def __init__(self, work: Callable[[Sender], Coroutine[Any, Any, None]]) -> None:
        super().__init__(media_type=EVENTS)
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        with contextlib.suppress(ClientGone):  # then there is nobody to tell
            await while_connected(receive, self._work(Sender(send)))


async def pump(
    sender: Sender,
    begin: Callable[[Callable[[bytes], None]], Coroutine[Any, Any, T]],
    end: Callable[[T], Iterable[bytes]],
    failed: Callable[[Exception], Iterable[bytes]],
    opened: asyncio.Event,
) -> None:
    """Send what a piece of work puts out while it runs, then how it ended.

    Args:
        begin: the work; it gets a function that takes bytes, to be called in the event loop's thread.
        end: the last bytes, from the work's outcome.
        failed: the last bytes, from its error. Raised instead where nothing was sent yet.
        opened: nothing is sent before the work sets it.
    """
    ready: asyncio.Queue[bytes | None] = asyncio.Queue()
    task = asyncio.ensure_future(begin(ready.put_nowait))
    task.add_done_callback(lambda _task: ready.put_nowait(None))
    patience = PATIENCE
    try:
        going = True
        while going:
            try:
                async with asyncio.timeout(patience):
                    pieces = [await ready.get()]
            except TimeoutError:
                if not opened.is_set():
                    continue
                await sender.write(PING)
                patience = PING_EVERY
                continue
            while not ready.empty():  # all that has come meanwhile, in one go
                pieces.append(ready.get_nowait())
            going = None not in pieces
            if whole := [piece for piece in pieces if piece is not None]:
                await sender.write(*whole)
                patience = PING_EVERY
        try:
            outcome = task.result()
        except Exception as error:
            if not sender.started:
                raise
            await sender.end(*failed(error))
        else:
            await sender.end(*end(outcome))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
