"""Faults around the service: too much load, a full disk.

Each happens to a real server process with a scripted answerer: what does the client get, are others served
meanwhile, and does the service recover without a restart?
"""

import asyncio
import sys
import time

import httpx
import pytest

from tests.step5.faults_process import ASKED, Process

try:
    import resource
except ModuleNotFoundError:  # on Windows
    resource = None

LINUX = sys.platform == "linux"


# --- too much load ------------------------------------------------------------------------------------

DELAY, RUNNING, WAITING = 0.2, 4, 8
CAPACITY = RUNNING / DELAY  # requests a second


async def open_loop(address, rate, seconds):
    """Requests at a rate, whether the last ones are answered or not: (status, seconds, headers)."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=30, limits=limits, trust_env=False) as client:

        async def one():
            began = time.monotonic()
            got = await client.post("/query", json=ASKED)
            return got.status_code, time.monotonic() - began, got.headers

        tasks, began = [], time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.append(asyncio.ensure_future(one()))
        return await asyncio.gather(*tasks)


def test_twice_the_load_it_can_take(tmp_path):
    """The surplus is told to come again, the rest doesn't wait long."""
    seconds, config = 2.0, {"running": RUNNING, "waiting": WAITING}
    with Process(tmp_path, config=config, answerer={"delay": DELAY}) as service:
        got = asyncio.run(open_loop(service.address, 2 * CAPACITY, seconds))
        taken = sorted(took for status, took, _ in got if status == 200)
        refused = [headers for status, _, headers in got if status == 503]
        assert len(taken) + len(refused) == len(got), {status for status, _, _ in got}
        assert refused
        assert all(1 <= int(headers["retry-after"]) <= 60 for headers in refused)
        longest = DELAY * (1 + WAITING / RUNNING)
        assert taken[int(0.95 * len(taken))] < longest + 1.0  # other programs use this machine, too
        assert len(taken) > 0.5 * CAPACITY * seconds
        began = time.monotonic()
        assert service.ask().status_code == 200
        assert time.monotonic() - began < DELAY + 1.0, "the queue is not empty"
        assert service.rows() == len(got) + 1  # refused ones have their row, too


# --- no room for telemetry ----------------------------------------------------------------------------


def full(service):
    """Ask until no row can be written any more: in between some still fit, where others made room."""

    def refused():
        got = service.ask()
        if got.status_code == 200:
            return None
        assert got.status_code == 503, got.text
        message = got.json()["error"]["message"]
        assert "\n" not in message
        assert "row could not be written" in message
        return got if service.get("/readyz").status_code == 503 else None

    got = None
    for _ in range(300):
        got = got or refused()
    assert got is not None, "it never got full"
    assert "telemetry cannot be written" in service.get("/readyz").json()["reason"]
    assert service.get("/healthz").status_code == 200


@pytest.mark.skipif(not LINUX, reason="needs Linux: limits the size of the server's files")
def test_files_that_may_not_grow(tmp_path):
    with Process(tmp_path) as service:
        answered = sum(service.ask().status_code == 200 for _ in range(3))
        # Its files may not grow beyond this any more: to SQLite as if the disk were full.
        service.process.rlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        full(service)
        service.process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert service.until(lambda: service.ask().status_code == 200, 10)
        assert service.get("/readyz").status_code == 200
        assert service.rows() > answered
