"""Faults of the servers behind the service: the engine dies, hangs, breaks off; the vector store is gone.

One server process with step 3's real code and the tiny embedder, a stand-in engine and a real Chroma server.
Each fault has its error in time, and the service recovers without a restart.
"""

import contextlib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest

from shared.config import load_settings
from step3_rag.cli import index
from tests.step5.faults_process import Process
from tests.step5.stand_in_engine import WORDS, StandInEngine

TIMEOUT = 2.0
DOCUMENTS = {
    "supply.md": "# Supply agreement\n\n## Renewal\n\nThe contract renews every year. Notice is 60 days.\n",
    "leave.txt": "Employees have 30 days of leave. What is left in March is lost.\n",
}


class ChromaServer:
    """`chroma run`, which can be restarted with the same folder and port."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        code = "import sys; from chromadb.cli.cli import app; sys.exit(app())"
        where = ["--path", self.folder, "--host", "127.0.0.1", "--port", str(self.port)]
        self.popen = subprocess.Popen(
            [sys.executable, "-c", code, "run", *where],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/api/v2/heartbeat", trust_env=False).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError("chroma run does not start")

    def stop(self):
        self.popen.kill()
        self.popen.wait(10)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The service and the two servers behind it."""
    folder = tmp_path_factory.mktemp("faults")
    for name, text in DOCUMENTS.items():
        (folder / "documents" / name).parent.mkdir(exist_ok=True)
        (folder / "documents" / name).write_text(text)
    environment = {
        "ROADMAP_CACHE_DIR": str(folder / "cache"),
        "ROADMAP_EMBEDDER": "tiny",
        "ROADMAP_DEVICE": "cpu",
        "ROADMAP_THREADS": "1",
    }
    with contextlib.ExitStack() as stack:
        chroma = ChromaServer(folder / "chroma")
        stack.callback(chroma.stop)
        engine = stack.enter_context(StandInEngine())
        settings = load_settings(embedder="tiny", cache_dir=folder / "cache", device="cpu")
        where = (folder / "index", None, 128, 32, "chroma", chroma.address)
        index.run(settings, [folder / "documents"], *where)
        config = {
            "engine": engine.address,
            "model": "stand-in",
            "index": str(folder / "index"),
            "store_address": chroma.address,
            "threshold": 0.0,
            "strategies": [],
            "timeout_s": TIMEOUT,
            "running": 3,
            "waiting": 6,
        }
        service = stack.enter_context(Process(folder, config=config, environment=environment))
        yield SimpleNamespace(service=service.ready(), engine=engine, chroma=chroma)


@pytest.fixture
def healthy(parts):
    """The parts, working before the test and after it."""
    recovers(parts.service, 60)
    yield parts
    parts.engine.mode = "answer"
    parts.engine.released.set()
    parts.engine.released.clear()
    recovers(parts.service)


def recovers(service, seconds=15):
    """Wait until it answers again."""
    got = service.until(lambda: (r := service.ask()).status_code == 200 and r, seconds)
    assert got, service.ask().text
    assert got.json()["answer"] == WORDS


def refused(got, status, *words):
    """Check that it is an error of one line with that status."""
    assert got.status_code == status, got.text
    message = got.json()["error"]["message"]
    assert "\n" not in message
    assert "Traceback" not in message
    assert all(word in message for word in words), message
    return message


def unready(service, reason):
    """Wait until it is unready for that reason, and alive."""
    got = service.until(lambda: (r := service.get("/readyz")).status_code == 503 and r, 10)
    assert got
    assert reason in got.json()["reason"]
    assert service.get("/healthz").status_code == 200


@pytest.mark.parametrize("mode", ["hang", "stall"])
def test_an_engine_that_hangs_blocks_nobody_for_longer_than_the_timeout(healthy, mode):
    """Before the first byte or in the middle of an answer, with more calls than run at the same time."""
    healthy.engine.mode = mode
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: healthy.service.ask(), range(12)))
    assert TIMEOUT - 0.2 < time.monotonic() - began < TIMEOUT + 2
    statuses = [each.status_code for each in got]
    assert set(statuses) <= {503, 504}, statuses
    assert statuses.count(504) >= 3
    assert all(int(each.headers["retry-after"]) >= 1 for each in got if each.status_code == 503)
    assert healthy.service.get("/healthz").status_code == 200
    healthy.engine.mode = "answer"
    recovers(healthy.service, 5)  # no thread is still blocked


def test_an_engine_that_is_gone(healthy):
    healthy.engine.stop()
    try:
        got = healthy.service.ask()
        refused(got, 503)
        assert got.headers["retry-after"]
        unready(healthy.service, "nobody answers")
    finally:
        healthy.engine.start()
    recovers(healthy.service)
    assert healthy.service.until(lambda: healthy.service.get("/readyz").status_code == 200, 10)


@pytest.mark.parametrize(("mode", "status"), [("overloaded", 503), ("nonsense", 502)])
def test_an_engine_that_answers_badly(healthy, mode, status):
    healthy.engine.mode = mode
    refused(healthy.service.ask(), status)
    assert healthy.service.get("/telemetry/calls?limit=1").json()["calls"][0]["status"] == status


def test_a_stream_that_breaks_ends_with_an_error_event(healthy):
    healthy.engine.mode = "break"
    got = healthy.service.ask(path="/query/stream")
    assert got.status_code == 200
    assert "event: retrieved" in got.text
    assert got.text.rstrip().rsplit("\n\n", 1)[-1].startswith("event: error")


def test_a_vector_store_that_is_gone_and_comes_back(healthy):
    healthy.chroma.stop()
    try:
        got = healthy.service.ask()
        refused(got, 503, "vector store")
        assert got.headers["retry-after"]
        unready(healthy.service, "vector store")
    finally:
        healthy.chroma.start()
    recovers(healthy.service)
    assert healthy.service.until(lambda: healthy.service.get("/readyz").status_code == 200, 10)
