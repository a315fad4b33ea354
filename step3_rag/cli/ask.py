"""The commands `ask`, `search` and `agent`. They import what takes a while themselves: --help is fast."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shared.cli import Json, Model, Smoke, emit, new_app, settings_from_flags
from shared.errors import UserError
from shared.launch import ExitCode
from step3_rag.cli import flags

if TYPE_CHECKING:
    import anthropic

    from shared.config import Settings
    from step3_rag.answer.context import Source
    from step3_rag.answer.read import Answer
    from step3_rag.pipeline import Plan
    from step3_rag.reflect.reflect import Reflection
    from step3_rag.retrieve.search import Retriever

SAMPLE = "(from the sample documents; `python -m step3_rag ingest FOLDER` makes an index of yours)"

app = new_app(
    "Step 3: retrieval. Answers from documents, with sources, measured stage by stage.", default="ask"
)


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
    from step3_rag import options
    from step3_rag.cli import render

    if graph:
        flags.refuse_flags(context, flags.FOR_GRAPH, "the graph answers without a search")
    if framework:
        flags.refuse_flags(context, flags.FOR_FRAMEWORKS, "a framework's pipeline has the defaults")
    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    earlier = tuple(map(options.check_question, before or ()))
    limits = {"k": k, "collections": tuple(collection or ()), "versions": versions}
    chosen = options.search_options(settings, rerank, use, before=earlier, **limits)
    plan = options.make_plan(settings, chosen, reader, strategies, threshold)
    client = options.make_client(settings) if plan.needs_chat and not graph else None
    retriever = _open_retriever(settings, index, as_json, store, address, chosen.collections)
    streams = plan.reader == "chat" and not (as_json or framework or graph)
    began = time.perf_counter()
    if graph:
        from step3_rag.graph.questions import answer_from_graph

        answer, sources = answer_from_graph(retriever.index, question)
        facts = _facts(question, answer, sources, {"answer": time.perf_counter() - began}) | {"searches": 0}
    elif framework:
        from shared.chat.errors import one_line_errors
        from step3_rag.frameworks import parts

        with one_line_errors(settings.model, settings):
            answer, sources = parts.ask(framework, retriever, question, client, settings.model, k)
        facts = _facts(question, answer, sources, {"answer": time.perf_counter() - began})
        facts |= {"framework": framework, "model": settings.model if client else None}
    else:
        facts = _from_plan(plan, settings, retriever, question, client, streams)
    if streams:
        print()
    emit(facts, partial(render.show_answer, trace=trace, streamed=streams), as_json=as_json)
    if facts.get("error"):
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
    from step3_rag import options
    from step3_rag.cli import render
    from step3_rag.reflect import route as routing
    from step3_rag.reflect.confidence import confidence

    if route and collection:
        raise UserError("--route chooses the collections itself: leave out --collection")
    question = options.check_question(question)
    settings = settings_from_flags(smoke)
    limits = {"k": k, "collections": tuple(collection or ()), "versions": versions}
    chosen = options.search_options(settings, rerank, use, **limits)
    retriever = _open_retriever(settings, index, as_json, store, address, chosen.collections)
    if route:
        router = routing.Router.of(retriever, seed=settings.seed)
        encoded = retriever.embedder.encode([question])[0]
        found = routing.search(retriever, router, question, chosen, encoded)
    else:
        found = retriever.search(question, chosen)
    results = [
        {
            "chunk": each.id,
            "document": each.document,
            "place": each.source,
            "superseded": each.superseded,
            "score": list(found.places(each.id).values())[-1]["score"],
            "text": each.text,
            "stages": found.places(each.id),
        }
        for each in found.best
    ]
    facts = {
        "command": "step3_rag search",
        "headline": f"{question}: {found.best[0].source if found.best else 'nothing found'}",
        "question": question,
        "confidence": round(confidence(found, retriever), 3),
        "routed_to": found.options.collections if route else None,
        "results": results,
        "milliseconds": {name: round(1000 * value, 1) for name, value in found.seconds.items()},
    }
    emit(facts, partial(render.show_search, explain=explain), as_json=as_json)


@app.command()
def agent(
    question: flags.Question = flags.QUESTION,
    index: flags.IndexFolder = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Let the chat model decide whether to look something up: retrieval as a tool."""
    from shared.chat.errors import one_line_errors
    from step3_rag import options
    from step3_rag.answer import agent as tool
    from step3_rag.cli import render

    question = options.check_question(question)
    settings = settings_from_flags(smoke, model=model)
    client = options.make_client(settings)
    retriever = _open_retriever(settings, index, as_json)
    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        answer, sources, calls = tool.run(client, settings.model, retriever, question)
    facts = {
        **_facts(question, answer, sources, {"answer": time.perf_counter() - began}),
        "command": "step3_rag agent",
        "model": settings.model,
        "calls": [each._asdict() for each in calls],
        "searches": len(calls),
    }
    emit(facts, render.show_agent, as_json=as_json)


