"""Faults around real processes: a full disk, a database or vector store that is gone, a killed worker.

What does the client get, are others served meanwhile, and does the service recover without a restart?
"""

import os
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from step5_serving.telemetry.writer import Recorder
from tests.chroma_server import ChromaServer
from tests.step5.faults_process import Process
from tests.step5.service_parts import app_of, error_of, get, post, until


@pytest.mark.skipif(os.name != "posix", reason="other systems have other permissions")
@pytest.mark.parametrize("is_old", [False, True])
def test_only_its_owner_can_read_telemetry_and_keys(tmp_path, is_old):
    if is_old:  # made by an earlier version
        Recorder.from_url(str(tmp_path / "telemetry.db")).store.close()
        (tmp_path / "telemetry.db").chmod(0o644)
    with Process(tmp_path) as service:
        assert service.ask().status_code == 200
        names = ("telemetry.db", "telemetry.db-wal", "telemetry.db-shm", "keys.json")
        assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names} == dict.fromkeys(
            names, 0o600
        )


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: limits the size of the server's files")
def test_files_that_may_not_grow(tmp_path):
    import resource  # not on Windows

    def is_full():
        got = service.ask()
        if got.status_code == 200:  # in between some rows still fit, where others made room
            return False
        assert got.status_code == 503, got.text
        assert "row could not be written" in error_of(got)[1]
        return service.get("/readyz").status_code == 503

    with Process(tmp_path) as service:
        answered = sum(service.ask().status_code == 200 for _ in range(3))
        # Its files may not grow beyond this any more: to SQLite as if the disk were full.
        resource.prlimit(service.popen.pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        until(is_full, 30)
        assert "telemetry cannot be written" in service.get("/readyz").json()["reason"]
        assert service.get("/healthz").status_code == 200
        resource.prlimit(service.popen.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        until(lambda: service.ask().status_code == 200)
        assert service.get("/readyz").status_code == 200
        assert service.rows() > answered


def test_a_key_that_is_refused_for_its_rate_does_not_fill_the_disk(tmp_path):
    """50 MB in 15 s from one key: each refusal wrote its question."""
    question = {"question": "renewal " * 240}
    with Process(tmp_path, config={"rate": 0.01, "burst": 1}) as service:
        statuses = [service.client.post("/query", json=question).status_code for _ in range(300)]
        with sqlite3.connect(tmp_path / "telemetry.db", timeout=10) as db:
            query = "SELECT http_response_status_code, question FROM calls JOIN bodies USING (span_id)"
            rows = db.execute(query).fetchall()
    assert statuses == [200] + [429] * 299
    refused = [asked for status, asked in rows if status == 429]
    assert 1 <= len(refused) <= 3  # one a minute
    assert set(refused) == {None}
    assert sum(file.stat().st_size for file in tmp_path.glob("telemetry.db*")) < 300_000


@pytest.fixture
def workers(tmp_path, postgres):
    """Two servers that share their telemetry."""
    config = {"telemetry": postgres}
    with Process(tmp_path / "a", config=config) as a, Process(tmp_path / "b", config=config) as b:
        yield a, b


def test_two_workers_share_telemetry_and_survive_faults_of_others(workers, postgres_server):
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: workers[n % 2].ask(), range(40)))
    assert {each.status_code for each in got} == {200}
    assert [each.rows() for each in workers] == [40, 40]
    trace = got[0].json()["trace_id"]  # of the first worker, read from the second
    assert workers[1].get(f"/telemetry/calls/{trace}").json()["trace_id"] == trace

    postgres_server.stop()
    try:
        for worker in workers:
            got = worker.ask()
            assert got.status_code == 503
            assert "row could not be written" in error_of(got)[1]
            assert worker.get("/readyz").status_code == 503
            assert worker.get("/healthz").status_code == 200
    finally:
        postgres_server.start()
    for worker in workers:
        until(lambda each=worker: each.ask().status_code == 200, 20)
        assert worker.get("/readyz").status_code == 200

    a, b = workers
    before = b.rows()
    a.popen.kill()
    a.popen.wait(10)
    assert b.ask().status_code == 200
    assert b.rows() == before + 1


@pytest.fixture
def chroma(tmp_path):
    server = ChromaServer(tmp_path)
    yield server
    server.stop()


def test_a_vector_store_that_is_gone_and_comes_back(rag, chroma):
    app = app_of(rag(reader="quote", store_address=chroma.address).answerer)
    assert post(app).status_code == 200
    chroma.stop()
    got = post(app)
    assert (got.status_code, bool(got.headers["retry-after"])) == (503, True)
    assert "vector store" in error_of(got)[1]
    until(lambda: "vector store" in (get(app, "/readyz").json()["reason"] or ""))
    chroma.start()
    until(lambda: post(app).status_code == 200, 15)
    until(lambda: get(app, "/readyz").status_code == 200)
