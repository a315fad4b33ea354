"""The commands of this step: read the flags, call one function, print the report that it returns.

Each command loads its own modules when it runs: heavy libraries take seconds, and --help need not wait.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode
from step3_rag.cli import flags

AGENT_REQUEST = (
    "The customer that stands first on the trial list for the new P45: how often may they audit our plant?"
)

app = new_app(
    "Step 3: retrieval. Answers from documents, with sources, measured stage by stage.", default="ask"
)


# --- ask and search ---------------------------------------------------------------------------------------


@app.command("ask")
def answer_question(
    context: typer.Context,
    question: flags.Question = flags.QUESTION,
    before: Annotated[
        list[str] | None,
        typer.Option(
            "--before", help="Earlier question of the conversation; repeat it for several, oldest first."
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Number of passages to answer from.")] = 5,
    collection: flags.Collection = None,
    reader: flags.Reader = "auto",
    strategies: Annotated[
        str | None, typer.Option(help="Ways to rewrite the query, separated by commas; none switches it off.")
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help='Confidence below which the query is rewritten, and finally the answer is "I don\'t know".',
        ),
    ] = 0.35,
    graph: Annotated[
        bool,
        typer.Option(
            "--graph",
            help="Answer from a graph of firms and documents: what they share, how they are connected.",
        ),
    ] = False,
    framework: Annotated[
        Literal["langchain", "llamaindex", "langgraph"] | None,
        typer.Option(help="Search with this library; it answers without a confidence."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show every search, with its confidence.")] = False,
    versions: flags.Versions = "current-first",
    use: flags.Use = "hybrid",
    rerank: flags.Rerank = "maxsim",
    index: flags.IndexFolder = None,
    store: flags.Store = "chroma",
    address: flags.Address = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, with sources, or say "I don't know"."""
    if graph:
        flags.refuse_flags(context, flags.FOR_GRAPH, "the graph answers without a search")
    if framework:
        flags.refuse_flags(context, flags.FOR_FRAMEWORKS, "a framework's pipeline has the defaults")
    from step3_rag import from_flags
    from step3_rag.cli import ask as asking
    from step3_rag.cli.retriever import open_retriever

    question = from_flags.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    options = from_flags.search_options(
        settings,
        rerank,
        use,
        k=k,
        collections=tuple(collection or ()),
        versions=versions,
        before=tuple(from_flags.check_question(earlier) for earlier in before or ()),
    )
    plan = from_flags.make_plan(settings, options, reader, strategies, threshold)
    client = from_flags.make_client(settings) if plan.needs_chat and not graph else None
    retriever = open_retriever(settings, index, store, address, options.collections, quiet=as_json)
    streams = plan.reader == "chat" and not (as_json or framework or graph)
    if graph:
        report = asking.answer_from_relations(retriever, question)
    elif framework:
        report = asking.answer_with_framework(framework, retriever, question, k, settings, client)
    else:
        write = asking.print_part if streams else asking.print_nothing
        report = asking.answer_by_plan(plan, retriever, question, settings, client, write)
    if streams:
        print()
    emit(report, partial(asking.show, trace=trace, streamed=streams), as_json=as_json)
    if isinstance(report, asking.ChatErrorReport):
        sys.exit(ExitCode.INCOMPLETE)


