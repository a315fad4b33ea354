"""`serve` and `keys`: start the service, and manage its API keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shared.cli import Device, Dtype, Json, Model, Seed, Smoke, Threads, emit, new_app, plain_table
from step5_serving.cli.telemetry import Telemetry
from step5_serving.config import HOST, KEYS, PORT, TELEMETRY, Options

if TYPE_CHECKING:
    from step5_serving.config import Config

app = new_app("The service and its keys.")
keys_app = new_app("Make, list and revoke API keys.")
app.add_typer(keys_app, name="keys")

KeyFile = Annotated[Path, typer.Option("--keys", help="File with the hashes of API keys.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address; any but loopback needs API keys.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free port.")] = PORT,
    names: Annotated[list[str] | None, typer.Option("--name", help="Host name of a proxy in front.")] = None,
    engine: Annotated[
        str,
        typer.Option(help="torch, llamacpp, vllm, ollama, an http(s):// address, claude-..., or scripted."),
    ] = "auto",
    model: Model = None,
    rows: Annotated[int, typer.Option(min=1, help="Largest batch of the torch engine.")] = Options.rows,
    quantize: Annotated[Literal["int8"] | None, typer.Option(help="Weights in fewer bits (torch).")] = None,
    prefix_cache: Annotated[bool, typer.Option(help="Compute shared prompt prefixes once (torch).")] = True,
    lookup: Annotated[
        int, typer.Option(min=0, help="Prompt lookup's tokens (torch); 0: off.")
    ] = Options.lookup,
    index: Annotated[Path | None, typer.Option(help="Index folder; default: rag-index or sample.")] = None,
    store: Annotated[
        Literal["chroma", "faiss", "weaviate", "pinecone"], typer.Option(help="The vector store.")
    ] = "chroma",
    store_address: Annotated[
        str | None, typer.Option("--address", help="Address of the vector store's server.")
    ] = None,
    reader: Annotated[
        Literal["chat", "quote"],
        typer.Option(help="chat (the model writes) or quote (sentences word for word)."),
    ] = "chat",
    strategies: Annotated[str | None, typer.Option(help="Ways to rewrite doubtful queries; or none.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Least confidence to answer.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Version of the prompt, or a split: 1:90,2:10.")] = None,
    telemetry: Telemetry = TELEMETRY,
    redact: Annotated[bool, typer.Option("--redact", help="Mask personal data before it is stored.")] = False,
    otlp: Annotated[str | None, typer.Option(help="OTLP endpoint (HTTP) for spans.")] = None,
    otlp_content: Annotated[
        bool, typer.Option("--otlp-content", help="Send questions and answers, too.")
    ] = False,
    budget_usd_per_day: Annotated[float | None, typer.Option(help="Refuse calls once it is spent.")] = None,
    keys: KeyFile = KEYS,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Requests per second for each key.")] = None,
    burst: Annotated[
        float | None, typer.Option(min=1, help="Largest burst; default: twice the rate.")
    ] = None,
    running: Annotated[int, typer.Option(min=1, help="Most calls that run at the same time.")] = 16,
    waiting: Annotated[int, typer.Option(min=0, help="Most calls that wait; more get 503.")] = 64,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, max=86400, help="Time limit of a call in seconds.")
    ] = 120.0,
    drain_s: Annotated[
        float, typer.Option("--drain", min=0, max=86400, help="Seconds that running calls get at shutdown.")
    ] = 30.0,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    smoke: Smoke = False,
) -> None:
    """Serve questions, documents and telemetry over HTTP."""
    given: dict[str, Any] = dict(locals())  # most flags are fields of Config
    # Before numpy is imported: its threads would compete with the model for the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from step5_serving.api import server
    from step5_serving.config import Config

    given |= {"names": tuple(names or ()), "strategies": _strategies(strategies)}
    given["flags"] = {"device": device, "dtype": dtype, "threads": threads, "seed": seed}
    given["options"] = Options(rows, quantize, prefix_cache, lookup)
    config = Config(**{name: given[name] for name in Config.__dataclass_fields__ if name in given})
    server.serve(_smaller(config) if smoke else config)


@keys_app.command()
def add(
    name: Annotated[str, typer.Argument(help="Owner of the key.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="ask (questions) or operate (documents, telemetry).")
    ] = None,
    keys: KeyFile = KEYS,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown only once."""
    from step5_serving.api.keys import Keys

    key, text = Keys(keys).add(name, scope or ["ask"])
    facts = {"id": key.id, "name": key.name, "scopes": list(key.scopes), "key": text}
    # Not by `emit`, which would write the key to a report.
    if as_json:
        import json

        print(json.dumps(facts))
    else:
        print(f"{text}\n{key.name} may {' and '.join(key.scopes)}. Keep it: it is not shown again.")


@keys_app.command("list")
def list_(keys: KeyFile = KEYS, as_json: Json = False) -> None:
    """List the keys."""
    from step5_serving.api.keys import Keys

    rows = [
        {"id": key.id, "name": key.name, "scopes": list(key.scopes), "created_at": key.created_at}
        for key in Keys(keys)
    ]
    facts = {"command": "step5_serving keys", "headline": f"keys: {len(rows)}", "keys": rows}

    def show(_facts: Any, console: Any) -> None:
        table = plain_table("id", "name", "scopes", "made")
        for row in rows:
            table.add_row(row["id"], row["name"], " ".join(row["scopes"]), row["created_at"])
        console.print(table if rows else f"no keys in {keys}: everybody on this machine may do everything")

    emit(facts, show, as_json=as_json)


@keys_app.command()
def remove(
    which: Annotated[str, typer.Argument(help="Id or name of the key.")],
    keys: KeyFile = KEYS,
) -> None:
    """Revoke a key. Running servers notice within a second."""
    from step5_serving.api.keys import Keys

    key = Keys(keys).remove(which)
    print(f"removed {key.id} ({key.name})")


def _strategies(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    from step3_rag.options import parse_strategies

    return parse_strategies(text)


def _smaller(config: Config) -> Config:
    """The same with random weights, which know nothing; so no confidence is too low for an answer."""
    from dataclasses import replace

    from shared.catalog import default

    tiny = default("smoke").id
    return replace(
        config,
        model=config.model or tiny,
        flags={**config.flags, "embedder": tiny},
        threshold=0.0 if config.threshold is None else config.threshold,
        context_tokens=256,  # the context of the tiny model is short
    )
