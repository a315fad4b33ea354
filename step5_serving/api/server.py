"""The server: makes the parts of a Config, listens, and finishes running calls when it is stopped.

    serve(Config(engine="torch"))

    SIGTERM (or Ctrl-C)
      at once            no connection is accepted any more, so that a proxy tries another server
      until --drain      running and waiting calls are finished, and changes of the documents
      then               what still runs is cancelled, telemetry is written, the engine ends
    a second Ctrl-C      stops at once

It listens on loopback by default, elsewhere only with at least one API key. Without a key it answers
questions from this machine, and nobody can operate it. TLS is the job of a proxy in front of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import UserError
from shared.masking import masked
from step5_serving.addresses import address_of, is_loopback, listen
from step5_serving.api.keys import Keys
from step5_serving.config import SCRIPTED, Config, Options

if TYPE_CHECKING:
    from fastapi import FastAPI

    from step5_serving.engines.engine import Engine
    from step5_serving.rag.answers import RagAnswerer
    from step5_serving.rag.scripted import ScriptedAnswerer
    from step5_serving.telemetry.spans import Spans

OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
KEEP_ALIVE_S = 20  # for an idle connection


def serve(config: Config, say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> None:
    """Serve until a signal comes; ends the process. Raises UserError for what is wrong in the Config."""
    # While it loads; as process 1 of a container it would get no SIGTERM without a handler.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _set_up_logging()
    keys = Keys(config.keys)
    check_host(config, keys)
    with contextlib.closing(listen(config.host, config.port)) as listening:
        app = make_app(config, keys)
        say(masked(f"listening on {address_of(listening)} (engine {config.engine}); stop with Ctrl-C"))
        if not len(keys):
            say(without_keys(config.keys))
        if not is_loopback(config.host):
            say(f"API keys: {len(keys)}; there is no TLS here: put a proxy in front of this address")
        run(config, app, listening, say)


def check_host(config: Config, keys: Keys) -> None:
    """Raise UserError if others can reach the server (directly or by a proxy) and there is no API key."""
    if not config.is_reachable or len(keys):
        return
    flag = f"--host {config.host}"
    if config.names and is_loopback(config.host):
        flag = f"--name {config.names[0]}"
    raise UserError(
        f"{flag} lets others reach this server, and there is no API key in {config.keys}: "
        f"make one with `python -m step5_serving keys add NAME`, or leave out {flag.split()[0]}"
    )


def without_keys(path: Path) -> str:
    """What a server without keys says at its start."""
    return (
        f"no API key in {path.absolute()}: questions from this machine only; the dashboard, documents and "
        "telemetry need one: `python -m step5_serving keys add NAME --scope ask --scope operate`"
    )


def make_app(config: Config, keys: Keys) -> FastAPI:
    """The app with all its parts, ready to answer; raises UserError if one can't be had."""
    with contextlib.ExitStack() as on_error:  # closes what was started, if a later part fails
        engine = start_engine(config, on_error)  # first: its process loads the model meanwhile
        from step5_serving.api.app import create_app
        from step5_serving.api.service import Service
        from step5_serving.telemetry.prices import price_of
        from step5_serving.telemetry.writer import Recorder

        model = engine.model if engine else SCRIPTED
        if config.budget_usd_per_day and price_of(model) is None:
            raise UserError(
                f"--budget-usd-per-day needs to know what {model} costs, and models.toml has no "
                "price for it: leave the budget out, or use a Claude model"
            )
        spans = _make_spans(config)
        recorder = Recorder.from_url(config.telemetry, redact=config.redact)
        answerer = make_answerer(config, engine)
        service = Service(config, answerer, recorder, keys, spans)
        if service.budget and service.budget.usd_per_call > service.budget.usd_per_day:
            raise UserError(
                f"--budget-usd-per-day {service.budget.usd_per_day:g} buys no call: one of {model} may cost "
                f"${service.budget.usd_per_call:.4f}"
            )
        app = create_app(service)
        on_error.pop_all()
    return app


def _make_spans(config: Config) -> Spans | None:
    """What sends spans, if --otlp or one of OpenTelemetry's variables names an endpoint."""
    if config.otlp is None and not any(os.environ.get(each) for each in OTLP):
        if config.otlp_content:
            raise UserError("--otlp-content needs a receiver: name it with --otlp")
        return None
    from step5_serving.telemetry.spans import Spans

    return Spans(config.otlp, content=config.otlp_content)


def start_engine(config: Config, on_error: contextlib.ExitStack) -> Engine | None:
    """The engine, which `on_error` will close; None for scripted answers."""
    if config.engine == SCRIPTED:
        return None
    from step5_serving.engines.choice import resolve

    options = Options(config.rows, config.quantize, config.prefix_cache, config.lookup)
    engine = resolve(config.engine, config.model, options, embedder=config.embedder)
    on_error.callback(engine.close)
    return engine


def make_answerer(config: Config, engine: Engine | None) -> RagAnswerer | ScriptedAnswerer:
    """What answers questions, loaded."""
    if engine is None:
        from step5_serving.rag.scripted import ScriptedAnswerer

        return ScriptedAnswerer()
    from shared.prompts import family_of
    from step3_rag import PROMPTS
    from step5_serving.rag.answers import RagAnswerer
    from step5_serving.telemetry.versions import Versions

    versions = Versions.of(PROMPTS, "answer", family_of(engine.model), config.prompts)
    return RagAnswerer(config, engine, versions)


# --- running ------------------------------------------------------------------------------------------


def run(config: Config, app: FastAPI, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Run the app on a socket until a signal comes, then end the process."""
    import uvicorn

    from step5_serving.api.connection import HEADER_BYTES, LimitedConnection

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="auto",  # uvloop if it is installed
            http=LimitedConnection,
            h11_max_incomplete_event_size=HEADER_BYTES,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # they could be forged by a caller without a key, to get another's rate
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=config.drain_s,  # type: ignore[arg-type]
        )
    )
    # Never closed: that waits for threads, which may hang in an engine or change the index.
    runner = asyncio.Runner(loop_factory=server.config.get_loop_factory())
    with contextlib.suppress(KeyboardInterrupt):  # at the end, uvicorn raises the signal again
        runner.run(server.serve(sockets=[listening]))
    say("stopped")
    sys.stderr.flush()
    os._exit(0)


class MaskingFormatter(logging.Formatter):
    """Masks secrets in log lines."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def _set_up_logging() -> None:
    """Log our warnings and everybody's errors to stderr, without secrets."""
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)  # some libraries set the level of their own loggers
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    for name in ("step5_serving", "step3_rag", "shared", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
