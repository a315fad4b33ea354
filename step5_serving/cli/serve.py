"""`serve` and `keys`: start the service, and manage its API keys."""

import inspect
import os
from typing import Annotated, Any

from typer import Argument, Option

from shared.cli import Json, emit, new_app, plain_table
from step5_serving.config import KEYS, Config, KeyFile

app = new_app("The service and its keys.")
keys_app = new_app("Make, list and revoke API keys.")
app.add_typer(keys_app, name="keys")


def serve(**flags: Any) -> None:
    """Serve questions, documents and telemetry over HTTP."""
    # Before numpy is imported: its threads would compete with the model for the cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from step5_serving.api import server

    server.serve(Config(**flags))


serve.__signature__ = inspect.signature(Config)  # type: ignore  (typer makes a flag of each field)
app.command()(serve)


@keys_app.command()
def add(
    name: Annotated[str, Argument(help="Owner of the key.")],
    scope: Annotated[
        list[str] | None, Option(help="ask (questions) or operate (documents, telemetry).")
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
        console.print(
            table if rows else f"no keys in {keys}: everybody on this machine may ask, nobody may operate"
        )

    emit(facts, show, as_json=as_json)


@keys_app.command()
def remove(which: Annotated[str, Argument(help="Id or name of the key.")], keys: KeyFile = KEYS) -> None:
    """Revoke a key. Running servers notice within a second."""
    from step5_serving.api.keys import Keys

    key = Keys(keys).remove(which)
    print(f"removed {key.id} ({key.name})")
