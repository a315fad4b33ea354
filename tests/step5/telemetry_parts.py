"""Shared by the tests of telemetry: made-up calls, and a Postgres server."""

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from step5_serving.seam import Attempt, Source
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import run_for

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
PROMPT = "---\nid: answer\nversion: 1\nfamily: any\n---\n# system\n\nAnswer from the sources.\n"

ATTEMPTS = [
    asdict(Attempt("question", "renewl?", 0.4, took=False, start_ms=1.0, retrieve_ms=3.0, rerank_ms=1.0)),
    asdict(Attempt("spelling", "renewal?", 0.9, took=True, start_ms=5.0, retrieve_ms=2.0, rerank_ms=1.5)),
]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(text, document="contracts/supply.md", number=1):
    """A passage as a call stores it."""
    return asdict(Source(number, document, f"{document}, Renewal", text, number, sha(text)))


def call_of(**given):
    """An answered call; `given` overrides its fields."""
    known = {
        "route": "query",
        "status": 200,
        "started_at": NOON,
        "question": "When does it renew?",
        "answer": "Every two years. [1]",
        "sources": [source_of("It renews every two years.")],
        "attempts": [asdict(Attempt("question", "When does it renew?", 0.93, True, 0.5, 4.0, 1.5))],
        "confidence": 0.93,
        "abstained": False,
        "model": "smollm2-135m-instruct",
        "engine": "torch",
        "prompt_id": "answer",
        "prompt_version": 1,
        "prompt_sha256": sha(PROMPT),
        "prompt_text": PROMPT,
        "input_tokens": 164,
        "output_tokens": 18,
        "finish_reason": "end_turn",
        "total_ms": 41.5,
        "queue_ms": 0.5,
        "retrieve_ms": 4.0,
        "rerank_ms": 1.5,
        "generate_ms": 30.0,
        "first_token_ms": 12.0,
        "parameters": {"k": 5, "collection": None, "reader": "chat", "max_tokens": 200},
    }
    return Call(**(known | given))


def made_up(n, at, every, **given):
    """Calls before `at`, the latest last: some failed or were refused, some lack a cost, prompt or other."""
    draw = random.Random(3)
    for i in reversed(range(n)):
        status, version = {3: 503, 8: 429}.get(i % 15, 200), (1, 2, None)[i % 3]
        generate = draw.lognormvariate(7.6, 0.45)
        facts = {
            "route": "ingest" if i % 10 == 9 else "query",
            "trace_id": f"{i + 1:032x}",
            "started_at": at - timedelta(seconds=40 + every * i),
            "status": status,
            "error_type": None if status == 200 else "overloaded_error",
            "question": f"What was question {i}?",
            "confidence": None if i % 4 == 2 else draw.betavariate(6, 1.2),
            "abstained": i % 6 == 4,
            "prompt_id": version and "answer",
            "prompt_version": version,
            "prompt_sha256": version and sha(str(version)),
            "input_tokens": None if i % 5 == 2 else draw.randrange(500),
            "cost_usd": None if i % 7 == 0 else draw.uniform(2e-4, 6e-4),
            "total_ms": generate + 220,
            "retrieve_ms": None if i % 4 == 3 else draw.uniform(1, 9),
            "generate_ms": generate,
        }
        yield call_of(**given | facts)


def after(seconds):
    """Seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def record(url, *calls, **options):
    """Write calls concurrently, then open the database again: the Store."""

    async def write():
        recorder = Recorder.from_url(url, **options)
        await asyncio.gather(*(recorder.record(call) for call in calls))
        await recorder.close()

    run_for(write())
    return Store.open(url)


@pytest.fixture
def recorder(tmp_path):
    """Writes to a file; its store reads."""
    recorder = Recorder.from_url(str(tmp_path / "telemetry.db"))
    yield recorder
    run_for(recorder.close())


@pytest.fixture
def run(command):
    """Run one of the commands: run("replay", ...) -> code, out, err."""
    return lambda *args: command("step5_serving", *map(str, args))


# --- Postgres -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server():
    """A server in a temporary folder, on a Unix socket without a port."""
    if os.name != "posix":
        pytest.skip("no Postgres test: its server is reached over a Unix socket")
    pytest.importorskip("psycopg", reason="no Postgres test: pip install 'psycopg[binary]'")
    debian = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb", path=os.pathsep.join([*debian, os.environ["PATH"]]))
    if found is None:
        pytest.skip("no Postgres test: no server here (Debian: apt-get install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="pg"))
    user = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
    if user:
        shutil.chown(home, user)
    server = PostgresServer(Path(found).parent, home, user)
    try:
        server.run("initdb", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


class PostgresServer:
    """A server that tests can stop and start."""

    def __init__(self, where, home, user):
        self.where, self.home, self.user = where, home, user
        self.url = f"postgresql+psycopg://tester@/postgres?host={home}"

    def run(self, program, *args):
        command = [self.where / program, "-D", self.home / "data", *args]
        with (self.home / "log").open("a") as log:
            options = {"stdout": log, "stderr": log, "cwd": self.home, "user": self.user}
            subprocess.run(command, check=True, timeout=120, **options)

    def start(self):
        flags = f"-k {self.home} -c listen_addresses= -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-o", flags)

    def stop(self):
        self.run("pg_ctl", "stop", "-m", "fast")  # also ends open sessions


@pytest.fixture
def postgres(postgres_server):
    """The URL of the server, with an empty database."""
    import psycopg

    limits = "connect_timeout=20 options='-c lock_timeout=20s'"
    place = f"dbname=postgres user=tester host={postgres_server.home}"
    with psycopg.connect(f"{place} {limits}") as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres_server.url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """The URL of an empty database: SQLite, then Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/telemetry.db"
    return request.getfixturevalue("postgres")
