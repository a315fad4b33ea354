"""A real server in its own process, for tests.

    python -m tests.step5.faults_process '{"config": {"engine": "scripted", "port": 0}}'

The JSON may hold `config` (fields of Config) and `answerer` (fields of a ScriptedAnswerer).
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[2]
ASKED = {"question": "When does it renew?"}


class Process:
    """A running server: its address, its process, and its stderr in `log`."""

    def __init__(self, folder, *, config=None, answerer=None, environment=None, start=60.0):
        paths = {"telemetry": f"sqlite:///{folder}/telemetry.db", "keys": str(Path(folder) / "keys.json")}
        config = {"engine": "scripted", "port": 0, "drain_s": 2, **paths, **(config or {})}
        given = {"config": config, "answerer": answerer or {}}
        self.folder, self.log, lines = Path(folder), [], queue.Queue()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.step5.faults_process", json.dumps(given)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
        )

        def read():
            for line in self.popen.stderr:
                self.log.append(line)
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        end = time.monotonic() + start
        while True:
            line = lines.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                raise AssertionError(f"the server did not start: {''.join(self.log)[-2000:]}")
            if line.startswith("listening on "):
                self.address = line.split()[2]
                break
        self.port = int(self.address.rsplit(":", 1)[1])
        self.process = psutil.Process(self.popen.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Send SIGTERM; the exit status. It is killed if it does not stop."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.terminate()
        try:
            return self.popen.wait(20)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise AssertionError(f"it did not stop: {''.join(self.log)[-2000:]}") from None

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def ask(self, json=ASKED, path="/query", **options):
        return self.request("POST", path, json=json, **options)

    def request(self, method, path, timeout=30, **options):
        with httpx.Client(base_url=self.address, timeout=timeout, trust_env=False) as client:
            return client.request(method, path, **options)

    def until(self, condition, seconds=15.0):
        """Call it until the result is true; the last result."""
        end = time.monotonic() + seconds
        while True:
            got = condition()
            if got or time.monotonic() > end:
                return got
            time.sleep(0.1)

    def ready(self, seconds=60.0):
        """Wait until /readyz says 200."""
        is_ready = lambda: self.get("/readyz", timeout=seconds).status_code == 200  # noqa: E731
        assert self.until(is_ready, seconds), self.get("/readyz").text
        return self

    def rows(self):
        """The number of calls in telemetry."""
        return self.get("/telemetry/summary?since=1h").json()["calls"]


def main(given):
    from step5_serving.api import server
    from step5_serving.config import Config
    from step5_serving.rag.scripted import ScriptedAnswerer

    if given.get("answerer"):
        server.make_answerer = lambda _config, _undo: ScriptedAnswerer(**given["answerer"])
    fields = dict(given["config"])
    for name in ("keys", "index"):
        if name in fields:
            fields[name] = Path(fields[name])
    if fields.get("strategies") is not None:
        fields["strategies"] = tuple(fields["strategies"])
    server.serve(Config(**fields))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