@app.command()
def search(
    question: flags.Question = flags.QUESTION,
    k: Annotated[int, typer.Option(min=1, help="Number of passages to show.")] = 5,
    collection: flags.Collection = None,
    route: Annotated[bool, typer.Option("--route", help="Let the router choose the collections.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show rank and score at every stage.")] = False,
    versions: flags.Versions = "current-first",
    use: flags.Use = "hybrid",
    rerank: flags.Rerank = "maxsim",
    index: flags.IndexFolder = None,
    store: flags.Store = "chroma",
    address: flags.Address = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Find passages without writing an answer."""
    if route and collection:
        raise UserError("--route chooses the collections itself: leave out --collection")
    from step3_rag import from_flags
    from step3_rag.cli import search as searching
    from step3_rag.cli.retriever import open_retriever

    question = from_flags.check_question(question)
    settings = settings_from_flags(smoke)
    options = from_flags.search_options(
        settings, rerank, use, k=k, collections=tuple(collection or ()), versions=versions
    )
    retriever = open_retriever(settings, index, store, address, options.collections, quiet=as_json)
    report = searching.find_passages(retriever, question, options, settings, route=route)
    emit(report, partial(searching.show, explain=explain), as_json=as_json)


@app.command()
def agent(
    request: Annotated[str, typer.Argument(help="What to do.")] = AGENT_REQUEST,
    yes: Annotated[
        bool, typer.Option("--yes", help="Allow tickets and messages without asking you.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="Write what happened as a page (one HTML file) to this path.")
    ] = None,
    phoenix: Annotated[
        str | None,
        typer.Option(help="Send OpenTelemetry spans to this collector, e.g. http://127.0.0.1:6006."),
    ] = None,
    index: flags.IndexFolder = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let the chat model work with tools: it decides what to look up, computes, opens tickets."""
    from step3_rag import from_flags
    from step3_rag.cli import agent as command
    from step3_rag.cli.retriever import open_retriever
    from step3_rag.evaluate.agents import agent_settings

    request = from_flags.check_question(request)
    settings = agent_settings(settings_from_flags(smoke, model=model))
    client = from_flags.make_client(settings)
    retriever = open_retriever(settings, index, quiet=as_json)
    approve = command.allow if yes else command.ask_user
    report, transcript = command.work(retriever, request, settings, client, approve)
    emit(report, command.show, as_json=as_json)
    if trace:
        command.write_page(trace, transcript)
    if phoenix:
        command.send_spans(phoenix, transcript)


# --- the documents of an index ----------------------------------------------------------------------------


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    collection: Annotated[
        str | None, typer.Option(help="Name of the collection; default: the first folder below a path.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew, from these files only.")
    ] = False,
    chunk_size: Annotated[int, typer.Option(help="Largest number of tokens in a chunk.")] = 128,
    chunk_overlap: Annotated[
        int, typer.Option("--chunk-overlap", help="Tokens that neighbouring chunks share.")
    ] = 32,
    index: flags.OwnIndex = None,
    store: flags.Store = "chroma",
    address: flags.Address = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Add files to the index: Markdown, text, HTML, PDF, DOCX, CSV. Unchanged files are skipped."""
    settings = settings_from_flags(smoke)
    from step3_rag import opening
    from step3_rag.cli import documents

    folder = index or opening.HOME
    report = documents.ingest(
        settings, paths, folder, collection, chunk_size, chunk_overlap, store, address, rebuild=rebuild
    )
    emit(report, documents.show_changes, as_json=as_json)
    if report.failed:
        sys.exit(ExitCode.FAILED)


@app.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="Documents, by name or path.", show_default=False)],
    index: flags.OwnIndex = None,
    as_json: Json = False,
) -> None:
    """Remove documents from the index and from all its vector stores; the files themselves stay."""
    from step3_rag import opening
    from step3_rag.cli import documents

    report = documents.forget(names, index or opening.HOME)
    emit(report, documents.show_changes, as_json=as_json)


@app.command()
def status(
    names: Annotated[bool, typer.Option("--names", help="Also list the documents.")] = False,
    index: flags.IndexFolder = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show what is in the index and how much disk space it takes."""
    settings = settings_from_flags(smoke)
    from step3_rag import opening
    from step3_rag.cli import documents

    report = documents.describe_index(opening.open_index(settings, index), names=names)
    emit(report, documents.show_status, as_json=as_json)


# --- measurements -----------------------------------------------------------------------------------------


@app.command()
def evaluate(
    context: typer.Context,
    dataset: flags.Data = "sample",
    split: flags.Split = None,
    limit: flags.Limit = None,
    answers: Annotated[bool, typer.Option("--answers", help="Measure the answers.")] = False,
    frameworks: Annotated[
        bool, typer.Option("--frameworks", help="Compare LangChain, LlamaIndex and LangGraph with ours.")
    ] = False,
    reader: flags.Reader = "auto",
    add_row: Annotated[
        Path | None,
        typer.Option(help="Add the answers' figures, tokens and cost to this Markdown table of models."),
    ] = None,
    agent: Annotated[bool, typer.Option("--agent", help="Measure what the agent achieves.")] = False,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each task; all but the first sample.")] = 1,
    order: Annotated[str, typer.Option(help="Plant this sentence in each result of a look-up.")] = "",
    earlier: Annotated[int, typer.Option(min=0, help="Look-ups of a conversation before each task.")] = 0,
    compact: Annotated[
        bool, typer.Option("--compact/--no-compact", help="Shorten old results that no longer fit.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Write each run of the agent to this file (JSON lines).")
    ] = None,
    rerank: flags.Rerank = "maxsim",
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure retrieval stage by stage; --answers, --agent or --frameworks measures these instead."""
    of_agent = {"runs", "order", "earlier", "compact", "out"}
    ignored = {"reader", "model", "add_row", *of_agent}
    why = "only --answers and --agent use a model"
    if frameworks:
        ignored = {"answers", "agent", "reader", "add_row", "rerank", *of_agent}
        why = "--frameworks compares the default pipelines"
    elif agent:
        ignored = {"answers", "reader", "add_row", "rerank"}
        why = "--agent measures the agent"
    elif answers:
        ignored = {"rerank", *of_agent}
        why = "--answers measures the default search"
    flags.refuse_flags(context, context.params.keys() - ignored, why)
    settings = settings_from_flags(smoke, model=model)
    from step3_rag.cli import tables

    if frameworks:
        from step3_rag.cli import frameworks as of_frameworks
        from step3_rag.evaluate import frameworks as comparison

        emit(comparison.run(settings, dataset, split, limit), of_frameworks.show, as_json=as_json)
    elif agent:
        from step3_rag.evaluate import agents

        plan = agents.Plan(dataset, split or "dev", runs, order, earlier, compact, limit)
        report, made = agents.measure(settings, plan)
        if out:
            agents.write_runs(made, out)
        emit(report, tables.show, as_json=as_json)
    elif answers:
        from step3_rag.evaluate import answers as of_answers

        report = of_answers.run(settings, dataset, split, reader, limit, add_row)
        emit(report, tables.show, as_json=as_json)
    else:
        from step3_rag.evaluate import retrieval

        emit(retrieval.run(settings, dataset, split, rerank, limit), tables.show, as_json=as_json)


@app.command()
def citations(as_json: Json = False) -> None:
    """Measure how many wrong sentences the citation check finds, and how many right ones it rejects."""
    from step3_rag.cli import tables
    from step3_rag.evaluate import checks

    emit(checks.citations(), tables.show, as_json=as_json)


@app.command()
def injections(as_json: Json = False) -> None:
    """Measure how many documents with injected instructions raise a warning, and how many others do."""
    from step3_rag.cli import tables
    from step3_rag.evaluate import checks

    emit(checks.injections(), tables.show, as_json=as_json)


@app.command()
def calibrate(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="sample, and folders in BEIR's layout.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Write the fitted weights to this file.")] = None,
    limit: flags.Limit = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Fit the confidence to judged questions, and test it on collections that it has not seen."""
    settings = settings_from_flags(smoke)
    from step3_rag.cli import tables
    from step3_rag.evaluate import calibrate as measurement

    report = measurement.run(settings, datasets or ["sample"], weights, limit)
    emit(report, tables.show, as_json=as_json)


@app.command()
def reflect(
    dataset: flags.Data = "sample",
    split: flags.Split = None,
    strategies: Annotated[
        str, typer.Option(help="Strategies, separated by commas.")
    ] = "conversation,spelling,meaning",
    limit: flags.Limit = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how much each way of rewriting the query helps where confidence is low."""
    settings = settings_from_flags(smoke, model=model)
    from step3_rag import from_flags
    from step3_rag.cli import tables
    from step3_rag.evaluate import rewrites

    names = from_flags.parse_strategies(strategies)
    emit(rewrites.run(settings, dataset, split, names, limit), tables.show, as_json=as_json)


@app.command()
def route(
    split: Annotated[str, typer.Option(help="Split of the sample: dev or test.")] = "dev",
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Measure how well the router finds the right collection, and its effect on the results."""
    settings = settings_from_flags(smoke)
    from step3_rag.cli import tables
    from step3_rag.evaluate import routing

    emit(routing.run(settings, split), tables.show, as_json=as_json)


@app.command()
def sweep(
    dataset: flags.Data = "sample",
    split: flags.Split = "dev",
    sizes: Annotated[
        str, typer.Option(help="Chunk sizes and overlaps, e.g. 64/16,128/32.")
    ] = "64/16,128/32,192/48,254/0",
    limit: flags.Limit = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare chunk sizes at the same number of source tokens."""
    settings = settings_from_flags(smoke)
    from step3_rag.cli import tables
    from step3_rag.evaluate import sweep as measurement

    report = measurement.run(settings, dataset, split, sizes, limit)
    emit(report, tables.show, as_json=as_json)
