"""The service as a Ray Serve deployment: N replicas behind one address, started again when they die.

    $ pip install "llm-roadmap[step5,ray]"
    $ python -m step5_serving.deploy.ray_serve --replicas 2 --engine scripted
    2 replicas at http://127.0.0.1:8000; stop with Ctrl-C

Every replica is a process with an app of its own: the same one that `serve` runs, with its own engine, queue
and rate limits, so N replicas allow N times as much. What they share lies outside of them: the index, the
vector store's server, the file of keys, and the database of calls (SQLite on one machine, Postgres on
several). `/metrics` tells of the replica that happens to answer; what counts for all is /telemetry.

It starts a cluster of its own, without dashboard and usage reports; to join one that is there, name it in
RAY_ADDRESS. The service listens on loopback. Ray's processes talk to each other on ports that listen on every
address of the machine, whatever `_node_ip_address` says, and whoever may talk there may run code here: so
the cluster has a token, made for this one run, that all of its processes must know.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.cli import Model, new_app, run
from shared.errors import UserError
from step5_serving.config import HOST, KEYS, PORT, Config

if TYPE_CHECKING:
    from fastapi import FastAPI

app = new_app("The service on Ray Serve.")
NAME = "rag"
OBJECTS = 80_000_000  # bytes of Ray's shared memory: nothing of ours goes through it
SURROUNDINGS = {  # before ray is imported
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


@app.command()
def serve(
    replicas: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 2,
    port: Annotated[int, typer.Option(help="Port on loopback.")] = PORT,
    engine: Annotated[str, typer.Option(help="As of `serve`.")] = "auto",
    model: Model = None,
    index: Annotated[Path | None, typer.Option(help="Folder of the index.")] = None,
    address: Annotated[str | None, typer.Option(help="Of the vector store's server.")] = None,
    telemetry: Annotated[str, typer.Option(help="Database of calls.")] = "sqlite:///telemetry.db",
    keys: Annotated[Path, typer.Option("--keys", help="File with the hashes of API keys.")] = KEYS,
) -> None:
    """Serve from several processes until told to stop."""
    config = Config(
        port=port,
        engine=engine,
        model=model,
        index=index,
        store_address=address,
        telemetry=telemetry,
        keys=keys,
    )
    stop = threading.Event()
    deploy(config, replicas)
    for number in (signal.SIGINT, signal.SIGTERM):  # now: Ray has put its own in, which end in a core dump
        signal.signal(number, lambda *_: stop.set())
    print(f"{replicas} replicas at http://{HOST}:{port}; stop with Ctrl-C", file=sys.stderr, flush=True)
    stop.wait()
    shut_down()
    print("stopped", file=sys.stderr)


def deploy(config: Config, replicas: int = 2) -> None:
    """Start (or change) the deployment; returns when all replicas answer.

    Raises:
        UserError: ray is not installed, the port is taken, or the replicas do not start.
    """
    surroundings = {**SURROUNDINGS, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update({name: os.environ.get(name, value) for name, value in surroundings.items()})
    try:
        import ray
        from ray import serve
    except ImportError:
        raise UserError('Ray is not installed: pip install -c constraints.txt ".[step5,ray]"') from None
    from step5_serving.addresses import listen

    listen(HOST, config.port).close()  # says at once what Ray would say in a long traceback
    try:
        if "RAY_ADDRESS" in os.environ:
            ray.init(log_to_driver=False)
        else:
            ray.init(
                _node_ip_address=HOST,
                include_dashboard=False,
                num_cpus=replicas + 1,
                object_store_memory=OBJECTS,
                log_to_driver=False,
            )
        serve.start(http_options={"host": HOST, "port": config.port})
        serve.run(application(_absolute(config), replicas), name=NAME, route_prefix="/")
    except Exception as error:  # Ray raises just that; what a replica said stands in its logs
        ray.shutdown()
        first = str(error).partition("\n")[0]
        raise UserError(
            f"Ray does not start the replicas: {first} (see /tmp/ray/session_latest/logs)"
        ) from None


def application(config: Config, replicas: int) -> Any:
    """The deployment, for `serve.run`."""
    from ray import serve

    def build() -> FastAPI:  # in the replica's process: Ray takes the Config there, and no more
        from step5_serving.api.security import keep_secrets
        from step5_serving.api.server import make_app

        keep_secrets(*logging.getLogger().handlers)
        return make_app(config)

    deployment = serve.deployment(
        name="api",
        num_replicas=replicas,
        # The replica's own queue says 503, and when to come again; the rest is for pages and health checks.
        max_ongoing_requests=config.running + config.waiting + 32,
        max_queued_requests=config.waiting,
        graceful_shutdown_timeout_s=config.drain_s,
    )
    return deployment(serve.ingress(build)()).bind()


def shut_down() -> None:
    """Let calls finish, then end all of Ray's processes that were started here."""
    import ray
    from ray import serve

    serve.shutdown()
    ray.shutdown()


def _absolute(config: Config) -> Config:
    """The same places for processes that start elsewhere."""
    index = config.index.absolute() if config.index else None
    from step5_serving.telemetry.store import parse

    _, file = parse(config.telemetry)
    telemetry = f"sqlite:///{file.absolute()}" if file else config.telemetry
    return replace(config, index=index, keys=config.keys.absolute(), telemetry=telemetry)


if __name__ == "__main__":
    run(app, "python -m step5_serving.deploy.ray_serve")
