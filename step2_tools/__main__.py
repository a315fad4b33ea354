"""Step 2: an assistant that answers by calling tools, the loop that makes it one, and how good it is.

    python -m step2_tools "What is the weather in Bangkok?"      ask (the command's name may be left out)
    python -m step2_tools "..." --trace                          see every message
    python -m step2_tools chat                                   a conversation

Heavy libraries are imported inside the commands, so that --help answers at once.

exit 0    answered          exit 2    something to put right, in one line
exit 3    no whole answer (stopped after --max-turns, cut at --max-tokens, refused)
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from shared.cli import Engine, Json, Model, Out, Seed, Smoke, emit, new_app, run, with_default

app = new_app("Step 2: prompting and native tool calling, the same code with Claude and with no key at all.")
prompts_app = new_app("The prompt files of this step: list them, show one, compare two.")
app.add_typer(prompts_app, name="prompts")

PACKAGE = "step2_tools"
QUESTION = "What is the weather in Bangkok?"
INCOMPLETE = 3

Runner = Annotated[bool, typer.Option("--runner", help="The SDK's tool_runner in place of our loop.")]
Trace = Annotated[bool, typer.Option("--trace", help="Show every message.")]
Offline = Annotated[
    bool | None,
    typer.Option("--offline/--online", help="Tools on recorded examples, or the real services. [online]"),
]
MaxTurns = Annotated[int, typer.Option(help="Stop after so many turns of the model.")]
MaxTokens = Annotated[int, typer.Option(help="Of each of its turns.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the server.")]
PromptId = Annotated[str, typer.Option("--prompt", help="A prompt's id, or id@version.")]


def _settings(smoke: bool = False, **flags: Any) -> Any:
    from shared.catalog import default
    from shared.config import load_settings

    if smoke:
        here = flags.get("model") is None  # not on a server of one's own, which a run on `tiny` needs not
        flags["model"] = flags.get("model") or default("smoke").id
        settings = load_settings(**flags)
        return settings.model_copy(update={"base_url": None}) if here else settings
    return load_settings(**flags)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")] = QUESTION,
    by_runner: Runner = False,
    trace: Trace = False,
    form: Annotated[
        Literal["text", "json", "markdown"], typer.Option("--format", help="Of the answer; see `schema`.")
    ] = "text",
    offline: Offline = None,
    prompt: PromptId = "assistant",
    max_turns: MaxTurns = 8,
    max_tokens: MaxTokens = 1024,
    timeout: Timeout = 60.0,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a question with the tools."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    from step2_tools import ask as lesson
    from step2_tools.screen import Screen

    how = lesson.How(
        by_runner, form, smoke if offline is None else offline, max_turns, max_tokens, timeout, prompt
    )
    screen = Screen(form, trace=trace, silent=as_json)
    try:
        facts = lesson.run(settings, question, how, screen.text, screen.message)
    finally:
        screen.end()
    emit(facts, lambda _console: screen.finish(facts), as_json=as_json)
    if facts["unreachable"]:
        print(lesson.HINT, file=sys.stderr)
    if facts["incomplete"]:
        print(f"incomplete: {facts['incomplete']}", file=sys.stderr)
        raise typer.Exit(INCOMPLETE)


@app.command()
def chat(
    by_runner: Runner = False,
    trace: Trace = False,
    offline: Offline = None,
    prompt: PromptId = "assistant",
    max_turns: MaxTurns = 8,
    max_tokens: MaxTokens = 1024,
    timeout: Timeout = 60.0,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
) -> None:
    """A conversation that keeps its history."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    from rich.console import Console

    from step2_tools import ask as lesson
    from step2_tools import chat as talk

    how = lesson.How(
        by_runner, "text", smoke if offline is None else offline, max_turns, max_tokens, timeout, prompt
    )
    facts = talk.run(settings, how, Console(highlight=False, markup=False), traced=trace)
    emit(facts, lambda console: talk.show(facts, console), as_json=False)


@app.command()
def tools(as_json: Json = False) -> None:
    """The tools as the model sees them: name, description, input schema."""
    from step2_tools import listing

    facts = listing.tools()
    emit(facts, lambda console: listing.show_tools(facts, console), as_json=as_json)


@app.command()
def schema() -> None:
    """The JSON schema of the answers of --format json."""
    import json

    from step2_tools import answer

    print(json.dumps(answer.schema(), ensure_ascii=False, indent=1))


@prompts_app.command("list")
def list_prompts(as_json: Json = False) -> None:
    """Every prompt: id, version, model family, note."""
    from step2_tools import listing

    facts = listing.prompts()
    emit(facts, lambda console: listing.show_prompts(facts, console), as_json=as_json)


