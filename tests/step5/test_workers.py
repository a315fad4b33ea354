"""Several workers on one Postgres: all see every call, and the database may be away for a while."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.step5.faults_process import Process


@pytest.fixture
def workers(tmp_path, postgres):
    """Two servers that share their telemetry."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    config = {"telemetry": postgres}
    with Process(tmp_path / "a", config=config) as a, Process(tmp_path / "b", config=config) as b:
        yield a, b


def test_two_workers_share_telemetry_and_survive_faults_of_each_other_and_the_database(
    workers, postgres_server
):
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
            assert "row could not be written" in got.json()["error"]["message"]
            assert worker.get("/readyz").status_code == 503
            assert worker.get("/healthz").status_code == 200
    finally:
        postgres_server.start()
    for worker in workers:
        assert worker.until(lambda each=worker: each.ask().status_code == 200, 20)
        assert worker.get("/readyz").status_code == 200

    a, b = workers
    before = b.rows()
    a.popen.kill()
    a.popen.wait(10)
    assert b.ask().status_code == 200
    assert b.rows() == before + 1
