"""Commands that read telemetry: summary, calls, replay, comparison of prompts, report for CI."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from shared.cli import Json, Model, Smoke, emit, new_app
from shared.errors import UserError
from shared.launch import ExitCode
from step5_serving.config import TELEMETRY, IndexFolder, Telemetry

if TYPE_CHECKING:
    from step5_serving.telemetry.store import Store

app = new_app("Telemetry, replays and comparisons.")
telemetry_app = new_app("Look at the recorded calls.")
evaluation_app = new_app("Choose calls to label, and turn them into questions.")
app.add_typer(telemetry_app, name="telemetry")
app.add_typer(evaluation_app, name="evaluation")

Since = Annotated[str, Option(help="Only calls of the last 30m, 24h, 7d.")]
TraceId = Annotated[
    str, Argument(help="Id of the call or of its span; the first digits are enough.", show_default=False)
]
EngineName = Annotated[
    str | None, Option("--engine", help="torch, llamacpp, vllm, ollama, an http(s):// address, or claude-...")
]
SMOKE_TOKENS = 256  # of passages: the context of the tiny model is short


@telemetry_app.command()
def summary(since: Since = "24h", telemetry: Telemetry = TELEMETRY, as_json: Json = False) -> None:
    """Show counts, costs, p50 and p95 by stage, prompt versions and doubtful questions."""
    from step5_serving.cli.screens import show_summary
    from step5_serving.telemetry.summary import parse_since, summarize

    length = parse_since(since)
    with opened(telemetry) as store:
        found = summarize(store, length)
    head = f"in {since}: calls {found['calls']}, errors {found['errors']}"
    facts = {"command": "step5_serving summary", "headline": head, **found}
    emit(facts, show_summary, as_json=as_json)


@telemetry_app.command()
def calls(
    limit: Annotated[int, Option(min=1, max=500, help="Number of calls, newest first.")] = 20,
    low_confidence: Annotated[bool, Option("--low-confidence", help="Only doubtful calls.")] = False,
    error: Annotated[bool, Option("--error", help="Only calls that failed or were refused.")] = False,
    telemetry: Telemetry = TELEMETRY,
    as_json: Json = False,
) -> None:
    """List the latest calls."""
    from step5_serving.cli.screens import show_calls
    from step5_serving.telemetry.reading import list_calls

    with opened(telemetry) as store:
        found = list_calls(store, limit, low_confidence=low_confidence, error=error)
    facts = {"command": "step5_serving calls", "headline": f"calls: {len(found['calls'])}", **found}
    emit(facts, show_calls, as_json=as_json)


@telemetry_app.command()
def show(trace_id: TraceId, telemetry: Telemetry = TELEMETRY, as_json: Json = False) -> None:
    """Show one call with its passages, attempts and prompt."""
    from step5_serving.cli.screens import show_one
    from step5_serving.telemetry.reading import show_call

    with opened(telemetry) as store:
        found = show_call(store, trace_id)
    facts = {"command": "step5_serving show", "headline": f"call {found['trace_id']}", **found}
    emit(facts, show_one, as_json=as_json)


@telemetry_app.command()
def prune(
    older_than: Annotated[str, Option(help="Delete calls older than 30d, 12h.", show_default=False)],
    telemetry: Telemetry = TELEMETRY,
    as_json: Json = False,
) -> None:
    """Delete old calls, with everything that was asked, found and answered."""
    from step5_serving.telemetry.summary import parse_since

    length = parse_since(older_than)
    with opened(telemetry) as store:
        deleted = store.prune(length)
    line = f"calls deleted: {deleted:,}"
    facts = {"command": "step5_serving prune", "headline": line, "calls": deleted}
    emit(facts, lambda _facts, console: console.print(line), as_json=as_json)


@evaluation_app.command()
def errors(
    since: Since = "7d",
    limit: Annotated[int, Option(min=1, max=500, help="Number of questions.")] = 100,
    out: Annotated[Path | None, Option(help="Folder for an evaluation set for step 3.")] = None,
    telemetry: Telemetry = TELEMETRY,
    as_json: Json = False,
) -> None:
    """List disliked, doubtful and abstained calls for labelling."""
    from step5_serving.cli.screens import show_errors
    from step5_serving.evaluation.errors import write_set
    from step5_serving.telemetry.reading import calls_to_review
    from step5_serving.telemetry.summary import parse_since

    length = parse_since(since)
    with opened(telemetry) as store:
        found = calls_to_review(store, length, limit)
    head = f"questions to look at in {since}: {len(found)}"
    facts: dict[str, Any] = {"command": "step5_serving errors", "headline": head, "calls": found}
    if out is not None:
        facts |= {"out": str(out), "set": write_set(found, out)}
    emit(facts, show_errors, as_json=as_json)


@app.command()
def replay(
    trace_id: TraceId,
    telemetry: Telemetry = TELEMETRY,
    index: IndexFolder = None,
    engine: EngineName = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Repeat a call with the same passages, prompt and parameters; exit code 1 if the answer differs."""
    from step5_serving.cli.screens import show_replay
    from step5_serving.evaluation import replay as work
    from step5_serving.telemetry.reading import show_call

    with opened(telemetry) as store:
        facts = work.run(show_call(store, trace_id), index=index, engine=engine, model=model)
    emit(facts, show_replay, as_json=as_json)
    if not facts["equal"]:
        sys.exit(ExitCode.FAILED)


