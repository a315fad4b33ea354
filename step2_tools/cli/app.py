"""The commands of this step: read the flags, call one function, print the report that it returns.

Each command loads its own module when it runs: heavy libraries take seconds, and --help need not wait. An
answer that is incomplete (stopped at --max-turns, cut at --max-new-tokens, refused) ends with exit code 3.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json, Model, Seed, Smoke, emit, new_app, read_argument, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode

app = new_app("Step 2: prompting and tool calling, the same code with Claude and with no key.", default="ask")
prompts_app = new_app("The prompt files of this step.")
app.add_typer(prompts_app, name="prompts")

QUESTION = "What is the weather in Bangkok?"
PORT = 8765

Trace = Annotated[bool, typer.Option("--trace", help="Show every message.")]
Offline = Annotated[
    bool | None,
    typer.Option(
        "--offline/--online", help="Run the tools on sample data, or on the real services. (default: online)"
    ),
]
MaxTurns = Annotated[int, typer.Option(help="Stop after this many turns of the model.")]
MaxNewTokens = Annotated[int, typer.Option(help="Stop each turn after this many tokens.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the server.")]
Mcp = Annotated[
    list[str] | None,
    typer.Option(
        "--mcp",
        metavar="COMMAND|URL",
        help="Also offer the tools of this MCP server; repeat it for several. A command that starts with "
        "python runs in the Python that runs this one.",
    ),
]
AlertFile = Annotated[
    Path | None,
    typer.Option(
        "--alerts", metavar="FILE", dir_okay=False, help="Also offer the tool that saves price alerts here."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Run tools that have effects without asking.")]
Split = Literal["dev", "test", "fresh"]
AnswerSplit = Literal["dev", "test", "fresh", "several"]
Limit = Annotated[int | None, typer.Option(help="Use only this many questions, drawn by --seed.")]


@app.command()
def ask(
    question: Annotated[
        str | None,
        typer.Argument(help=f"What to ask; - or a pipe: standard input. (default: {QUESTION})"),
    ] = None,
    trace: Trace = False,
    form: Annotated[Literal["text", "json"], typer.Option("--format", help="Format of the answer.")] = "text",
    offline: Offline = None,
    max_turns: MaxTurns = 8,
    max_new_tokens: MaxNewTokens = 1024,
    mcp: Mcp = None,
    alerts: AlertFile = None,
    yes: Yes = False,
    timeout: Timeout = 60.0,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a question with the tools."""
    text = read_argument(question, QUESTION)
    settings = settings_from_flags(smoke, model=model)
    from step2_tools.cli import ask as asking

    options = asking.Options(
        format=form,
        offline=smoke if offline is None else offline,
        max_turns=max_turns,
        max_new_tokens=max_new_tokens,
        timeout_s=timeout,
        mcp=tuple(mcp or ()),
        alerts=alerts,
        yes=yes,
    )
    screen = asking.Screen(trace=trace, quiet=as_json or form == "json")
    report = asking.answer_question(settings, options, text, screen)
    emit(report, lambda report, _console: screen.finish(report), as_json=as_json)
    screen.warn(report)
    if report.incomplete:
        raise typer.Exit(ExitCode.INCOMPLETE)


@app.command()
def chat(
    trace: Trace = False,
    offline: Offline = None,
    max_turns: MaxTurns = 8,
    max_new_tokens: MaxNewTokens = 1024,
    mcp: Mcp = None,
    alerts: AlertFile = None,
    yes: Yes = False,
    timeout: Timeout = 60.0,
    model: Model = None,
    smoke: Smoke = False,
) -> None:
    """Hold a conversation that keeps its history."""
    settings = settings_from_flags(smoke, model=model)
    from step2_tools.cli import chat as chatting

    options = chatting.Options(
        offline=smoke if offline is None else offline,
        max_turns=max_turns,
        max_new_tokens=max_new_tokens,
        timeout_s=timeout,
        mcp=tuple(mcp or ()),
        alerts=alerts,
        yes=yes,
    )
    chatting.hold_conversation(settings, options, traced=trace)


