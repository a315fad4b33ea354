"""A service for tests: a scripted answerer, calls in a list, requests without a network."""

import asyncio
import functools
import json
import select
import time

import httpx

from step5_serving.api.app import create_app
from step5_serving.api.keys import SCOPES, Keys
from step5_serving.api.service import Service
from step5_serving.config import Config
from step5_serving.errors import TelemetryDown, not_found
from step5_serving.rag.scripted import ScriptedAnswerer
from step5_serving.seam import nothing

ASKED = {"question": "When does it renew?"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"  # of a caller, as its header `traceparent`


class FakeAnswerer(ScriptedAnswerer):
    """A ScriptedAnswerer that can be slow, wait, or fail, and counts its calls."""

    delay, pace = 0.0, 0.0  # seconds before it begins (a test may end them early), and before each word
    refusal = None  # raised at once
    error = None  # raised after the last word
    not_ready = None
    running, cancelled, is_closed = 0, 0, False

    def __init__(self, fields=(), **given):
        """`fields`: of each call, in place of the usual ones."""
        vars(self).update(given)
        self.fields, self.asked = dict(fields), []

    async def answer(self, query, call, tell=nothing):
        self.asked.append(query)
        if self.refusal:
            raise self.refusal

        def tell_fields(event, data):
            tell(event, {name: self.fields.get(name, value) for name, value in data.items()})

        self.running += 1
        began = time.monotonic()
        try:
            while time.monotonic() < began + self.delay:
                await asyncio.sleep(0.005)
            await super().answer(query, call, tell_fields)
            vars(call).update(self.fields)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _write(self, tell):
        told = []
        await super()._write(lambda *event: told.append(event))
        for event in told:
            if self.pace:
                await asyncio.sleep(self.pace)
            tell(*event)
        if self.error:
            raise self.error

    async def ready(self):
        return self.not_ready

    async def close(self):
        self.is_closed = True


class Shelf:
    """A document library that changes nothing."""

    def __init__(self, names=()):
        self.rows = [{"name": name, "collection": name.split("/")[0]} for name in names]

    async def documents(self):
        return self.rows

    async def ingest(self, uploads):
        return {"new": [each.name for each in uploads]}

    async def remove(self, id):
        raise not_found(f"there is no document {id}")


class ListRecorder:
    """Keeps calls in a list; fails while `trouble` is set."""

    store = None

    def __init__(self):
        self.calls, self.trouble, self.closed = [], None, False

    def redact(self, call):
        return call

    async def open(self, _call):
        await asyncio.sleep(0)
        if self.trouble:
            raise TelemetryDown(self.trouble)

    async def record(self, call):
        await self.open(call)
        self.calls.append(call)

    async def is_foreign(self, trace_id, key_id):
        return any((call.trace_id == trace_id and call.key_id != key_id) for call in self.calls)

    async def ready(self):
        return self.trouble

    async def close(self):
        self.closed = True


def app_of(answerer=None, recorder=None, keys=None, spans=None, **config):
    """An app; `config` are fields of Config."""
    config = Config(engine="scripted", **config)
    return create_app(Service(config, answerer or FakeAnswerer(), recorder or ListRecorder(), keys, spans))


def client_of(app, **options):
    """An httpx client that calls the app directly."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, **{"base_url": "http://127.0.0.1", **options})


def operator_of(app, folder):
    """A client with a key for everything, in a folder of its own."""
    service = app.state.service
    service.keys = service.access.keys = Keys(folder / "operator.json")
    _, key = service.keys.add("operator", SCOPES)
    return client_of(app, headers={"x-api-key": key})


def request(app, method, path, **options):
    """One request, from outside an event loop."""
    return run_for(client_of(app).request(method, path, **options))


def post(app, path="/query", json=None, **options):
    return request(app, "POST", path, json=ASKED if json is None else json, **options)


def get(app, path, **options):
    return request(app, "GET", path, **options)


def run_for(work, seconds=60):
    """The result of a coroutine; fails after these seconds."""
    return asyncio.run(asyncio.wait_for(work, seconds))


def line_of(stream, seconds=120):
    """The first line of a process' output."""
    ready, _, _ = select.select([stream], [], [], seconds)
    assert ready, f"nothing was said within {seconds} s"
    return stream.readline()


def in_loop(test):
    """Decorator for a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        run_for(test(*args, **kwargs), 30)

    return run


def calls_of(app):
    return app.state.service.recorder.calls


def error_of(response):
    """Type and message of an error, which must be one line."""
    error = response.json()["error"]
    assert "\n" not in error["message"]
    return error["type"], error["message"]


def events_in(text):
    """(name, data) of each server-sent event."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines.get("event"), json.loads(lines["data"])))
    return found


def until(condition, seconds=10.0):
    """Wait until the condition holds; returns what it gave."""
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return got


async def eventually(condition, seconds=5.0):
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