@app.command()
def compare(
    a: Annotated[int, Argument(help="First prompt version.", show_default=False)],
    b: Annotated[int, Argument(help="Second prompt version.", show_default=False)],
    prompts: Annotated[Path | None, Option(help="Folder of the prompts; default: step 3's.")] = None,
    dataset: Annotated[str, Option(help="sample, or a folder with reference answers.")] = "sample",
    split: Annotated[str | None, Option(help="dev or test.")] = "dev",
    limit: Annotated[int | None, Option(help="Use only this many questions, drawn at random.")] = None,
    engine: EngineName = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare two prompt versions on the same questions, with intervals."""
    from shared.catalog import default
    from step5_serving.cli.screens import show_comparison
    from step5_serving.engines.choice import resolve
    from step5_serving.evaluation import compare as work

    pair = work.pair_of(a, b, prompts)
    model = default("smoke").id if smoke and model is None else model
    budget = {"budget": SMOKE_TOKENS} if smoke else {}
    with contextlib.closing(resolve(engine, model)) as serving:
        facts = work.run(serving, pair, dataset=dataset, split=split, limit=limit, **budget)
    emit(facts, show_comparison, as_json=as_json)


@app.command()
def report(
    since: Since = "24h",
    before: Annotated[str, Option(help="Compare with the 30m, 24h, 7d before these calls.")] = "7d",
    tolerance: Annotated[
        float, Option(min=0, max=100, help="Ignore differences up to this share of the figure before.")
    ] = 0.1,
    telemetry: Telemetry = TELEMETRY,
    as_json: Json = False,
) -> None:
    """Compare the last calls with those before them; exit code 1 if something got worse."""
    from step5_serving.cli.screens import show_report
    from step5_serving.telemetry import report as work
    from step5_serving.telemetry.call import now
    from step5_serving.telemetry.summary import parse_since

    length, earlier, end = parse_since(since), parse_since(before), now()
    with opened(telemetry) as store:
        values = work.window(store, length, end)
        others = work.window(store, earlier, end - length)
    facts = work.report(values, others, tolerance)
    emit(facts, show_report, as_json=as_json)
    if facts["worse"]:
        sys.exit(ExitCode.FAILED)


@contextlib.contextmanager
def opened(telemetry: str) -> Iterator[Store]:
    """The database for reading; an ApiError becomes a UserError."""
    from step5_serving.errors import ApiError
    from step5_serving.telemetry.store import Store

    store = Store.open(telemetry)
    try:
        yield store
    except ApiError as refusal:
        raise UserError(refusal.message) from None
    finally:
        store.close()
