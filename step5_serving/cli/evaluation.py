"""Commands that turn calls into questions to evaluate with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, emit, new_app
from step5_serving.cli.telemetry import Since, Telemetry, opened
from step5_serving.config import TELEMETRY

app = new_app("What the answers are worth.")
evaluation_app = new_app("Choose calls to label, and turn them into questions.")
app.add_typer(evaluation_app, name="evaluation")


@evaluation_app.command()
def errors(
    since: Since = "7d",
    limit: Annotated[int, typer.Option(min=1, max=500, help="Number of questions.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for an evaluation set for step 3.")
    ] = None,
    telemetry: Telemetry = TELEMETRY,
    as_json: Json = False,
) -> None:
    """List disliked, doubtful and abstained calls for labelling."""
    from step5_serving.cli import screens
    from step5_serving.evaluation import errors as work
    from step5_serving.telemetry.summary import parse_since

    length = parse_since(since)
    with opened(telemetry) as store:
        calls = work.find(store, length, limit)
    facts = {"command": "step5_serving errors", "headline": f"{len(calls)} questions to look at in {since}"}
    facts |= {"calls": calls}
    if out is not None:
        facts |= {"out": str(out), "set": work.write_set(calls, out)}
    emit(facts, lambda console: screens.show_errors(facts, console), as_json=as_json)
