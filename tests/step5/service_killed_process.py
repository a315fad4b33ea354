"""A service over HTTP that a test kills: scripted answers, a real database. Says its address on stdout.

    python -m tests.step5.service_killed_process sqlite:////tmp/telemetry.db [late]

`late` writes no opening rows: the mistake that the test has to be able to see.
"""

import asyncio
import sys

from step5_serving.api.server import running
from step5_serving.config import Config
from step5_serving.rag.scripted import ScriptedAnswerer
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import app_of


async def main(url, late=None):
    recorder = Recorder.from_url(url)
    if late:
        recorder.open = nothing
    app = app_of(ScriptedAnswerer(pace=0.001), recorder, running=16, waiting=16)
    async with running(app, Config(engine="scripted")) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


async def nothing(call):
    """In place of the opening row."""


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
