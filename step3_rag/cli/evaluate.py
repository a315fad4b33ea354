"""The commands that measure: evaluate, citations, injections, calibrate, reflect, route, sweep."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from step3_rag.cli.flags import Data, Limit, Reader, Rerank, Split, refuse_flags

app = new_app("Measurements.")


def _report(command: str, facts: dict[str, Any], as_json: bool) -> None:
    """Print the results of a measurement."""
    from shared import hardware
    from step3_rag.cli.render import show_tables

    facts = {"command": f"step3_rag {command}", **facts, "machine": hardware.describe()}
    emit(facts, show_tables, as_json=as_json)


@app.command()
def evaluate(
    context: typer.Context,
    dataset: Data = "sample",
    split: Split = None,
    limit: Limit = None,
    answers: Annotated[bool, typer.Option("--answers", help="Measure the answers.")] = False,
    reader: Reader = "auto",
    add_row: Annotated[
        Path | None,
        typer.Option(help="Add the answers' figures, tokens and cost to this Markdown table of models."),
    ] = None,
    rerank: Rerank = "maxsim",
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure retrieval stage by stage; --answers measures the answers instead."""
    ignored = {"rerank"} if answers else {"reader", "model", "add_row"}
    why = "--answers measures the default search" if answers else "only --answers uses a reader"
    refuse_flags(context, context.params.keys() - ignored, why)
    settings = settings_from_flags(smoke, model=model)
    if answers:
        from step3_rag.evaluate import answers as measurement

        facts = measurement.run(settings, dataset, split, reader, limit, add_row)
    else:
        from step3_rag.evaluate import retrieval

        facts = retrieval.run(settings, dataset, split, rerank, limit)
    _report("evaluate", facts, as_json)


@app.command()
def citations(as_json: Json = False) -> None:
    """Measure how many wrong sentences the citation check finds, and how many right ones it rejects."""
    from step3_rag.evaluate import checks

    _report("citations", checks.citations(), as_json)


@app.command()
def injections(as_json: Json = False) -> None:
    """Measure how many documents with injected instructions raise a warning, and how many others do."""
    from step3_rag.evaluate import checks

    _report("injections", checks.injections(), as_json)


@app.command()
def calibrate(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="sample, and folders in BEIR's layout.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Write the fitted weights to this file.")] = None,
    limit: Limit = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Fit the confidence to judged questions, and test it on collections that it has not seen."""
    from step3_rag.evaluate import calibrate as measurement

    settings = settings_from_flags(smoke)
    facts = measurement.run(settings, datasets or ["sample"], weights, limit)
    _report("calibrate", facts, as_json)


@app.command()
def reflect(
    dataset: Data = "sample",
    split: Split = None,
    strategies: Annotated[
        str, typer.Option(help="Strategies, separated by commas.")
    ] = "conversation,spelling,meaning",
    limit: Limit = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how much each way of rewriting the query helps where confidence is low."""
    from step3_rag import options
    from step3_rag.evaluate import rewrites as measurement

    settings = settings_from_flags(smoke, model=model)
    names = options.parse_strategies(strategies)
    _report("reflect", measurement.run(settings, dataset, split, names, limit), as_json)


@app.command()
def route(
    split: Annotated[str, typer.Option(help="Split of the sample: dev or test.")] = "dev",
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how well the router finds the right collection, and its effect on the results."""
    from step3_rag.evaluate import routing as measurement

    _report("route", measurement.run(settings_from_flags(smoke), split), as_json)


@app.command()
def sweep(
    dataset: Data = "sample",
    split: Split = "dev",
    sizes: Annotated[
        str, typer.Option(help="Chunk sizes and overlaps, e.g. 64/16,128/32.")
    ] = "64/16,128/32,192/48,254/0",
    limit: Limit = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare chunk sizes at the same number of source tokens."""
    from step3_rag.evaluate import sweep as measurement

    settings = settings_from_flags(smoke)
    _report("sweep", measurement.run(settings, dataset, split, sizes, limit), as_json)
