"""The commands. Heavy libraries are imported inside them, so that --help answers at once."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from step3_rag.cli import evaluate as measuring
from step3_rag.cli.flags import (
    FOR_FRAMEWORKS,
    FOR_GRAPH,
    QUESTION,
    Address,
    Collection,
    IndexFolder,
    Question,
    Reader,
    Rerank,
    Store,
    Use,
    Versions,
    refuse_flags,
)

if TYPE_CHECKING:
    from shared.config import Settings
    from step3_rag.ingest.index import Index

app = new_app(
    "Step 3: retrieval. Answers from documents, with sources, measured stage by stage.", default="ask"
)
app.add_typer(measuring.app)


@app.command()
def ask(
    context: typer.Context,
    question: Question = QUESTION,
    before: Annotated[
        list[str] | None,
        typer.Option(
            "--before", help="Earlier question of the conversation; repeat it for several, oldest first."
        ),
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Number of passages to answer from.")] = 5,
    collection: Collection = None,
    reader: Reader = "auto",
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
    versions: Versions = "current-first",
    use: Use = "hybrid",
    rerank: Rerank = "maxsim",
    index: IndexFolder = None,
    store: Store = "chroma",
    address: Address = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, with sources, or say "I don't know"."""
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render
    from step3_rag.service import open_retriever

    if graph:
        refuse_flags(context, FOR_GRAPH, "the graph answers without a search")
        _ask_graph(question, index, smoke, as_json)
        return
    if framework:
        refuse_flags(context, FOR_FRAMEWORKS, "a framework's pipeline searches once, with the defaults")
    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    chosen = options.search_options(
        settings,
        rerank,
        use,
        k=k,
        collections=tuple(collection or ()),
        versions=versions,
        before=tuple(map(options.check_question, before or ())),
    )
    plan = options.make_plan(settings, chosen, reader, strategies, threshold)
    retriever = open_retriever(settings, index, store, address)
    options.check_collections(retriever, chosen.collections)
    streams = plan.reader == "chat" and not as_json and not framework
    client = options.make_client(settings) if plan.needs_chat else None
    _name_sample(settings, retriever.index, as_json)
    if framework:
        facts = commands.run_framework(settings, retriever, question, plan, framework, client)
    else:
        facts = commands.run(
            settings, retriever, question, plan, client, _write if streams else lambda _text: None
        )
    if streams:
        print()
    emit(facts, partial(render.show_answer, trace=trace, streamed=streams), as_json=as_json)
    if facts.get("error"):
        sys.exit(3)


def _ask_graph(question: str, index: Path | None, smoke: bool, as_json: bool) -> None:
    """Answer a question from the graph of names and relations."""
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render
    from step3_rag.options import check_question
    from step3_rag.service import open_index

    question = check_question(question)
    settings = settings_from_flags(smoke)
    opened = open_index(settings, index)
    facts = commands.ask_graph(opened, question)
    _name_sample(settings, opened, as_json)
    emit(facts, render.show_answer, as_json=as_json)


@app.command()
def search(
    question: Question = QUESTION,
    k: Annotated[int, typer.Option(min=1, help="Number of passages to show.")] = 5,
    collection: Collection = None,
    route: Annotated[bool, typer.Option("--route", help="Let the router choose the collections.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show rank and score at every stage.")] = False,
    versions: Versions = "current-first",
    use: Use = "hybrid",
    rerank: Rerank = "maxsim",
    index: IndexFolder = None,
    store: Store = "chroma",
    address: Address = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Find passages without writing an answer."""
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render
    from step3_rag.service import open_retriever

    question = options.check_question(question)
    settings = settings_from_flags(smoke)
    collections = tuple(collection or ())
    chosen = options.search_options(settings, rerank, use, k=k, collections=collections, versions=versions)
    retriever = open_retriever(settings, index, store, address)
    options.check_collections(retriever, collections)
    facts = commands.search(settings, retriever, question, chosen, route)
    _name_sample(settings, retriever.index, as_json)
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
    index: IndexFolder = None,
    store: Store = "chroma",
    address: Address = None,
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
    index: IndexFolder = None,
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
    index: IndexFolder = None,
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
    question: Question = QUESTION,
    index: IndexFolder = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let the chat model decide whether to look something up: retrieval as a tool."""
    from step3_rag import options
    from step3_rag.cli import ask as commands
    from step3_rag.cli import render
    from step3_rag.service import open_retriever

    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    retriever = open_retriever(settings, index)
    facts = commands.run_agent(settings, retriever, question)
    _name_sample(settings, retriever.index, as_json)
    emit(facts, render.show_agent, as_json=as_json)


def _name_sample(settings: Settings, index: Index, as_json: bool) -> None:
    """Print a first line that says so if the answer comes from the sample."""
    from step3_rag.cli import render
    from step3_rag.service import sample_home

    if index.folder == sample_home(settings) and not as_json:
        print(render.SAMPLE)


def _write(text: str) -> None:
    from step3_rag.ingest.piece import clean

    print(clean(text), end="", flush=True)
