"""Every command of this step: parse the flags, call one function, print.

exit 0    answered          exit 2    something to put right, in one line
exit 3    no whole answer (stopped after --max-turns, cut at --max-new-tokens, refused)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from shared.cli import (
    Engine,
    Json,
    Model,
    Seed,
    Smoke,
    emit,
    new_app,
    read_argument,
    settings_from_flags,
)

app = new_app("Step 2: prompting and tool calling, the same code with Claude and with no key.", default="ask")
prompts_app = new_app("The prompt files of this step.")
app.add_typer(prompts_app, name="prompts")

QUESTION = "What is the weather in Bangkok?"
INCOMPLETE = 3

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
        "--mcp", metavar="COMMAND|URL", help="Also offer the tools of this MCP server; repeat it for several."
    ),
]
AlertFile = Annotated[
    Path | None,
    typer.Option("--alerts", metavar="FILE", help="Also offer the tool that saves price alerts here."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Run tools that have effects without asking.")]
PromptId = Annotated[str, typer.Option("--prompt", help="A prompt's id, or id@version.")]
Split = Literal["dev", "test", "fresh"]
Limit = Annotated[int | None, typer.Option(help="Use only this many questions, drawn by --seed.")]


def _settings(smoke: bool = False, **flags: Any) -> Any:
    """The settings; a smoke run asks no server, unless a flag names its model."""
    settings = settings_from_flags(smoke, **flags)
    if smoke and flags.get("model") is None:
        return settings.model_copy(update={"base_url": None})
    return settings


@app.command()
def ask(
    question: Annotated[
        str | None,
        typer.Argument(help=f"What to ask; - or a pipe: standard input. (default: {QUESTION})"),
    ] = None,
    trace: Trace = False,
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Format of the answer; see `schema`.")
    ] = "text",
    offline: Offline = None,
    prompt: PromptId = "assistant",
    max_turns: MaxTurns = 8,
    max_new_tokens: MaxNewTokens = 1024,
    mcp: Mcp = None,
    alerts: AlertFile = None,
    yes: Yes = False,
    timeout: Timeout = 60.0,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a question with the tools."""
    text = read_argument(question, QUESTION)
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    from step2_tools.cli import ask as asking
    from step2_tools.cli.screen import Screen

    offline = smoke if offline is None else offline
    options = asking.Options(
        form, offline, max_turns, max_new_tokens, timeout, prompt, tuple(mcp or ()), alerts, yes
    )
    screen = Screen(form, trace=trace, silent=as_json)
    facts = asking.run(settings, text, options, screen.message)
    emit(facts, lambda _console: screen.finish(facts), as_json=as_json)
    asking.warn(facts["unreachable"], facts["incomplete"])
    if facts["incomplete"]:
        raise typer.Exit(INCOMPLETE)