@app.command()
def tools(as_json: Json = False) -> None:
    """Show the tools as the embedded model reads them, or as a request has them (--json)."""
    from step2_tools.cli import tools as listing

    emit(listing.describe_tools(), listing.show, as_json=as_json)


@app.command()
def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP on this machine instead of stdin and stdout.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help=f"Port for --http; 0 takes any free port. (default: {PORT})")
    ] = None,
    offline: Offline = None,
) -> None:
    """Serve the tools to any client of the Model Context Protocol."""
    if port is not None and not http:
        raise UserError("--port is for --http: add it, or leave out --port")
    if http and port is None:
        port = PORT
    from step2_tools.cli import serve

    serve.serve_tools(bool(offline), port)


@prompts_app.command("diff")
def diff_prompts(
    old: Annotated[str, typer.Argument(help="A prompt's id@version.")],
    new: Annotated[str, typer.Argument(help="Another prompt's id@version.")],
    model: Model = None,
) -> None:
    """Show what changed from one prompt version to another."""
    settings = settings_from_flags(model=model)
    from step2_tools.cli import prompts

    print(prompts.compare_prompts(old, new, settings.model))


@app.command()
def evaluate(
    split: Annotated[Split | None, typer.Option(help="Split of our questions. Default: dev.")] = None,
    style: Annotated[
        list[str] | None, typer.Option(help="Prompt style; repeat it for several. Default: all.")
    ] = None,
    bfcl_file: Annotated[
        Path | None,
        typer.Option(
            "--bfcl", metavar="FILE", help="Questions of the package bfcl-eval, with their own tools."
        ),
    ] = None,
    limit: Limit = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often the model calls the right tools, in several prompt styles."""
    if bfcl_file and split:
        raise UserError("--bfcl has its own questions: leave out --split")
    settings = settings_from_flags(smoke, model=model, seed=seed)
    limit = 6 if smoke and limit is None else limit
    from step2_tools.cli import evaluate as command

    report = command.evaluate(settings, split or "dev", bfcl_file, style, limit)
    emit(report, command.show, as_json=as_json)


@app.command()
def injection(
    limit: Annotated[int | None, typer.Option(help="Use only about this many of the 30 texts.")] = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often defences hold against instructions in tool results."""
    settings = settings_from_flags(smoke, model=model)
    limit = 4 if smoke and limit is None else limit
    from step2_tools.cli import injection as command

    emit(command.measure(settings, limit), command.show, as_json=as_json)


@app.command()
def optimize(
    style: Annotated[
        str | None,
        typer.Option(help="Prompt style to start from. (default: zero-shot; embedded: zero-shot +schema)"),
    ] = None,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the new version; default: beside the old one."),
    ] = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let DSPy search for better examples for the prompt json_calls."""
    settings = settings_from_flags(smoke, model=model, seed=seed)
    limit = 6 if smoke and limit is None else limit
    from step2_tools.cli import optimize as command

    report = command.optimize(settings, style, limit, out, keep=not smoke)
    emit(report, command.show, as_json=as_json)


@app.command()
def answers(
    split: Annotated[AnswerSplit, typer.Option(help="Split of the labelled questions.")] = "dev",
    limit: Limit = None,
    save: Annotated[Path | None, typer.Option(help="Add calls and replies to this JSONL file.")] = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often a reply says what the tools' results say."""
    settings = settings_from_flags(smoke, model=model, seed=seed)
    limit = 3 if smoke and limit is None else limit
    from step2_tools.cli import answers as command

    emit(command.check(settings, split, limit, save), command.show, as_json=as_json)


@app.command()
def guard(as_json: Json = False) -> None:
    """Measure the guard on replies that a reader has labelled, and on swapped answers."""
    from step2_tools.cli import guard as command

    emit(command.check(), command.show, as_json=as_json)


@app.command()
def caching(
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare requests with the same prefix and with changing ones: seconds and cached tokens."""
    settings = settings_from_flags(smoke, model=model)
    from step2_tools.cli import caching as command

    emit(command.measure(settings, n=1 if smoke else None), command.show, as_json=as_json)
