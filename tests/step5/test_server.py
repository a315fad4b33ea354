"""A real server: where it listens, how it stops, what it does with connections that are slow or silent."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from shared.errors import UserError
from step5_serving.api import security, server
from step5_serving.api.keys import Keys
from step5_serving.config import Config
from step5_serving.rag.scripted import ScriptedAnswerer
from tests.conftest import ROOT
from tests.step5.service_parts import ASKED, app_of, calls_of, eventually, in_loop

PROGRAM = """
import asyncio, sys
from pathlib import Path
from step5_serving.api import server
from step5_serving.config import Config
from step5_serving.rag.scripted import ScriptedAnswerer

delay, drain = float(sys.argv[1]), float(sys.argv[2])
config = Config(engine="scripted", port=0, drain_s=drain, telemetry="sqlite:///telemetry.db")
make = server._parts
server._parts = lambda config, undo: {"answerer": ScriptedAnswerer(delay=delay)}
server.serve(config)
"""


class Process:
    """A server in a process of its own; `url` is where it listens."""

    def __init__(self, folder, delay=0.0, drain=5.0):
        self.folder = folder
        command = [sys.executable, "-c", PROGRAM, str(delay), str(drain)]
        self.process = subprocess.Popen(
            command, cwd=folder, stderr=subprocess.PIPE, text=True, env=_environment()
        )
        line = self.process.stderr.readline()
        assert line.startswith("listening on "), line + self.process.stderr.read()
        self.url = line.split()[2]
        self._until_it_answers()

    def _until_it_answers(self):
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError("it does not answer")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def ended(self, seconds=10):
        """Exit code and the rest of stderr."""
        _, said = self.process.communicate(timeout=seconds)
        return self.process.returncode, said


def _environment():
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ['PYTHONPATH']}"}


@pytest.fixture
def process(tmp_path):
    made = []

    def make(**given):
        made.append(Process(tmp_path, **given))
        return made[-1]

    yield make
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def rows_of(folder):
    import sqlite3

    with contextlib.closing(sqlite3.connect(folder / "telemetry.db")) as db:
        return db.execute("SELECT http_response_status_code FROM calls").fetchall()


# --- where it listens -------------------------------------------------------------------------------------


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            UserError, match=f"port {port} of 127.0.0.1 is in use: choose another with --port"
        ):
            server.listen("127.0.0.1", port)


def test_an_address_that_is_none(monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match=r"--host nowhere is no address of this machine"):
        server.listen("nowhere", 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_addresses_only_with_a_key(tmp_path, host):
    keys = Keys(tmp_path / "keys.json")
    with pytest.raises(UserError, match=f"--host {host} lets others reach this server"):
        server.check_host(Config(host=host), keys)
    with pytest.raises(UserError, match=r"--name rag.example.com lets others .* or leave out --name"):
        server.check_host(Config(names=("rag.example.com",)), keys)
    keys.add("alice", ["ask"])
    server.check_host(Config(host=host), keys)
    server.check_host(Config(), Keys(tmp_path / "none.json"))


def test_what_to_type_into_a_browser():
    with contextlib.closing(server.listen("127.0.0.1", 0)) as found:
        assert server.address_of(found) == f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"port": -1}, "--port -1 is not allowed"),
        ({"port": 70_000}, "--port 70000 is not allowed"),
        ({"reader": "oracle"}, "--reader oracle is not known"),
        ({"threshold": 1.5}, "--threshold 1.5 is no probability"),
        ({"running": 0}, "--running 0 is not allowed"),
        ({"waiting": -1}, "--waiting -1 is not allowed"),
        ({"timeout_s": 0}, "--timeout 0 is not allowed"),
        ({"timeout_s": float("nan")}, "--timeout nan is not allowed"),
        ({"drain_s": -1}, "--drain -1 is not allowed"),
        ({"rate": 0}, "--rate 0 is not allowed"),
        ({"burst": float("inf")}, "--burst inf is not allowed"),
    ],
)
def test_values_that_make_no_sense(fields, said):
    with pytest.raises(UserError, match=said):
        Config(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"engine": "steam"}, "--engine steam is not known"),
        ({"engine": "torch", "model": "tiny", "index": Path("nowhere")}, "no index in nowhere"),
        ({"engine": "torch", "model": "tiny", "store": "shoebox"}, "--store shoebox is not known"),
        ({"engine": "torch", "model": "tiny", "prompts": "9"}, "version 9, which does not exist"),
        ({"engine": "torch", "model": "tiny", "budget_usd_per_day": 1.0}, "no price for it"),
        ({"engine": "scripted", "telemetry": "mysql://x"}, "mysql"),
        ({"engine": "scripted", "otlp": "nowhere"}, "--otlp 'nowhere' is no address"),
    ],
)
def test_parts_that_can_not_be_had_are_one_line_before_it_listens(fields, said):
    with pytest.raises(UserError, match=said) as error:
        server.make_app(Config(**fields))
    assert "\n" not in str(error.value)


# --- how it stops -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_calls_finish_and_nobody_in(process, number):
    served = process(delay=0.8)
    with httpx.Client(base_url=served.url) as client:
        thread, got = _in_thread(lambda: httpx.post(f"{served.url}/query", json=ASKED))
        time.sleep(0.3)
        served.signal(number)
        time.sleep(0.1)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the server is stopping")
        assert client.get("/healthz").status_code == 200
        refused = client.post("/query", json=ASKED)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
    thread.join(5)
    assert got[0].status_code == 200
    code, said = served.ended()
    assert code == 0
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said
    assert sorted(rows_of(served.folder)) == [(200,), (503,)]


def _in_thread(work):
    import threading

    got = []
    thread = threading.Thread(target=lambda: got.append(work()))
    thread.start()
    return thread, got


def test_what_takes_too_long_is_broken_off(process):
    served = process(delay=60, drain=0.3)
    thread, got = _in_thread(
        lambda: _status(lambda: httpx.post(f"{served.url}/query", json=ASKED, timeout=30))
    )
    time.sleep(0.3)
    began = time.monotonic()
    served.signal()
    code, said = served.ended()
    assert time.monotonic() - began < 6
    thread.join(5)
    assert code == 0
    assert "1 calls are broken off" in said
    assert got[0] != 200
    assert rows_of(served.folder) == [(499,)]  # its row says so


def _status(work):
    try:
        return work().status_code
    except httpx.TransportError as error:
        return str(error)


def test_a_second_signal_is_not_waited_for(process):
    served = process(delay=60, drain=60)
    thread, _ = _in_thread(lambda: _status(lambda: httpx.post(f"{served.url}/query", json=ASKED, timeout=30)))
    time.sleep(0.3)
    served.signal()
    time.sleep(0.2)
    served.signal()
    code, _ = served.ended(5)
    assert code == 0
    thread.join(5)


def test_an_idle_server_stops_at_once_whoever_is_connected(process):
    served = process()
    with httpx.Client(base_url=served.url) as client:
        assert client.post("/query", json=ASKED).status_code == 200
        began = time.monotonic()
        served.signal()
        code, said = served.ended()
    assert time.monotonic() - began < 4
    assert (code, said.splitlines()[-1]) == (0, "stopped")


# --- connections ------------------------------------------------------------------------------------------


@in_loop
async def test_the_server_says_little_of_itself_and_keeps_connections():
    app = app_of()
    async with server.running(app, app.state.service.config) as url, httpx.AsyncClient() as client:
        got = await client.post(f"{url}/query", json=ASKED)
        assert "server" not in got.headers
        assert got.headers["x-content-type-options"] == "nosniff"
        assert (await client.post(f"{url}/query", json=ASKED)).status_code == 200


@in_loop
async def test_a_client_that_goes_away_stops_the_work():
    answerer = ScriptedAnswerer(gate=asyncio.Event())
    app = app_of(answerer)
    async with server.running(app, app.state.service.config) as url:
        for path in ("/query", "/query/stream"):
            async with httpx.AsyncClient() as client:
                asking = asyncio.ensure_future(client.post(f"{url}{path}", json=ASKED))
                await eventually(lambda: answerer.running)
                asking.cancel()
                await asyncio.wait([asking])
            await eventually(lambda: not answerer.running)
    assert [(call.status, call.error_type) for call in calls_of(app)] == [(499, "client_gone")] * 2


@in_loop
async def test_a_body_that_trickles_in_is_given_up(monkeypatch):
    monkeypatch.setattr(security, "QUESTION", security.Limit(1000, 0.3))
    app = app_of()
    async with server.running(app, app.state.service.config) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        writer.write(b"POST /query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n")
        writer.write(b"Content-Type: application/json\r\n\r\n")
        began = time.monotonic()

        async def trickle():
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        trickling = asyncio.ensure_future(trickle())
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        assert 0.2 < time.monotonic() - began < 3
        trickling.cancel()
    assert calls_of(app) == []  # it never got so far


@in_loop
async def test_many_at_once_all_have_their_row():
    app = app_of(waiting=500)
    async with server.running(app, app.state.service.config) as url, httpx.AsyncClient() as client:
        got = await asyncio.gather(*(client.post(f"{url}/query", json=ASKED) for _ in range(200)))
    traces = {each.json()["trace_id"] for each in got}
    assert len(traces) == 200
    assert traces == {call.trace_id for call in calls_of(app)}


def test_serving_says_where_and_stops(process):
    served = process()
    got = httpx.post(f"{served.url}/query", json=ASKED)
    assert got.status_code == 200
    assert json.loads(got.content)["answer"]
    page = httpx.get(f"{served.url}/metrics").text
    assert 'rag_calls_total{route="query",status="2xx"} 1.0' in page
    summary = httpx.get(f"{served.url}/telemetry/summary").json()
    assert summary["calls"] == 1
    served.signal()
    assert served.ended()[0] == 0
