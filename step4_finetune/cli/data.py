"""The commands for rows: show, check, build (files for TRL), and distill.

exit 0    it worked; for check: nothing worse than warnings
exit 1    check found errors in the rows
exit 2    an error that the user can correct
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shared.cli import Json, Model, Seed, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode
from step4_finetune.cli import show

if TYPE_CHECKING:
    from step4_finetune.data.rows import Row
    from step4_finetune.tone.rules import Guide

Data = Annotated[
    str | None,
    typer.Option("--data", help="Rows: .jsonl or .csv, or plain: an earlier sample. Default: the sample."),
]
GuideFile = Annotated[
    Path | None, typer.Option("--guide", help="Tone guide (YAML) of the rows; default: the sample's.")
]

EARLIER = "plain"  # --data plain: rows whose notes are nearly sentences

app = new_app("Show, check, build and distill training rows.")


@app.command("show")
def show_rows(
    split: Annotated[str | None, typer.Option(help="train, dev or test.")] = None,
    topic: Annotated[str | None, typer.Option(help="Show only rows of this topic.")] = None,
    row_id: Annotated[str | None, typer.Option("--id", help="Show only this row.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of rows to show.")] = 3,
    data: Data = None,
    guide: GuideFile = None,
    as_json: Json = False,
) -> None:
    """Show rows, chosen beside rejected, with the rules that each breaks."""
    from step4_finetune.data.select import select

    facts = select(*read_any(data, guide), data or "the sample", split, topic, row_id, limit)
    emit(facts, show.rows, as_json=as_json)


@app.command()
def check(
    limit_tokens: Annotated[
        int, typer.Option(min=1, help="Largest number of tokens in a conversation.")
    ] = 512,
    data: Data = None,
    guide: GuideFile = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Report every problem of the rows; exit code 1 if there are errors."""
    from shared.models import load_tokenizer
    from step4_finetune.data.curate import checks

    settings = settings_from_flags(smoke, model=model)
    rows, its_guide = read_any(data, guide)
    tokenizer = load_tokenizer(settings=settings)
    facts = checks.run(rows, its_guide, tokenizer, limit_tokens, data or "the sample")
    emit(facts, show.check, as_json=as_json)
    if facts["errors"]:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="Folder for train.jsonl, dev.jsonl and test.jsonl.")],
    what: Annotated[
        Literal["rows", "tools", "agent", "reader"],
        typer.Argument(
            help="rows: replies in a tone; tools: tool calls; agent: tasks of an office; reader: passages "
            "with questions."
        ),
    ] = "rows",
    count: Annotated[int, typer.Option("--rows", min=1, help="For tools and agent: number of rows.")] = 2000,
    seed: Seed = None,
    form: Annotated[Literal["sft", "dpo"], typer.Option("--format", help="TRL's format.")] = "sft",
    shares: Annotated[
        str | None,
        typer.Option(help="For rows without a split: percent for train, dev, test. (default: 80,10,10)"),
    ] = None,
    data: Data = None,
    guide: GuideFile = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Write training files, one per split: rows in TRL's formats, tool calls, or passages with questions."""
    if what != "rows" and (data or guide or form != "sft" or shares):
        raise UserError(f"build {what} takes no --data, --guide, --format or --shares: they are for rows")
    settings = settings_from_flags(smoke, seed=seed)
    if what == "tools":
        from step4_finetune.toolcalls.data import build as build_tools

        facts = build_tools(out, 40 if smoke else count, settings.seed)
    elif what == "agent":
        from step4_finetune.agent.data import build as build_agent

        facts = build_agent(out, 40 if smoke else count, settings.seed)
    elif what == "reader":
        from step4_finetune.reading.data import build as build_reader

        facts = build_reader(out, settings.seed)
    else:
        from step4_finetune.data import trl_files

        rows, its_guide = read_any(data, guide, _shares(shares) if shares else None)
        system = its_guide.system if its_guide else ""
        facts = trl_files.run(rows, system, form, out, source=data or "the sample")
    emit(facts, show.splits, as_json=as_json)


@app.command()
def distill(
    out: Annotated[
        Path,
        typer.Option("--out", help="Append rows to this file (.jsonl); messages that are in it are skipped."),
    ] = Path("distilled.jsonl"),
    requests: Annotated[int, typer.Option(min=1, help="Largest number of requests to the model.")] = 100,
    data: Data = None,
    guide: GuideFile = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let a chat model write replies, and keep those that break no rule and are faithful."""
    from step4_finetune.data import distill as lesson
    from step4_finetune.data.rows import GUIDE, SAMPLE
    from step4_finetune.tone.guide import read_guide

    settings = settings_from_flags(smoke, model=model, seed=seed)
    rows = lesson.read_messages(Path(data or SAMPLE))
    facts = lesson.run(rows, read_guide(guide or GUIDE), settings, out, requests=requests)
    emit(facts, show.distill, as_json=as_json)


def read(data: str | None, guide: Path | None) -> tuple[list[Row], Guide]:
    """The rows and the guide, by default the sample's; other rows need their own guide."""
    if data and not guide and data != EARLIER:
        raise UserError(f"{data} needs the guide of its tone: name it with --guide")
    rows, its_guide = read_any(data, guide)
    assert its_guide
    return rows, its_guide


def read_any(
    data: str | None, guide: Path | None, shares: tuple[float, float, float] | None = None
) -> tuple[list[Row], Guide | None]:
    """The same, but other rows may have no guide; `shares` divide rows without a split."""
    from step4_finetune.data.rows import GUIDE, PLAIN, SAMPLE, SHARES, read_rows
    from step4_finetune.tone.guide import read_guide

    if data == EARLIER:
        return read_rows(PLAIN), read_guide(guide or GUIDE)
    rows = read_rows(data or SAMPLE, shares=shares or SHARES)
    return rows, None if data and not guide else read_guide(guide or GUIDE)


def _shares(text: str) -> tuple[float, float, float]:
    """`70,15,15` as shares of 1."""
    try:
        train, dev, test = (float(each) / 100 for each in text.split(","))
    except ValueError:
        train = dev = test = 0.0
    if min(train, dev, test) < 0 or train == 0 or abs(train + dev + test - 1) > 1e-6:
        raise UserError(f"--shares {text}: give three percentages that add up to 100, such as 70,15,15")
    return train, dev, test
