"""The server: makes the parts of a Config, listens, and stops without dropping what it has begun.

    serve(Config(engine="torch"))

    SIGTERM (or Ctrl-C)
      at once            /readyz says 503, new calls get 503 and Retry-After
      until --drain      calls that run or wait are finished; /healthz and /metrics still answer
      then               what still runs is cancelled, connections are closed, telemetry is written
    a second one         not waited for any longer

It listens on loopback unless it is told otherwise, and then only with at least one API key. TLS and slow
connections are the business of a proxy in front of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from shared.masking import masked
from step5_serving.addresses import address_of, is_loopback, listen
from step5_serving.api.keys import Keys
from step5_serving.config import SCRIPTED, Config

if TYPE_CHECKING:
    from fastapi import FastAPI

    from step5_serving.seam import Answerer
    from step5_serving.telemetry.spans import Spans

OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
KEEP_ALIVE_S = 20  # between a connection's requests
LAST_S = 2  # for connections to be closed once nothing runs any more


def serve(config: Config, say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> None:
    """Serve until told to stop.

    Raises:
        UserError: something in the Config can't be had: the port, the index, the engine, telemetry, keys.
    """
    keys = Keys(config.keys)
    check_host(config, keys)
    with contextlib.closing(listen(config.host, config.port)) as listening:
        app = make_app(config, keys)
        place = address_of(listening)
        say(masked(f"listening on {place} (engine {config.engine}); stop with Ctrl-C"))
        if not is_loopback(config.host):
            say(f"{len(keys)} API keys are known; there is no TLS here: put a proxy in front of this address")
        run(config, app, listening, say)


def check_host(config: Config, keys: Keys) -> None:
    """Refuse to be reachable by others, directly or through a proxy, while there is no API key.

    Raises:
        UserError: there is no key.
    """
    if not config.is_reachable or len(keys):
        return
    flag = f"--name {config.names[0]}" if is_loopback(config.host) else f"--host {config.host}"
    raise UserError(
        f"{flag} lets others reach this server, and there is no API key in {config.keys}: "
        f"make one with `python -m step5_serving keys add NAME`, or leave out {flag.split()[0]}"
    )


def make_app(config: Config, keys: Keys) -> FastAPI:
    """The app with all its parts. Loads no model yet, and asks no engine but one whose model nobody named.

    Raises:
        UserError: the engine, the index, the prompts or telemetry can't be had.
    """
    with contextlib.ExitStack() as undo:  # what was begun ends where the rest can't be had
        # Before other imports: a process for the model loads beside them.
        answerer = make_answerer(config, undo)
        from step5_serving.api.app import create_app
        from step5_serving.telemetry.prices import Budget, price_of
        from step5_serving.telemetry.writer import Recorder

        if config.budget_usd_per_day is not None and price_of(answerer.model) is None:
            raise UserError(
                f"--budget-usd-per-day needs to know what {answerer.model} costs, and models.toml has no "
                "price for it: leave the budget out, or use a Claude model"
            )
        spans = _spans(config)
        recorder = Recorder.from_url(config.telemetry, redact=config.redact)
        limit = config.budget_usd_per_day
        budget = None if limit is None else Budget(limit, recorder.store)
        app = create_app(config, answerer, recorder, keys, budget, spans)
        undo.pop_all()
    return app


def _spans(config: Config) -> Spans | None:
    """What sends spans to --otlp, or where OpenTelemetry's own variables say; None where nothing says.

    Raises:
        UserError: the endpoint is not an address, or the exporter is not installed.
    """
    if config.otlp is None and not any(os.environ.get(each) for each in OTLP):
        return None
    from step5_serving.telemetry.redact import redacted

    try:
        from step5_serving.telemetry.spans import Spans
    except ImportError:
        raise UserError(
            "spans want their exporter: pip install opentelemetry-exporter-otlp-proto-http"
        ) from None
    return Spans(config.otlp, content=config.otlp_content, redact=redacted if config.redact else None)


def make_answerer(config: Config, undo: contextlib.ExitStack) -> Answerer:
    """What answers; `undo` ends what it began."""
    if config.engine == SCRIPTED:
        from step5_serving.rag.scripted import ScriptedAnswerer

        return ScriptedAnswerer()
    from step5_serving.engines.choice import resolve
    from step5_serving.rag.loading import check_index, prompts_folder

    check_index(config)
    serving = resolve(config.engine, config.model, config.options, **config.flags)
    undo.callback(serving.close)
    from shared.prompts import family_of
    from step5_serving.rag.answers import RagAnswerer
    from step5_serving.telemetry.versions import Versions

    versions = Versions.of(prompts_folder(), "answer", family_of(serving.model), config.prompts)
    return RagAnswerer(config, serving, versions)


# --- running ------------------------------------------------------------------------------------------


def run(config: Config, app: FastAPI, listening: socket.socket, say: Callable[[str], None]) -> None:
    """Run the app on a socket until a signal comes, then end the process."""
    server = _server(config, app)
    _log_quietly()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises a signal again when it has done its work
        server.run(sockets=[listening])
    say("stopped")
    sys.stderr.flush()
    # Threads may still wait for an engine that hangs, or change the index: nobody waits for them.
    os._exit(1 if app.state.service.changes else 0)


def _server(config: Config, app: FastAPI) -> Any:
    """uvicorn's, which drains before it shuts down."""
    import uvicorn

    service = app.state.service

    class Draining(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            self._loop = asyncio.get_running_loop()
            await super().startup(sockets)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
            if service.draining:  # the second time
                self.should_exit = self.force_exit = True
                return
            service.drain()
            self._loop.call_soon_threadsafe(self._begin_to_drain)

        def _begin_to_drain(self) -> None:
            self._draining = asyncio.ensure_future(self._drain())

        async def _drain(self) -> None:
            try:
                async with asyncio.timeout(config.drain_s):
                    await service.drained()
            except TimeoutError:
                running = service.admission.running + len(service.changes)
                logging.getLogger(__name__).warning("%d calls are broken off", running)
            self.should_exit = True

    return Draining(
        uvicorn.Config(
            app,
            loop="auto",  # uvloop where it is installed
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # rates go by key; who calls without one is not believed whom he calls for
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=LAST_S,
        )
    )


class NoSecrets(logging.Formatter):
    """Masks keys in whatever is logged."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def _log_quietly() -> None:
    """Our warnings and everybody's errors on stderr, without secrets."""
    handler = logging.StreamHandler()
    handler.setFormatter(NoSecrets("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)  # for libraries that give their own loggers a level
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    for ours in ("step5_serving", "step3_rag", "shared", "uvicorn"):
        logging.getLogger(ours).setLevel(logging.WARNING)
