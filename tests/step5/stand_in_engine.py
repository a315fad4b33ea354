"""An engine that fails on demand: it answers, hangs, sends nonsense, stalls, or writes for ever.

with StandInEngine() as engine:
    engine.mode = "hang"
    engine.stop(); engine.start()       # at the same port
"""

import asyncio
import threading

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shared.embedded.endpoint import encode_event
from step5_serving.addresses import listening
from tests.scripted import events, message_of

WORDS = "It renews every year [1]."
MESSAGE = message_of([{"type": "text", "text": WORDS}])


class StandInEngine:
    """Speaks the Messages API on loopback; `mode` says what happens to the next requests."""

    def __init__(self):
        self.mode, self.port = "answer", 0
        self.models = (200, {"data": [{"id": "stand-in"}]})  # status and body of /v1/models
        self.headers = {}  # of the last request for the models
        self.released = threading.Event()  # lets hanging requests go on
        self.left = threading.Event()  # a client has closed its connection too early
        routes = [Route("/v1/models", self._list), Route("/v1/messages", self._answer, methods=["POST"])]
        self._app = Starlette(routes=routes)

    def start(self):
        """Listen, at the same port as before."""
        self.released.clear()
        self._listening = listening(self._app, self.port)
        self.address = self._listening.__enter__()
        self.port = int(self.address.rsplit(":", 1)[1])

    def stop(self):
        """Stop listening, and release what hangs."""
        self.released.set()
        self._listening.__exit__(None, None, None)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    async def _list(self, request):
        self.headers = request.headers
        status, body = self.models
        return Response(body, status) if isinstance(body, bytes) else JSONResponse(body, status)

    async def _answer(self, request):
        streams = (await request.json()).get("stream")
        while self.mode == "hang" and not self.released.is_set():
            await asyncio.sleep(0.1)
        if streams and self.mode != "nonsense":
            return StreamingResponse(self._events(), media_type="text/event-stream")
        return JSONResponse({"hello": "world"} if self.mode == "nonsense" else MESSAGE)

    async def _events(self):
        stops = self.mode in ("stall", "endless")
        try:
            for event in list(events(MESSAGE))[: 3 if stops else None]:
                yield encode_event(event)
            while stops and not self.released.is_set():
                await asyncio.sleep(0.1)
                if self.mode == "endless":
                    yield encode_event(event)
        except asyncio.CancelledError:
            self.left.set()
            raise
