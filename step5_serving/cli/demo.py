"""`demo`: step 5 in a minute. It starts the service, asks questions, shows the telemetry, and stops it.

    $ python -m step5_serving demo
    ready after 2.2 s; 12 questions, 4 at a time: 12 answered in 23 s
    ...

It listens on a free port, with telemetry in a temporary folder.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from shared.cli import Console, Json, Model, Smoke, emit, new_app
from shared.errors import UserError
from step5_serving.addresses import listening
from step5_serving.config import Config

app = new_app("The service in a minute.")
QUESTIONS, TOGETHER = 8, 4
ANSWER_S = 300  # the first reply also waits for the model


@app.command()
def demo(model: Model = None, smoke: Smoke = False, as_json: Json = False) -> None:
    """Start the service, ask it eight questions, show its telemetry, stop."""
    emit(run(model, smoke), show, as_json=as_json)


def run(model: str | None, smoke: bool) -> dict[str, Any]:
    """Run the demo; raises UserError if the service can't start."""
    # Before numpy is imported: its threads would compete with the model for the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from concurrent.futures import ThreadPoolExecutor

    import httpx2

    from shared import hardware
    from shared.progress import track
    from step3_rag.evaluate.dataset import read
    from step3_rag.opening import OF_SAMPLE
    from step5_serving.api.keys import SCOPES, Keys
    from step5_serving.api.server import make_app

    asked = [each.text for each in read("sample", "dev").questions][: 4 if smoke else QUESTIONS]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys(Path(folder, "keys.json"))
        _, key = keys.add("demo", SCOPES)
        options = {"timeout": ANSWER_S, "trust_env": False, "headers": {"x-api-key": key}}
        config = Config(model=model, smoke=smoke, index=OF_SAMPLE, telemetry=f"{folder}/telemetry.db")
        with (
            listening(make_app(config, keys)) as address,
            httpx2.Client(base_url=address, **options) as client,
            ThreadPoolExecutor(TOGETHER) as pool,
        ):
            if reason := client.get("/readyz").json()["reason"]:
                raise UserError(f"the service did not start: {reason}")
            ready = time.perf_counter()
            replies = [pool.submit(client.post, "/query", json={"question": each}) for each in asked]
            answered = sum(each.result().status_code == 200 for each in track("asking", replies))
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
