"""A process that writes calls for 16 clients until it is killed; every answer is a line on its stdout.

    python -m tests.step5.telemetry_writer_process sqlite:////tmp/telemetry.db [early]

`early` answers before the row is written: the mistake that the test has to be able to see.
"""

import asyncio
import os
import sys

from step5_serving.telemetry.writer import Recorder
from tests.step5.telemetry_parts import PROMPT, call_of, source_of

CLIENTS = 16


async def main(url, early=None):
    recorder = Recorder.from_url(url)
    await recorder.record(call_of(), PROMPT)
    os.write(1, b"ready\n")

    async def client(number):
        while True:
            call = call_of(sources=[source_of(f"passage {number}")])
            if early:
                os.write(1, call.trace_id.encode() + b"\n")
            await recorder.record(call, PROMPT)
            if not early:
                os.write(1, call.trace_id.encode() + b"\n")

    await asyncio.gather(*map(client, range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