@app.command()
def chat(
    trace: Trace = False,
    offline: Offline = None,
    prompt: PromptId = "assistant",
    max_turns: MaxTurns = 8,
    max_new_tokens: MaxNewTokens = 1024,
    mcp: Mcp = None,
    alerts: AlertFile = None,
    yes: Yes = False,
    timeout: Timeout = 60.0,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
) -> None:
    """Hold a conversation that keeps its history."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    from rich.console import Console

    from step2_tools.cli import ask as asking
    from step2_tools.cli import chat as chatting

    offline = smoke if offline is None else offline
    options = asking.Options(
        "text", offline, max_turns, max_new_tokens, timeout, prompt, tuple(mcp or ()), alerts, yes
    )
    chatting.run(settings, options, Console(highlight=False, markup=False), traced=trace)


@app.command()
def tools(as_json: Json = False) -> None:
    """Show the tools as the model sees them: name, description, input schema."""
    from step2_tools.cli import tables

    offered = _definitions()
    headline = ", ".join(each["name"] for each in offered)
    facts = {"command": "step2_tools tools", "headline": headline, "tools": offered}
    emit(facts, lambda console: tables.show_tools(facts, console), as_json=as_json)


@app.command()
def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP on this machine instead of stdin and stdout.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port for --http; 0 takes any free port.")] = 8765,
    offline: Offline = None,
) -> None:
    """Serve the tools to any client of the Model Context Protocol."""
    from step2_tools.agent import mcp_server
    from step2_tools.tools import build

    tools = build(bool(offline))
    if http:
        mcp_server.serve_http(tools, port)
    else:
        mcp_server.serve_stdio(tools)


@app.command()
def schema() -> None:
    """Print the JSON schema of the answers of --format json."""
    import json

    from step2_tools.agent import answer

    print(json.dumps(answer.schema(), ensure_ascii=False, indent=1))


@prompts_app.command("diff")
def diff_prompts(
    old: Annotated[str, typer.Argument(help="A prompt's id@version.")],
    new: Annotated[str, typer.Argument(help="Another prompt's id@version.")],
    model: Model = None,
) -> None:
    """Show what changed from one prompt version to another."""
    settings = _settings(model=model)
    from shared.prompts import diff
    from step2_tools.cli.ask import load_prompt

    print(diff(load_prompt(old, settings.model), load_prompt(new, settings.model)) or "they are the same")


@app.command()
def evaluate(
    split: Annotated[Split, typer.Option(help="Split of the labelled questions.")] = "dev",
    style: Annotated[
        list[str] | None, typer.Option(help="Prompt style; repeat it for several. Default: all.")
    ] = None,
    limit: Limit = None,
    timeout: Timeout = 60.0,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often the model calls the right tools, in several prompt styles."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 6 if smoke and limit is None else limit
    from step2_tools.cli import tables
    from step2_tools.cli.screen import progress
    from step2_tools.evaluate import questions
    from step2_tools.evaluate import run as evaluation

    client = _client(settings, timeout)
    with progress(silent=as_json) as say:
        rows = questions.read(split)
        facts = evaluation.run(settings, client, _definitions(), rows, style, limit, say)
    emit(facts, lambda console: tables.show_evaluate(facts, console), as_json=as_json)


@app.command()
def injection(
    limit: Annotated[int | None, typer.Option(help="Use only about this many of the 30 texts.")] = None,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often defences hold against instructions in tool results."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 4 if smoke and limit is None else limit
    from shared.chat.errors import one_line_errors
    from step2_tools.cli import tables
    from step2_tools.cli.screen import progress
    from step2_tools.evaluate import injection as measuring

    client = _client(settings)
    with progress(silent=as_json) as say, one_line_errors(settings.model, settings):
        facts = measuring.run(client, settings.model, limit, say)
    emit(facts, lambda console: tables.show_injection(facts, console), as_json=as_json)


@app.command()
def optimize(
    style: Annotated[
        str | None,
        typer.Option(help="Prompt style to start from. (default: zero-shot; embedded: zero-shot +schema)"),
    ] = None,
    budget: Annotated[int, typer.Option(help="Largest number of model calls.")] = 1000,
    limit: Limit = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for the new version; default: beside the old one."),
    ] = None,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let DSPy look for better examples for the prompt json_calls."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 6 if smoke and limit is None else limit
    from shared.catalog import lookup
    from step2_tools import PROMPTS
    from step2_tools.cli import tables
    from step2_tools.cli.screen import progress
    from step2_tools.evaluate import prompt_styles, questions
    from step2_tools.optimize import run as optimization

    remote = bool(settings.base_url) or lookup(settings.model).is_claude
    start = prompt_styles.parse(style or ("zero-shot" if remote else "zero-shot +schema"))
    optimization.require_dspy(settings)  # before a model is loaded
    client, tools = _client(settings), _definitions()
    dev, test = questions.read("dev"), questions.read("test")
    out, threads = out or (None if smoke else PROMPTS), 4 if remote else 1
    with progress(silent=as_json) as say:
        facts = optimization.run(
            settings, client, tools, start, dev, test, budget, limit, say, out=out, threads=threads
        )
    emit(facts, lambda console: tables.show_optimize(facts, console), as_json=as_json)


@app.command()
def answers(
    split: Annotated[Split, typer.Option(help="Split of the labelled questions.")] = "dev",
    limit: Limit = None,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how often the numbers in an answer come from the tools."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 3 if smoke and limit is None else limit
    from step2_tools.cli import tables
    from step2_tools.cli.screen import progress
    from step2_tools.evaluate import answers as judging
    from step2_tools.evaluate import questions
    from step2_tools.tools import build

    client, rows, system = _client(settings), questions.read(split), _system(settings)
    with progress(silent=as_json) as say:
        facts = judging.run(settings, client, build(offline=True), rows, system, limit, say)
    emit(facts, lambda console: tables.show_answers(facts, console), as_json=as_json)


@app.command()
def caching(
    engine: Engine = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare requests whose prefix stays the same with others: seconds and cached tokens."""
    settings = _settings(smoke, model=model, engine=engine)
    from step2_tools.cli import tables
    from step2_tools.evaluate import caching as measuring

    n = 1 if smoke else len(measuring.QUESTIONS)
    facts = measuring.run(settings, _client(settings), _definitions(), _system(settings), n)
    emit(facts, lambda console: tables.show_caching(facts, console), as_json=as_json)


def _client(settings: Any, timeout: float = 60.0) -> Any:
    from shared.chat import client
    from shared.chat.errors import with_timeouts

    return with_timeouts(client.chat_client(settings.model, settings), timeout)


def _definitions() -> list[dict[str, Any]]:
    """The tools as a request has them."""
    from step2_tools.tools import build

    return [{**tool.to_dict()} for tool in build(offline=True)]


def _system(settings: Any) -> str:
    """The assistant's system message."""
    from shared import prompts
    from step2_tools.cli.ask import load_prompt

    system: str = prompts.render(load_prompt("assistant", settings.model))["system"]
    return system