def _open_retriever(
    settings: "Settings",
    folder: Path | None,
    as_json: bool,
    store: str = "chroma",
    address: str | None = None,
    collections: Sequence[str] = (),
) -> "Retriever":
    """A retriever on the index, which has these collections; a first line says so if it is the sample's."""
    from step3_rag import opening

    retriever = opening.open_retriever(settings, folder, store, address)
    known = sorted(set(retriever.snapshot.collections)) if collections else []
    for name in collections:
        if name not in known:
            raise UserError(f"--collection {name} is not in the index: it has {', '.join(known) or 'none'}")
    if retriever.index.folder == opening.sample_home(settings) and not as_json:
        print(SAMPLE)
    return retriever


def _from_plan(
    plan: "Plan",
    settings: "Settings",
    retriever: "Retriever",
    question: str,
    client: "anthropic.Anthropic | None",
    streams: bool,
) -> dict[str, Any]:
    """Answer a question; the facts of the answer or, if the chat model failed, of what was found."""
    from shared.chat.errors import explain
    from step3_rag.answer.read import Answer
    from step3_rag.ingest.text import clean
    from step3_rag.pipeline import ChatError
    from step3_rag.pipeline import ask as ask_pipeline

    def write(text: str) -> None:
        if streams:
            print(clean(text), end="", flush=True)

    about = {"reader": plan.reader, "model": settings.model if client else None, "threshold": plan.threshold}
    try:
        outcome = ask_pipeline(retriever, question, plan, client, settings.model, write)
    except ChatError as error:
        why = f"{settings.model}: {explain(error.cause, settings)}"
        found = _facts(question, Answer(""), error.sources, {}, error.reflection) | about
        return found | {"headline": f"no answer: {why}"[:160], "answer": None, "error": why}
    return _facts(question, outcome.answer, outcome.sources, outcome.seconds, outcome.reflection) | about


def _facts(
    question: str,
    answer: "Answer",
    sources: "Sequence[Source]",
    seconds: Mapping[str, float],
    reflection: "Reflection | None" = None,
) -> dict[str, Any]:
    """The facts of an answer and of all searches; without a reflection, of one without a confidence."""
    from step3_rag.answer.context import excerpt

    rows = []
    for each in sources:
        quoted = next((one.sentence for one in answer.cited if each.number in one.numbers), "")
        place, text = excerpt(each, quoted)  # begins with the first sentence quoted from the source
        rows.append({**asdict(each), "place": place, "excerpt": text, "suspicious": each.is_suspicious})
    best = reflection.best if reflection else None
    attempts = [
        {
            "strategy": each.strategy,
            "query": each.query,
            "confidence": round(each.confidence, 3),
            "kept": each is best,
        }
        for each in (reflection.attempts if reflection else [])
    ]
    return {
        "command": "step3_rag ask",
        "headline": " ".join(answer.text.split())[:160],
        "question": question,
        "answer": answer.text,
        "abstained": answer.is_unknown,
        "replaced": answer.replaced,
        "citations": [{**asdict(each), "supported": each.is_supported} for each in answer.cited],
        "sources": rows,
        "stop_reason": answer.stop_reason,
        "usage": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
        "confidence": round(best.confidence, 3) if best else None,
        "searches": len(attempts) or 1,
        "attempts": attempts,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
