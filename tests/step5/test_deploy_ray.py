"""Two replicas on a real Ray: both answer, one that is killed comes back, nothing is left when it stops."""

import concurrent.futures
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import httpx
import psutil
import pytest

from step5_serving.config import Config
from step5_serving.deploy import ray_serve
from tests.conftest import ROOT
from tests.step5.faults_process import ASKED

START = 180  # seconds: Ray starts a dozen processes


def test_without_ray_it_is_one_line(refused_here):
    if find_spec("ray"):
        pytest.skip("ray is installed")
    assert "not installed" in refused_here("--engine", "scripted")


@pytest.fixture
def refused_here(capsys):
    def run(*args):
        from shared import cli

        with pytest.raises(SystemExit) as ended:
            cli.run(ray_serve.app, "python -m step5_serving.deploy.ray_serve", list(args))
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        return err

    return run


def test_replicas_that_start_elsewhere_find_the_same_places(tmp_path):
    found = ray_serve._absolute(Config(telemetry="sqlite:///calls.db"))
    assert found.telemetry == f"sqlite:///{tmp_path}/calls.db"
    assert found.keys == tmp_path / "serving-keys.json"
    postgres = "postgresql+psycopg://telemetry@db/telemetry"
    assert ray_serve._absolute(Config(telemetry=postgres)).telemetry == postgres


@pytest.fixture
def deployed(tmp_path):
    """The command in a process of its own; its address."""
    if not find_spec("ray") or not find_spec("ray.serve"):
        pytest.skip('no Ray here: pip install -c constraints.txt ".[step5,ray]"')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "log").open("w+")
    command = [sys.executable, "-m", "step5_serving.deploy.ray_serve", "--engine", "scripted"]
    command += ["--telemetry", f"sqlite:///{tmp_path}/telemetry.db", "--keys", str(tmp_path / "keys.json")]
    environment = {**os.environ, "TESTS_MAY_REACH_NETWORK": "1"}  # Ray's parts use the machine's own address
    popen = subprocess.Popen(
        [*command, "--port", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        assert until(lambda: answers(port, popen), START), (tmp_path / "log").read_text()[-2000:]
        yield port
    finally:
        assert popen.poll() is None, (tmp_path / "log").read_text()[-2000:]
        children = psutil.Process(popen.pid).children(recursive=True)
        popen.send_signal(signal.SIGTERM)
        assert popen.wait(60) == 0, (tmp_path / "log").read_text()[-2000:]
        _, left = psutil.wait_procs(children, 20)
        for each in left:
            each.kill()
        assert not left


def until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.5)
    return None


def answers(port, popen=None):
    if popen and popen.poll() is not None:
        pytest.fail(f"it ended with {popen.returncode}")
    with contextlib.suppress(httpx.HTTPError):
        return ask(port).status_code == 200
    return False


def ask(port, path="/query", **options):
    method = "GET" if path != "/query" else "POST"
    body = {"json": ASKED} if method == "POST" else {}
    with httpx.Client(timeout=20, trust_env=False) as client:
        return client.request(method, f"http://127.0.0.1:{port}{path}", **body, **options)


def counts(port):
    """Calls that each replica has counted: /metrics asks one of them by chance."""
    pattern = r'rag_calls_total\{route="query",status="2xx"\} (\d+)'
    return {int(re.search(pattern, ask(port, "/metrics").text)[1]) for _ in range(40)}


@pytest.mark.real
def test_two_replicas(deployed):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: ask(deployed), range(160)))
    assert {each.status_code for each in got} == {200}
    rows = ask(deployed, "/telemetry/summary?since=1h").json()["calls"]
    assert rows >= 160  # both write into one database
    replicas = counts(deployed)
    assert len(replicas) == 2
    assert sum(replicas) == rows

    stream = ask(deployed, "/readyz")
    assert stream.json()["ready"]
    killed = next(each for each in psutil.process_iter() if "ServeReplica" in each.name() + cmdline(each))
    killed.kill()
    assert until(lambda: all(answers(deployed) for _ in range(10)), 60), "it does not come back"


def cmdline(process):
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
