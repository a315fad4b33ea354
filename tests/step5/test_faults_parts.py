"""Faults of the servers behind the service: the engine dies or hangs; the vector store is gone.

The service with step 3's real code and a fake embedder, a stand-in engine and a real Chroma server. Each
fault has its error in time, and the service recovers without a restart.
"""

import contextlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest

from step3_rag import service
from step5_serving.addresses import listening
from step5_serving.api import server
from step5_serving.api.keys import Keys
from step5_serving.config import Config
from tests.chroma_server import ChromaServer
from tests.step3.conftest import FakeEmbedder
from tests.step5.rag_parts import ALWAYS
from tests.step5.service_parts import ASKED, error_of, until
from tests.step5.stand_in_engine import WORDS, StandInEngine

TIMEOUT = 2.0


@pytest.fixture(scope="module")
def parts(tmp_path_factory, made_once, tiny_cache):
    """A client of the service, and the two servers behind it."""
    folder = tmp_path_factory.mktemp("faults")
    with contextlib.ExitStack() as stack:
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(service, "Embedder", lambda _settings: FakeEmbedder())
        patched.setenv("ROADMAP_CACHE_DIR", str(tiny_cache))
        patched.setenv("ROADMAP_JUDGE_ADAPTER", "none")
        chroma = ChromaServer(folder)
        stack.callback(chroma.stop)
        engine = stack.enter_context(StandInEngine())
        config = Config(
            engine=engine.address,
            model="stand-in",
            index=shutil.copytree(made_once, folder / "index"),
            store_address=chroma.address,
            telemetry=str(folder / "telemetry.db"),
            timeout_s=TIMEOUT,
            running=3,
            waiting=6,
            **ALWAYS,
        )
        address = stack.enter_context(listening(server.make_app(config, Keys(folder / "keys.json"))))
        client = stack.enter_context(httpx.Client(base_url=address, timeout=30, trust_env=False))
        yield SimpleNamespace(client=client, engine=engine, chroma=chroma)


@pytest.fixture
def healthy(parts):
    """The parts, working before the test and after it."""
    recovers(parts.client, 60)
    yield parts
    parts.engine.mode = "answer"
    parts.engine.released.set()
    parts.engine.released.clear()
    recovers(parts.client, 15)


def ask(client, path="/query"):
    return client.post(path, json=ASKED)


def recovers(client, seconds):
    """Wait until it answers again, and says that it is ready."""
    until(lambda: (got := ask(client)).status_code == 200 and got.json()["answer"] == WORDS, seconds)
    until(lambda: client.get("/readyz").status_code == 200)


def is_down(client, part):
    """Check that a question gets an error for now, and that the service is unready for that reason."""
    got = ask(client)
    assert (got.status_code, bool(got.headers["retry-after"])) == (503, True)
    assert "Traceback" not in error_of(got)[1]
    until(lambda: part in (client.get("/readyz").json()["reason"] or ""))
    assert client.get("/healthz").status_code == 200
    return error_of(got)[1]


@pytest.mark.parametrize("mode", ["hang", "stall"])
def test_an_engine_that_hangs_blocks_nobody_for_longer_than_the_timeout(healthy, mode):
    """Before the first byte or in the middle of an answer, with more calls than run at the same time."""
    healthy.engine.mode = mode
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda _: ask(healthy.client), range(12)))
    assert TIMEOUT - 0.2 < time.monotonic() - began < TIMEOUT + 2
    statuses = [each.status_code for each in got]
    assert set(statuses) <= {503, 504}, statuses
    assert statuses.count(504) >= 3
    assert all(int(each.headers["retry-after"]) >= 1 for each in got if each.status_code == 503)
    assert healthy.client.get("/healthz").status_code == 200
    healthy.engine.mode = "answer"
    recovers(healthy.client, 5)  # no thread is still blocked


def test_an_engine_that_is_gone(healthy):
    healthy.engine.stop()
    try:
        is_down(healthy.client, "nobody answers")
    finally:
        healthy.engine.start()


def test_what_is_no_message_is_no_answer(healthy):
    healthy.engine.mode = "nonsense"
    assert ask(healthy.client).status_code == 502
    assert healthy.client.get("/telemetry/calls?limit=1").json()["calls"][0]["status"] == 502


def test_a_vector_store_that_is_gone_and_comes_back(healthy):
    healthy.chroma.stop()
    try:
        assert "vector store" in is_down(healthy.client, "vector store")
    finally:
        healthy.chroma.start()