@prompts_app.command("show")
def show_prompt(
    name: Annotated[str, typer.Argument(help="A prompt's id, or id@version.")] = "assistant",
    model: Model = None,
) -> None:
    """A prompt as its file has it; the latest for the model when no version is named."""
    settings = _settings(model=model)
    from step2_tools.ask import load_prompt

    print(load_prompt(name, settings.model))


@prompts_app.command("diff")
def diff_prompts(
    old: Annotated[str, typer.Argument(help="A prompt's id@version.")],
    new: Annotated[str, typer.Argument(help="Another.")],
    model: Model = None,
) -> None:
    """What changed from one prompt to another."""
    settings = _settings(model=model)
    from shared.prompts import diff
    from step2_tools.ask import load_prompt

    print(diff(load_prompt(old, settings.model), load_prompt(new, settings.model)) or "they are the same")


@app.command()
def evaluate(
    split: Annotated[
        Literal["dev", "test"] | None, typer.Option(help="Which of the labelled questions. [dev]")
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="A way of asking; repeat it for several. Default: all of them.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="So many questions only, drawn by --seed.")] = None,
    bfcl: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Berkeley's function-calling questions instead.")
    ] = None,
    answers: Annotated[Path | None, typer.Option(metavar="FILE", help="Their possible answers.")] = None,
    timeout: Timeout = 60.0,
    out: Out = None,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """How often the model calls the right tools, asked in several ways."""
    from shared.chat import errors as api_errors
    from shared.chat.client import chat_client
    from shared.errors import UserError
    from shared.report.record import picture_path

    if answers and not bfcl:
        raise UserError("--answers goes with --bfcl FILE")
    if bfcl and (condition or split):
        raise UserError("--condition and --split are for our own questions: they don't go with --bfcl")
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 6 if smoke and limit is None else limit
    path = picture_path(PACKAGE, "evaluate", out)
    from step2_tools import evaluate as lesson
    from step2_tools import questions
    from step2_tools.screen import progress
    from step2_tools.tools import build

    client = api_errors.with_timeouts(chat_client(settings.model, settings), timeout)
    with progress(silent=as_json) as say:
        if bfcl:
            facts = lesson.run_bfcl(settings, client, bfcl, answers, limit, say, out=path)
        else:
            rows = questions.read(split=split or "dev")
            facts = lesson.run(settings, client, build(True, settings), rows, condition, limit, say, out=path)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def optimize(
    optimizer: Annotated[
        Literal["gepa", "mipro", "shots"],
        typer.Option(help="GEPA, MIPROv2, or random sets of demonstrations."),
    ] = "gepa",
    budget: Annotated[int, typer.Option(help="Calls of the model, at most.")] = 3000,
    limit: Annotated[
        int | None, typer.Option(help="So many questions of each split only, drawn by --seed.")
    ] = None,
    prompt: Annotated[
        int | None, typer.Option("--prompt", help="Version of json_calls to begin with (gepa: 2, others: 1).")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="The tool chooser begins without what was tuned by hand.")
    ] = False,
    timeout: Timeout = 60.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the new version goes, if not to the old one."),
    ] = None,
    engine: Engine = None,
    model: Model = None,
    seed: Seed = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let DSPy look for a better prompt (embedded: for a better tool chooser)."""
    settings = _settings(smoke, model=model, seed=seed, engine=engine)
    limit = 6 if smoke and limit is None else limit
    from step2_tools import optimize as lesson
    from step2_tools import questions
    from step2_tools.screen import progress
    from step2_tools.tools import build

    tools = build(True, settings)
    with progress(silent=as_json) as say:
        target, folder = lesson.target(settings, tools, optimizer, prompt, timeout, plain=plain)
        out = out or (None if smoke else folder)
        dev, test = questions.read(split="dev"), questions.read(split="test")
        tell = partial(print, file=sys.stderr)
        facts = lesson.run(settings, target, tools, dev, test, optimizer, budget, limit, say, tell, out=out)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def bench(
    pairs: Annotated[int, typer.Option(help="Timed pairs; 5 or more.")] = 30,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """What our loop costs beside the bare SDK, in milliseconds a turn."""
    from step2_tools import bench as lesson

    facts = lesson.run(5 if smoke else pairs)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


def with_default_command(args: list[str]) -> list[str]:
    """`ask` is what runs when no subcommand is named: put it in front of a question or of flags."""
    return with_default(app, "ask", args)


if __name__ == "__main__":
    run(app, f"python -m {PACKAGE}", with_default_command(sys.argv[1:]))
