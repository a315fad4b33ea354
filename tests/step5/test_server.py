"""A real server: where it listens, and how it stops."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from shared.errors import UserError
from step5_serving.api import server
from step5_serving.api.keys import Keys
from step5_serving.config import Config
from tests.conftest import ROOT
from tests.step5.faults_process import Process
from tests.step5.service_parts import ASKED, until


def ended(served, seconds=10):
    """Exit code, and what it said."""
    return served.popen.wait(seconds), served.said()


def statuses(folder):
    with contextlib.closing(sqlite3.connect(folder / "telemetry.db")) as db:
        return [row[0] for row in db.execute("SELECT http_response_status_code FROM calls ORDER BY 1")]


def test_a_host_that_can_be_no_name():
    with pytest.raises(UserError, match=r"cannot listen on port 0 of é+ \(encoding of hostname failed\)"):
        server.listen("é" * 80, 0)


def test_other_addresses_are_allowed_once_there_is_a_key(tmp_path):
    keys = Keys(tmp_path / "keys.json")
    keys.add("alice", ["ask"])
    server.check_host(Config(host="192.0.2.1"), keys)


def refuses(served):
    """Whether it accepts no more connections."""
    try:
        served.get("/healthz")
    except httpx.TransportError as error:  # a ReadError: it is just closing
        return isinstance(error, httpx.ConnectError)


def test_its_log_has_one_form_from_the_start(tmp_path):
    with (
        Process(tmp_path, answerer={"pace": 9.0}) as served,
        served.client.stream("POST", "/query/stream", json=ASKED) as got,
    ):
        lines = got.iter_lines()  # if it were not kept, the connection would be closed
        next(lines)
        served.popen.kill()
    with Process(tmp_path) as served:
        assert "telemetry.writer: calls that ran when their process ended: 1" in served.said()


def test_a_signal_lets_running_and_waiting_calls_finish_and_admits_no_others(tmp_path):
    """An idle connection doesn't delay the end."""
    with (
        Process(tmp_path, config={"running": 1, "drain_s": 30}, answerer={"delay": 1.0}) as served,
        httpx.Client(base_url=served.address) as idle,
        ThreadPoolExecutor(2) as pool,
    ):
        assert "server" not in idle.get("/healthz").headers
        asking = [pool.submit(served.ask) for _ in range(2)]
        until(lambda: "rag_queue_depth 1.0" in served.get("/metrics").text)
        served.popen.send_signal(signal.SIGTERM)
        until(lambda: refuses(served))
        assert not all(each.done() for each in asking)
        assert [each.result().status_code for each in asking] == [200, 200]
        began = time.monotonic()
        code, said = ended(served)
        assert time.monotonic() - began < 4
    assert code == 0
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said
    assert statuses(tmp_path) == [200, 200]


@pytest.mark.parametrize("again", [False, True], ids=["after the drain time", "at a second signal"])
def test_calls_that_do_not_finish_are_broken_off(tmp_path, again):
    config = {"drain_s": 60 if again else 0.3}
    with Process(tmp_path, config=config, answerer={"delay": 60}) as served, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(served.ask)
        until(lambda: "rag_in_flight 1.0" in served.get("/metrics").text)
        began = time.monotonic()
        served.popen.send_signal(signal.SIGINT)
        if again:
            time.sleep(0.2)
            served.popen.send_signal(signal.SIGINT)
        code, said = ended(served)
        assert time.monotonic() - began < 6
        assert asking.exception() or asking.result().status_code != 200
    assert code == 0
    if again:
        assert "Traceback" not in said
    else:
        assert "Cancel 1 running task" in said
        assert statuses(tmp_path) == [499]  # its row says so


def test_a_signal_ends_it_while_it_loads_and_its_engine(tmp_path):
    command = [sys.executable, "-m", "step5_serving", "serve", "--smoke", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ROADMAP_CACHE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    [engine] = until(psutil.Process(process.pid).children, 60)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said.splitlines()[-1]) == (130, "stopped")
    assert "Traceback" not in said
    until(lambda: not engine.is_running())
