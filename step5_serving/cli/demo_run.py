"""The whole of step 5 in a minute: start the service, ask it twenty questions, see what it recorded, stop.

    $ python -m step5_serving demo
    from start to the first answer: listening after 1.6 s, first word after 4.5 s, whole after 5.8 s
    20 questions, 4 at a time: 20 answered in 31 s
    ...
    picture: reports/step5_serving/demo.png

The server is a process of its own, as it is in life, on a free port of loopback, with telemetry in a
temporary folder. The picture shows some of the dashboard's figures.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import new_figure, picture_path

if TYPE_CHECKING:
    from rich.console import Console

FIRST = "When does the Brightwell supply contract renew?"
QUESTIONS, TOGETHER = 20, 4
START_S, STOP_S = 120, 60


def run(settings: Settings, smoke: bool = False, out: Path | None = None) -> dict[str, Any]:
    """Serve, ask, look, stop.

    Raises:
        UserError: the server can't start; its own line says why.
    """
    from step3_rag.evaluate.dataset import read

    picture = picture_path("step5_serving", "demo", out)
    asked = [each.text for each in read("sample", "dev", settings).questions][: 4 if smoke else QUESTIONS]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), settings, smoke) as (address, began),
    ):
        start = {
            "listening": time.perf_counter() - began,
            **first_answer(address, began, Path(folder, "log")),
        }
        began = time.perf_counter()
        with count_bar("asking", len(asked)) as progress:
            statuses = ask_all(address, asked, progress)
        seconds = time.perf_counter() - began
        summary = _get(f"{address}/telemetry/summary?since=1h")
    draw(summary, picture)
    answered = statuses.count(200)
    return {
        "command": "step5_serving demo",
        "headline": f"{answered} of {len(asked)} questions answered in {seconds:.0f} s, "
        f"95 of 100 within {(summary['latency_ms']['total']['p95'] or 0) / 1000:.1f} s",
        "questions": len(asked),
        "together": TOGETHER,
        "answered": answered,
        "seconds": seconds,
        "start_seconds": start,
        "summary": summary,
        "picture": str(picture),
        "machine": hardware.describe(),
    }


@contextlib.contextmanager
def serving(folder: Path, settings: Settings, smoke: bool = False) -> Iterator[tuple[str, float]]:
    """A server in a process of its own: its address, and when it was started."""
    began = time.perf_counter()
    args = ["--port", "0", "--telemetry", f"sqlite:///{folder / 'telemetry.db'}", "--model", settings.model]
    args += ["--smoke"] if smoke else []
    with (folder / "log").open("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "step5_serving", "serve", *args], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield _address(server, folder / "log"), began
        finally:
            server.send_signal(signal.SIGTERM)  # it finishes what it has begun
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """What the server says it listens on."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("listening on "):
                return line.split()[2]
        time.sleep(0.05)
    raise UserError(f"the server did not start: {_last(log)}")


def first_answer(address: str, began: float, log: Path) -> dict[str, float]:
    """Ask while it still loads: the seconds since it was started until the first word and the last.

    Raises:
        UserError: it doesn't answer; its own line says why.
    """
    import httpx2

    words, said = list[float](), list[str]()
    client = httpx2.Client(base_url=address, timeout=START_S, trust_env=False)
    try:
        with client, client.stream("POST", "/query/stream", json={"question": FIRST}) as reply:
            for line in reply.iter_lines():
                said += [line] if line else []
                words += [time.perf_counter() - began] if line == "event: delta" else []
    except httpx2.HTTPError:
        raise UserError(f"the server does not answer: {_last(log)}") from None
    whole = time.perf_counter() - began
    if "event: done" not in said:
        error = json.loads(said[-1].removeprefix("data: "))["error"]["message"]
        raise UserError(f"the server does not answer: {error}")
    return {"first_word": min([*words, whole]), "whole": whole}


def _last(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def ask_all(address: str, questions: Sequence[str], progress: Any) -> list[int]:
    """The status of every question, a few at a time."""
    import httpx2

    statuses = list[int]()
    with (
        httpx2.Client(base_url=address, timeout=300, trust_env=False) as client,
        ThreadPoolExecutor(TOGETHER) as pool,
    ):
        for reply in pool.map(lambda each: client.post("/query", json={"question": each}), questions):
            statuses.append(reply.status_code)
            progress(len(statuses), len(questions))
    return statuses


def _get(address: str) -> dict[str, Any]:
    import httpx2

    reply = httpx2.get(address, timeout=60, trust_env=False)
    found: dict[str, Any] = reply.raise_for_status().json()
    return found


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

    start = facts["start_seconds"]
    console.print(
        f"from start to the first answer: listening after {start['listening']:.1f} s, first word after "
        f"{start['first_word']:.1f} s, whole after {start['whole']:.1f} s\n"
        f"{facts['questions']} questions, {facts['together']} at a time: {facts['answered']} answered in "
        f"{facts['seconds']:.0f} s\n",
        soft_wrap=True,
    )
    show_summary(facts["summary"], console)
    console.print(f"\npicture: {facts['picture']}; {facts['machine']}", soft_wrap=True)
