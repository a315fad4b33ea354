"""kill -9 under load, over HTTP: what was answered, and what has shown any text, has its row.

16 clients, every second of them streams. Each names its call by a traceparent, so it is known afterwards what
every client has seen: an answer, or some text of one.
"""

import asyncio
import random
import sqlite3
from types import SimpleNamespace

import httpx
import pytest

from step5_serving.telemetry.call import new_trace_id
from tests.conftest import for_long
from tests.step5.faults_process import Process
from tests.step5.service_parts import ASKED

CLIENTS = 16
PATIENCE_S = 60  # of a client, and until the first answers are there


async def client(http, seen, streams):
    """Ask until the service is dead."""
    while True:
        trace = new_trace_id()
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        try:
            if not streams:
                got = await http.post("/query", json=ASKED, headers=headers)
                assert got.status_code == 200, got.text
                seen.answered.add(trace)
                continue
            async with http.stream("POST", "/query/stream", json=ASKED, headers=headers) as got:
                assert got.status_code == 200
                async for line in got.aiter_lines():
                    if line == "event: delta":
                        seen.shown.add(trace)
                    elif line == "event: done":
                        seen.ended.add(trace)
        except httpx.TransportError:
            return


async def load(process, address, seen):
    options = {"limits": httpx.Limits(max_connections=CLIENTS), "timeout": PATIENCE_S}
    async with httpx.AsyncClient(base_url=address, **options) as http, asyncio.timeout(2 * PATIENCE_S):
        asking = [asyncio.ensure_future(client(http, seen, number % 2)) for number in range(CLIENTS)]
        while not (seen.answered and seen.shown):  # a slow machine takes a while to begin
            for task in asking:
                if task.done():
                    task.result()  # raises what went wrong
                    raise AssertionError("a client ended before the service did")
            await asyncio.sleep(0.01)
        await asyncio.sleep(random.uniform(0.05, 0.3))
        process.kill()
        await asyncio.gather(*asking)


def killed(folder):
    """One round: what the clients saw, and the trace ids that are in the database then."""
    # Trace ids: answers, streams of which some text came, and those of them that came to their end.
    seen = SimpleNamespace(answered=set(), shown=set(), ended=set())
    config = {"running": 16, "waiting": 16}
    with Process(folder, config=config, answerer={"pace": 0.005}, key=False) as service:
        asyncio.run(load(service.popen, service.address, seen))
    with sqlite3.connect(folder / "telemetry.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = {row[0] for row in db.execute("SELECT trace_id FROM calls JOIN bodies USING (span_id)")}
    return seen, rows


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=for_long("20 rounds"))])
def test_whatever_was_seen_has_its_row(tmp_path, rounds):
    answered = shown = broken_off = 0
    for number in range(rounds):
        seen, rows = killed(tmp_path)  # one file: a later round finds what an earlier one left
        assert seen.answered <= rows, f"round {number}: {len(seen.answered - rows)} answers have no row"
        assert seen.shown <= rows, f"round {number}: {len(seen.shown - rows)} streams have no row"
        answered += len(seen.answered)
        shown += len(seen.shown)
        broken_off += len(seen.shown - seen.ended)
    print(f"{rounds} rounds: {answered} answers and {shown} streams, {broken_off} of them broken off")
    assert broken_off
