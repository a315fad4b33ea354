"""A real server in its own process, for tests.

    python -m tests.step5.faults_process '[{"engine": "scripted", "port": 0}, null]'

The JSON holds fields of Config, and those of a FakeAnswerer.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from step5_serving.api import connection, server
from step5_serving.api.keys import SCOPES, Keys
from step5_serving.config import Config
from tests.conftest import ROOT
from tests.step5.service_parts import ASKED, FakeAnswerer, until


class Process:
    """A running server: its address, its process, and what it said."""

    def __init__(self, folder, *, config=None, answerer=None, key=True):
        """`key`: whether there is a key, which `client` sends."""
        Path(folder).mkdir(exist_ok=True)
        headers = {"x-api-key": key_in(Path(folder, "keys.json"))} if key else {}
        paths = {"telemetry": f"sqlite:///{folder}/telemetry.db", "keys": f"{folder}/keys.json"}
        config = {"engine": "scripted", "port": 0, "drain_s": 2, **paths, **(config or {})}
        command = [sys.executable, "-m", "tests.step5.faults_process", json.dumps([config, answerer])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.log = Path(folder, "log")
        with self.log.open("w") as log:
            self.popen = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        try:
            until(lambda: "(engine" in self.said() or self.popen.poll() is not None, 120)
            listens = re.search(r"listening on (\S+)", self.said())
            assert listens, self.said()
        except BaseException:  # nobody else would end it
            self.popen.kill()
            raise
        self.address, no_idle = listens[1], httpx.Limits(max_keepalive_connections=0)
        options = {"timeout": 30, "trust_env": False, "limits": no_idle, "headers": headers}
        self.client = httpx.Client(base_url=self.address, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.terminate()
        try:
            self.popen.wait(20)
        finally:
            self.popen.kill()

    def said(self):
        """Its stderr so far."""
        return self.log.read_text()

    def get(self, path):
        return self.client.get(path)

    def ask(self):
        return self.client.post("/query", json=ASKED)

    def rows(self):
        """The number of calls in telemetry."""
        return self.get("/telemetry/summary?since=1h").json()["calls"]


def key_in(path):
    """A new key of a file, for everything; the one before is revoked."""
    keys = Keys(path)
    if any(key.name == "tests" for key in keys):
        keys.remove("tests")
    return keys.add("tests", SCOPES)[1]


def main(config, answerer):
    connection.HEADERS_S = float(os.environ.get("HEADERS_S", connection.HEADERS_S))
    if answerer:
        server.make_answerer = lambda _config, _engine: FakeAnswerer(**answerer)
    server.serve(Config(**config | {"keys": Path(config["keys"])}))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
