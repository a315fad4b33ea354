"""A mixed load for a long while, and what the server holds meanwhile: memory, files, threads, connections.

    $ python -m tests.step5.soak --minutes 10
    minute  requests  memory MB  files  threads  connections
       0.1        94       65.2     18        3            8
       ...
    10.0 minutes, 11,880 requests: memory 65.3 -> 66.0 MB (+0.07 MB a minute), files 18 -> 18, threads 3 -> 3

Clients ask, stream, leave in the middle, send nonsense, open connections and say nothing, read telemetry.
Exit code 1 where something grows. It runs on loopback, at a bounded rate, and stops by itself.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter

import httpx

from tests.step5.faults_process import ASKED, Process

MOST_MB_A_MINUTE = 0.5  # half a kilobyte left behind by each request, at 15 of them a second
SCRIPT = {"delay": 0.01, "pace": 0.002}


async def clients(service, seconds, users, rate, seen):
    """So many users, together at `rate` requests a second."""
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=service.address, timeout=30, limits=limits, trust_env=False
    ) as client:

        async def user(number):
            chance = random.Random(f"{number} {sum(seen.values())}")
            while time.monotonic() < end:
                did = chance.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])[0]
                with contextlib.suppress(httpx.HTTPError):
                    seen[did, await ACTIONS[did][1](client, service, chance)] += 1
                await asyncio.sleep(chance.expovariate(rate / users))

        await asyncio.gather(*map(user, range(users)))


async def ask(client, _service, chance):
    question = f"When does agreement {chance.randrange(10**6)} renew?"
    return (await client.post("/query", json={"question": question})).status_code


async def stream(client, _service, _chance):
    return (await client.post("/query/stream", json=ASKED)).status_code


async def leave(client, service, chance):
    """Go away while the answer is written."""
    async with (
        httpx.AsyncClient(base_url=service.address, trust_env=False) as own,
        own.stream("POST", "/query/stream", json=ASKED) as reply,
    ):
        await asyncio.sleep(chance.random() * 0.05)
        return reply.status_code


async def nonsense(client, _service, chance):
    bodies = [b"", b"{", b'{"question": ""}', b'{"question": 7}', b"\xff" * 100, b"[" * 5000]
    headers = {"content-type": "application/json"}
    return (await client.post("/query", content=chance.choice(bodies), headers=headers)).status_code


async def silent(_client, service, chance):
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(chance.choice([b"", b"GET /healthz HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02\x00\x01"]))
    await asyncio.sleep(chance.random())
    writer.transport.abort() if chance.random() < 0.5 else writer.close()
    return 0


async def look(client, _service, chance):
    """Of the last minute: a summary takes memory by the calls of its time, and of all they would get more."""
    paths = ["/telemetry/summary?since=1m", "/telemetry/calls?limit=20", "/metrics", "/readyz", "/nowhere"]
    return (await client.get(chance.choice(paths))).status_code


ACTIONS = {
    "ask": (10, ask),
    "stream": (3, stream),
    "leave": (2, leave),
    "nonsense": (2, nonsense),
    "silent": (1, silent),
    "look": (1, look),
}


def held(service):
    """Memory in MB, files, threads, connections."""
    process = service.process
    with process.oneshot():
        memory, files, threads = process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()
    return memory, files, threads, service.connections


def slope(points):
    """MB a minute: the straight line through (minute, MB), by least squares."""
    n, mean_x = len(points), sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def soak(folder, minutes, users=8, rate=20.0, say=lambda _line: None):
    """Run it; what it held when idle before and after, what it did, and how memory grew."""
    with Process(folder, answerer=SCRIPT, patience={"SILENCE_S": 2.0}) as service:
        asyncio.run(clients(service, min(10.0, 10 * minutes), users, rate, Counter()))  # caches, threads
        rest(service)
        before, points, seen = held(service), [], Counter()
        say("minute  requests  memory MB  files  threads  connections")
        began, every = time.monotonic(), max(2.0, 60 * minutes / 40)
        while (left := began + 60 * minutes - time.monotonic()) > 0.5:
            asyncio.run(clients(service, min(every, left), users, rate, seen))
            now = (time.monotonic() - began) / 60
            memory, files, threads, connections = held(service)
            points.append((now, memory))
            say(
                f"{now:6.1f} {sum(seen.values()):9d} {memory:10.1f} {files:6d} {threads:8d} {connections:12d}"
            )
        rest(service)
        after = held(service)
        errors = {f"{did} {status}": n for (did, status), n in seen.items() if status >= 500}
        rows = service.rows() if minutes < 55 else None
        return {
            "minutes": (time.monotonic() - began) / 60,
            "requests": sum(seen.values()),
            "seen": {f"{did} {status}": n for (did, status), n in sorted(seen.items())},
            "errors": errors,
            "rows": rows,
            "before": before,
            "after": after,
            # In the first half caches fill up: threads that read the database, statements, pages.
            "mb_a_minute": slope(points[len(points) // 2 :]),
            "log": "".join(service.log),
        }


def rest(service):
    """Wait until connections that nobody uses are closed."""
    service.until(lambda: service.connections == 0, 10)


def headline(found):
    (mb, files, threads, _), (mb_after, files_after, threads_after, left) = found["before"], found["after"]
    return (
        f"{found['minutes']:.1f} minutes, {found['requests']:,} requests: memory {mb:.1f} -> "
        f"{mb_after:.1f} MB ({found['mb_a_minute']:+.2f} MB a minute), files {files} -> {files_after}, "
        f"threads {threads} -> {threads_after}, connections left {left}, errors {found['errors'] or 'none'}"
    )


def problems(found):
    """What grew, or failed."""
    before, after = found["before"], found["after"]
    return [
        text
        for text, wrong in [
            ("5xx", found["errors"]),
            ("memory grows", found["mb_a_minute"] > MOST_MB_A_MINUTE and after[0] - before[0] > 5),
            ("files are left open", after[1] > before[1] + 3),
            ("threads are left", after[2] > before[2] + 2),
            ("connections are left", after[3] > 0),
            ("a traceback in the log", "Traceback" in found["log"]),
        ]
        if wrong
    ]


def main():
    parser = argparse.ArgumentParser(description="A mixed load on a scripted server, for leaks.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second of all users together")
    given = parser.parse_args()
    if not 0 < given.minutes <= 60:
        parser.error("--minutes: more than 0, at most 60")
    with tempfile.TemporaryDirectory() as folder:
        found = soak(folder, given.minutes, given.users, given.rate, lambda line: print(line, flush=True))
    print(headline(found))
    print(found["seen"])
    wrong = problems(found)
    print(f"problems: {', '.join(wrong)}" if wrong else "nothing grows")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
