"""Shared by the tests of telemetry: made-up calls, and a Postgres server."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from step5_serving.telemetry.call import Call
from step5_serving.telemetry.writer import Recorder

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
PROMPT = "---\nid: answer\nversion: 1\nfamily: any\n---\n# system\n\nAnswer from the sources.\n"


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(text, document="contracts/supply.md", number=1):
    """A passage as a call stores it."""
    place = f"{document}, Renewal"
    return {
        "number": number,
        "document": document,
        "place": place,
        "text": text,
        "chunk": number,
        "sha256": sha(text),
    }


def call_of(**given):
    """An answered call; `given` overrides its fields."""
    known = {
        "route": "query",
        "status": 200,
        "started_at": NOON,
        "question": "When does it renew?",
        "answer": "Every two years. [1]",
        "sources": [source_of("It renews every two years.")],
        "attempts": [
            {"strategy": "question", "query": "When does it renew?", "confidence": 0.93, "took": True}
            | {"start_ms": 0.5, "retrieve_ms": 4.0, "rerank_ms": 1.5}
        ],
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


def after(seconds):
    """Seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def record(url, *calls, **options):
    """Write calls concurrently, then close."""

    async def write():
        recorder = Recorder.from_url(url, **options)
        await asyncio.gather(*(recorder.record(call) for call in calls))
        await recorder.close()

    asyncio.run(write())


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
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]), reverse=True
    )
    found = shutil.which("initdb", path=os.pathsep.join([*map(str, debian), os.environ["PATH"]]))
    if found is None:
        pytest.skip("no Postgres test: no server here (Debian: apt-get install postgresql)")
    options = {}
    if os.getuid() == 0:  # it refuses to run as root
        import pwd  # not on Windows

        nobody = pwd.getpwnam("nobody")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    home = Path(tempfile.mkdtemp(prefix="pg"))
    if options:
        os.chown(home, options["user"], options["group"])
    server = PostgresServer(Path(found).parent, home, options)
    try:
        server.run("initdb", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


class PostgresServer:
    """A server that tests can stop and start."""

    def __init__(self, where, home, options):
        self.where, self.home, self.options = where, home, options
        self.url = f"postgresql+psycopg://tester@/postgres?host={home}"

    def run(self, program, *args):
        command = [self.where / program, "-D", self.home / "data", *args]
        with (self.home / "log").open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd=self.home, **self.options)

    def start(self):
        flags = f"-k {self.home} -c listen_addresses= -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-o", flags)

    def stop(self):
        self.run("pg_ctl", "stop", "-m", "fast")  # also ends open sessions

    def connect(self):
        import psycopg

        return psycopg.connect(f"dbname=postgres user=tester host={self.home}", autocommit=True)


@pytest.fixture
def postgres(postgres_server):
    """The URL of the server, with an empty database."""
    with postgres_server.connect() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres_server.url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """The URL of an empty database: SQLite, then Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/telemetry.db"
    return request.getfixturevalue("postgres")
