"""Serve one model with one of our engines, over HTTP on loopback.

    $ python -m step5_serving.engines --engine torch --model tiny --port 8001

    torch       the model in one batch for all requests (batching/, server.py)
    llamacpp    its GGUF by llama.cpp's own server (llamacpp.py)
    lock        transformers behind a lock, one token of one request at a time: a baseline for `bench`

The service starts it as a child process (engine.py). Any client of the Messages API can use it.

Functions import what an engine needs: `--help` needs none of it, and llamacpp no torch.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from shared.cli import Model
from shared.launch import run_main
from step5_serving.addresses import listening
from step5_serving.config import Lookup, Options, PrefixCache, Quantize, Rows

if TYPE_CHECKING:
    from shared.config import Settings
    from shared.embedded.backend import Backend


def backend_of(name: str, settings: Settings, options: Options) -> Backend:
    """The settings' model on engine torch or lock; it is loaded on first use."""
    from shared.embedded.backend import Backend

    if name == "lock":
        return Backend(settings)
    from step5_serving.engines.batching.engine import BatchEngine

    return Backend(settings, load=partial(BatchEngine.load, settings, options))


def main(
    engine: Annotated[Literal["torch", "llamacpp", "lock"], Option(help="What computes.")] = "torch",
    model: Model = None,
    port: Annotated[int, Option(min=1, max=65535, help="Port on loopback.")] = 8001,
    rows: Rows = Options.rows,
    quantize: Quantize = None,
    prefix_cache: PrefixCache = True,
    lookup: Lookup = Options.lookup,
    child: Annotated[
        bool, Option("--child", hidden=True, help="Stop when standard input closes, not by signals.")
    ] = False,
) -> None:
    """Serve one model on loopback until told to stop."""
    from shared.config import load_settings

    settings = load_settings(model=model)
    if child:
        # The service handles signals: it lets running calls end, then closes our standard input.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=_end_with_input, daemon=True).start()
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if engine == "llamacpp":
        from step5_serving.engines.llamacpp import serve_gguf

        _server = serve_gguf(settings, port, rows)  # it serves as long as this reference exists
    else:
        from step5_serving.engines.server import create_app

        backend = backend_of(engine, settings, Options(rows, quantize, prefix_cache, lookup))
        with ThreadPoolExecutor(1) as loading:  # a thread that ends, so that torch frees what it keeps for it
            loading.submit(lambda: backend.engine).result()
        _server = listening(create_app(backend), port)
        _server.__enter__()
    if not child:
        print(
            f"{engine} serves {settings.model} at http://127.0.0.1:{port}; stop with Ctrl-C", file=sys.stderr
        )
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    os._exit(0)  # without waiting for threads that still generate


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    run_main(main, "python -m step5_serving.engines")
