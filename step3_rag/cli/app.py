"""The commands. Heavy libraries are imported inside them, so that --help answers at once."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from step3_rag.cli import evaluate as measuring
from step3_rag.cli import flags

app = new_app(
    "Step 3: retrieval. Answers from documents, with sources, measured stage by stage.", default="ask"
)
app.add_typer(measuring.app)


@app.command()
def ask(
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
    ] = 0.68,
    graph: Annotated[
        bool,
        typer.Option("--graph", help="Answer from a graph: which documents share a supplier or customer."),
    ] = False,
    framework: Annotated[
        Literal["langchain", "llamaindex", "langgraph"] | None,
        typer.Option(help="Search with this library, once and without a confidence."),
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
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render

    if graph:
        flags.refuse_flags(context, flags.FOR_GRAPH, "the graph answers without a search")
    if framework:
        flags.refuse_flags(
            context, flags.FOR_FRAMEWORKS, "a framework's pipeline searches once, with the defaults"
        )
    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    earlier = tuple(map(options.check_question, before or ()))
    limits = {"k": k, "collections": tuple(collection or ()), "versions": versions}
    chosen = options.search_options(settings, rerank, use, before=earlier, **limits)
    plan = options.make_plan(settings, chosen, reader, strategies, threshold)
    client = options.make_client(settings) if plan.needs_chat and not graph else None
    retriever = commands.open_retriever(settings, index, as_json, store, address, chosen.collections)
    streams = plan.reader == "chat" and not (as_json or framework or graph)
    if graph:
        facts = commands.ask_graph(retriever.index, question)
    elif framework:
        facts = commands.run_framework(settings, retriever, question, k, framework, client)
    else:
        write = _write if streams else lambda _text: None
        facts = commands.run(settings, retriever, question, plan, client, write)
    if streams:
        print()
    emit(facts, partial(render.show_answer, trace=trace, streamed=streams), as_json=as_json)
    if facts.get("error"):
        sys.exit(3)


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
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render

    question = options.check_question(question)
    settings = settings_from_flags(smoke)
    collections = tuple(collection or ())
    chosen = options.search_options(settings, rerank, use, k=k, collections=collections, versions=versions)
    retriever = commands.open_retriever(settings, index, as_json, store, address, collections)
    facts = commands.search(settings, retriever, question, chosen, route)
    emit(facts, partial(render.show_search, explain=explain), as_json=as_json)


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
    index: flags.IndexFolder = None,
    store: flags.Store = "chroma",
    address: flags.Address = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Add files to the index: Markdown, text, HTML, PDF, DOCX, CSV. Unchanged files are skipped."""
    from step3_rag.cli import index as commands
    from step3_rag.cli import render

    settings = settings_from_flags(smoke)
    facts = commands.run(
        settings, paths, index, collection, chunk_size, chunk_overlap, store, address, rebuild=rebuild
    )
    emit(facts, render.show_ingest, as_json=as_json)
    if facts["failed"]:
        sys.exit(1)


@app.command()
def forget(
    names: Annotated[list[str], typer.Argument(help="Documents, by name or path.", show_default=False)],
    index: flags.IndexFolder = None,
    as_json: Json = False,
) -> None:
    """Remove documents from the index and from all its vector stores; the files themselves stay."""
    from step3_rag.cli import index as commands
    from step3_rag.cli import render

    facts = commands.forget(names, index)
    emit(facts, render.show_ingest, as_json=as_json)


@app.command()
def status(
    names: Annotated[bool, typer.Option("--names", help="Also list the documents.")] = False,
    index: flags.IndexFolder = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Show what is in the index and how much disk space it takes."""
    from step3_rag.cli import index as commands
    from step3_rag.cli import render

    facts = commands.status(settings_from_flags(smoke), index, names)
    emit(facts, render.show_status, as_json=as_json)


@app.command()
def agent(
    question: flags.Question = flags.QUESTION,
    index: flags.IndexFolder = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let the chat model decide whether to look something up: retrieval as a tool."""
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render

    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    client = options.make_client(settings)
    retriever = commands.open_retriever(settings, index, as_json)
    facts = commands.run_agent(settings, retriever, question, client)
    emit(facts, render.show_agent, as_json=as_json)


def _write(text: str) -> None:
    from step3_rag.ingest.text import clean

    print(clean(text), end="", flush=True)
