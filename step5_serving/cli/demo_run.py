"""The whole of step 5 in a minute: start the service, ask it twenty questions, see what it recorded, stop.

    $ python -m step5_serving demo
    ready after 4.5 s; 20 questions, 4 at a time: 20 answered in 31 s
    ...
    picture: reports/step5_serving/demo.png

The server is a process of its own, as it is in life, on a free port of loopback, with telemetry in a
temporary folder. The picture shows some of the dashboard's figures.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import new_figure, picture_path

if TYPE_CHECKING:
    import httpx2
    from rich.console import Console

QUESTIONS, TOGETHER = 20, 4
START_S, ANSWER_S, STOP_S = 120, 300, 60


def run(settings: Settings, smoke: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Serve, ask, look, stop.

    Raises:
        UserError: the server can't start; its own line says why.
    """
    from step3_rag.evaluate.dataset import read

    picture = picture_path("step5_serving", "demo", out)
    asked = [each.text for each in read("sample", "dev").questions][: 4 if smoke else QUESTIONS]
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), settings, smoke) as client,
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
    draw(summary, picture)
    p95 = (summary["latency_ms"]["total"]["p95"] or 0) / 1000
    return {
        "command": "step5_serving demo",
        "headline": f"{answered} of {len(asked)} questions answered in {seconds:.0f} s, "
        f"95 of 100 within {p95:.1f} s",
        "questions": len(asked),
        "together": TOGETHER,
        "answered": answered,
        "seconds": seconds,
        "ready_seconds": ready - began,
        "summary": summary,
        "picture": str(picture),
        "machine": hardware.describe(),
    }


@contextlib.contextmanager
def serving(folder: Path, settings: Settings, smoke: bool = False) -> Iterator[httpx2.Client]:
    """A server in a process of its own, and a client of it once it is ready.

    Raises:
        UserError: it ended, or did not become ready in time.
    """
    import httpx2

    args = ["--port", "0", "--telemetry", f"sqlite:///{folder / 'telemetry.db'}", "--model", settings.model]
    args += ["--smoke"] if smoke else []
    with (folder / "log").open("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "step5_serving", "serve", *args], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            end, address, ready = time.monotonic() + START_S, "", False
            while not ready:
                time.sleep(0.05)
                lines = (folder / "log").read_text(errors="replace").splitlines()
                if server.poll() is not None or time.monotonic() > end:
                    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
                    raise UserError(f"the server did not start: {last.removeprefix('error: ')}")
                address = next((line.split()[2] for line in lines if line.startswith("listening on ")), "")
                with contextlib.suppress(httpx2.TransportError):  # too busy to say, or it has just ended
                    ready = bool(address) and httpx2.get(f"{address}/readyz", trust_env=False).is_success
            with httpx2.Client(base_url=address, timeout=ANSWER_S, trust_env=False) as client:
                yield client
        finally:
            server.send_signal(signal.SIGTERM)  # it finishes what it has begun
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def draw(summary: dict[str, Any], picture: Path) -> None:
    """Calls over time, and the percentiles of every stage."""
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    calls = [each["calls"] for each in summary["series"]]
    left.bar(range(len(calls)), calls)
    left.set(title="calls", xlabel=f"{summary['since'][11:16]} to {summary['until'][11:16]} UTC", xticks=[])
    stages = {name: row for name, row in summary["latency_ms"].items() if row["p50"] is not None}
    for shift, p in ((-0.2, "p50"), (0.2, "p95")):
        places = [at + shift for at in range(len(stages))]
        right.bar(places, [row[p] for row in stages.values()], 0.4, label=p)
    right.set_xticks(range(len(stages)), [name.replace("_", " ") for name in stages])
    right.set(title="latency", ylabel="ms")
    right.legend()
    figure.savefig(picture, dpi=120)


def show(facts: dict[str, Any], console: Console) -> None:
    """What was asked, and the telemetry's summary."""
    from step5_serving.cli.screens import show_summary

    console.print(
        f"ready after {facts['ready_seconds']:.1f} s; {facts['questions']} questions, "
        f"{facts['together']} at a time: {facts['answered']} answered in {facts['seconds']:.0f} s\n",
        soft_wrap=True,
    )
    show_summary(facts["summary"], console)
    console.print(f"\npicture: {facts['picture']}; {facts['machine']}", soft_wrap=True)
