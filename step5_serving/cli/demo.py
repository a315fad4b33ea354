"""`demo`: step 5 in a minute. It starts the service, asks questions, shows the telemetry, and stops it.

    $ python -m step5_serving demo
    ready after 4.5 s; 20 questions, 4 at a time: 20 answered in 31 s
    ...

The server is a process of its own, as in production, on a free port, with telemetry in a temporary folder.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from step5_serving.addresses import address_of, listen

if TYPE_CHECKING:
    import httpx2
    from rich.console import Console

app = new_app("The service in a minute.")
QUESTIONS, TOGETHER = 20, 4
START_S, ANSWER_S, STOP_S = 120, 300, 60


@app.command()
def demo(model: Model = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Start the service, ask it twenty questions, show its telemetry, stop."""
    facts = run(settings_from_flags(smoke, model=model).model, smoke)
    emit(facts, show, as_json=as_json)


def run(model: str, smoke: bool = False) -> dict[str, Any]:
    """Run the demo; raises UserError with the server's last line if it can't start."""
    from concurrent.futures import ThreadPoolExecutor

    from shared import hardware
    from shared.progress import count_bar
    from step3_rag.evaluate.dataset import read

    asked = [each.text for each in read("sample", "dev").questions][: 4 if smoke else QUESTIONS]
    flags = ["--model", model, *(["--smoke"] if smoke else [])]
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), flags) as client,
        count_bar("asking", len(asked)) as progress,
        ThreadPoolExecutor(TOGETHER) as pool,
    ):
        ready, answered = time.perf_counter(), 0
        replies = pool.map(lambda each: client.post("/query", json={"question": each}), asked)
        for done, reply in enumerate(replies, 1):
            answered += reply.status_code == 200
            progress(done, len(asked))
        seconds = time.perf_counter() - ready
        summary = client.get("/telemetry/summary?since=1h").raise_for_status().json()
    p95 = (summary["latency_ms"]["total"]["p95"] or 0) / 1000
    return {
        "command": "step5_serving demo",
        "headline": f"{answered} of {len(asked)} questions answered in {seconds:.0f} s, "
        f"95 of 100 within {p95:.1f} s",
        "questions": len(asked),
        "answered": answered,
        "seconds": seconds,
        "ready_seconds": ready - began,
        "summary": summary,
        "machine": hardware.describe(),
    }


@contextlib.contextmanager
def serving(folder: Path, flags: list[str]) -> Iterator[httpx2.Client]:
    """A client of a server in its own process, once it is ready; UserError if it ended or took too long."""
    import httpx2

    log = folder / "log"
    with contextlib.closing(listen("127.0.0.1", 0)) as free:
        address = address_of(free)
    command = [sys.executable, "-m", "step5_serving", "serve", "--port", address.rsplit(":", 1)[1]]
    command += ["--telemetry", str(folder / "telemetry.db"), *flags]
    with log.open("w") as file, httpx2.Client(base_url=address, timeout=ANSWER_S, trust_env=False) as client:
        server = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            end, ready = time.monotonic() + START_S, False
            while not ready:
                time.sleep(0.05)
                if server.poll() is not None or time.monotonic() > end:
                    lines = reversed(log.read_text(errors="replace").splitlines())
                    last = next(filter(str.strip, lines), "it said nothing")
                    raise UserError(f"the server did not start: {last.removeprefix('error: ')}")
                with contextlib.suppress(httpx2.TransportError):  # it does not listen yet
                    ready = client.get("/readyz").is_success
            yield client
        finally:
            server.send_signal(signal.SIGTERM)  # lets it finish running calls
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def show(facts: dict[str, Any], console: Console) -> None:
    """What was asked, and the summary of telemetry."""
    from step5_serving.cli.screens import show_summary

    console.print(
        f"ready after {facts['ready_seconds']:.1f} s; {facts['questions']} questions, "
        f"{TOGETHER} at a time: {facts['answered']} answered in {facts['seconds']:.0f} s\n",
        soft_wrap=True,
    )
    show_summary(facts["summary"], console)
    console.print(f"\n{facts['machine']}", soft_wrap=True)
