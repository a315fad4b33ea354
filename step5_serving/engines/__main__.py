"""Serve one model with one of our engines, over HTTP on loopback (server.py).

    $ python -m step5_serving.engines --engine torch --model tiny --port 8001

    torch       the model in one batch for all requests (batching/)
    llamacpp    its GGUF by llama.cpp
    lock        transformers behind a lock, one token of one request at a time: what `bench` compares with

The service starts it as a child process (process.py); by hand, any client of the Messages API can use it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli import Device, Dtype, Model, Seed, Threads, run_main
from shared.errors import UserError
from step5_serving.addresses import listen

if TYPE_CHECKING:
    from shared.config import Settings
    from shared.embedded.backend import Backend
    from shared.embedded.engine import Engine

HOST = "127.0.0.1"
ROWS = 16  # requests that are decoded together
LOOKUP = 8  # tokens that prompt lookup proposes for a sequence in a step
KEEP_ALIVE_S = 75  # longer than clients keep an idle connection, so that none is closed under a request


def backend_of(
    name: str,
    settings: Settings,
    rows: int = ROWS,
    quantize: str | None = None,
    prefix_cache: bool = True,
    lookup: int = LOOKUP,
) -> Backend:
    """The model of the settings on one of our engines; nothing is loaded yet."""
    from shared.embedded.backend import Backend

    def load() -> Engine:
        if name == "lock":
            from shared.embedded.on_transformers import TransformersEngine

            return TransformersEngine.load(settings)
        if name == "llamacpp":
            from shared.models import weights
            from step5_serving.engines.llamacpp import LlamaCppEngine

            return LlamaCppEngine.load(weights.ensure(settings.model, settings), settings, parallel=rows)
        from step5_serving.engines.batching.engine import BatchEngine, Options

        return BatchEngine.load(settings, Options(rows, quantize, prefix_cache, lookup))

    return Backend(settings, load=load)


def main(
    engine: Annotated[str, typer.Option(help="torch, llamacpp or lock.")] = "torch",
    model: Model = None,
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8001,
    rows: Annotated[int, typer.Option(min=1, help="Largest batch.")] = ROWS,
    quantize: Annotated[str | None, typer.Option(help="int8, for engine torch.")] = None,
    prefix_cache: Annotated[
        bool,
        typer.Option(
            "--prefix-cache/--no-prefix-cache", help="Reuse the KV cache of shared prompt prefixes (torch)."
        ),
    ] = True,
    lookup: Annotated[
        int,
        typer.Option(min=0, help="Tokens that prompt lookup proposes per step (torch); 0 switches it off."),
    ] = LOOKUP,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    child: Annotated[
        bool, typer.Option("--child", hidden=True, help="Stop when standard input closes, not by signals.")
    ] = False,
) -> None:
    """Serve one model on loopback until told to stop."""
    from shared.config import load_settings

    settings = load_settings(model=model, device=device, dtype=dtype, threads=threads, seed=seed)
    if engine not in ("torch", "llamacpp", "lock"):
        raise UserError(f"--engine {engine} is not known: use torch, llamacpp or lock")
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    import uvicorn

    from step5_serving.engines.server import create_app

    listening = listen(HOST, port)  # after the imports, for which clients would have to wait
    app = create_app(backend_of(engine, settings, rows, quantize, prefix_cache, lookup), settings.model)
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, timeout_keep_alive=KEEP_ALIVE_S
    )
    server = uvicorn.Server(config)
    if child:
        # Signals are for the service, which lets its calls end first and then closes our standard input.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        threading.Thread(target=_end_with_input, daemon=True).start()
    else:
        print(f"{engine} serves {settings.model} at http://{HOST}:{port}; stop with Ctrl-C", file=sys.stderr)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    os._exit(0)  # whatever threads are doing: nobody waits for it


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    run_main(main, "python -m step5_serving.engines")
