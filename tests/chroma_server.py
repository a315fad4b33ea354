"""A real Chroma server on loopback."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.conftest import NO_NETWORK


class ChromaServer:
    """`chroma run`, which can be stopped, and started again with the same folder and port."""

    def __init__(self, folder):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        chroma, where = Path(sys.executable).with_name("chroma"), ["--host", "127.0.0.1"]
        where += ["--port", str(self.port), "--path", self.folder / "data"]
        environment = os.environ | {"PYTHONPATH": NO_NETWORK, "ANONYMIZED_TELEMETRY": "False"}
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [chroma, "run", *where], stdout=log, stderr=log, cwd=self.folder, env=environment
            )
        for _ in range(300):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                httpx.get(f"{self.address}/api/v2/heartbeat", timeout=1, trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait(10)
