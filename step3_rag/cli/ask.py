"""The commands `ask`, `search` and `agent`: the results that they print, as text or JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError
from shared.progress import spinner
from step3_rag import service
from step3_rag.answer.context import Source, excerpt
from step3_rag.answer.read import Answer
from step3_rag.cli.render import SAMPLE
from step3_rag.ingest.index import Index
from step3_rag.options import check_collections
from step3_rag.pipeline import ChatError, Plan, ask
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.reflect import Reflection
from step3_rag.retrieve.search import Options, Retriever

if TYPE_CHECKING:
    import anthropic


def open_retriever(
    settings: Settings,
    folder: Path | None,
    as_json: bool,
    store: str = "chroma",
    address: str | None = None,
    collections: Sequence[str] = (),
) -> Retriever:
    """A retriever on the index, which has these collections; a first line says so if it is the sample's."""
    retriever = service.open_retriever(settings, folder, store, address)
    check_collections(retriever, collections)
    if retriever.index.folder == service.sample_home(settings) and not as_json:
        print(SAMPLE)
    return retriever


def run(
    settings: Settings,
    retriever: Retriever,
    question: str,
    plan: Plan,
    client: anthropic.Anthropic | None,
    write: Callable[[str], None],
) -> dict[str, Any]:
    """Answer a question; the facts of the answer or, if the chat model failed, of what was found."""
    about = {"reader": plan.reader, "model": settings.model if client else None, "threshold": plan.threshold}
    try:
        outcome = ask(retriever, question, plan, client, settings.model, write)
    except ChatError as error:
        from shared.chat.errors import explain

        why = f"{settings.model}: {explain(error.cause, settings)}"
        found = _answer(question, Answer(""), error.sources, {}) | _reflection(error.reflection) | about
        return found | {"headline": f"no answer: {why}"[:160], "answer": None, "error": why}
    answer = _answer(question, outcome.answer, outcome.sources, outcome.seconds)
    return answer | _reflection(outcome.reflection) | about


def run_framework(
    settings: Settings,
    retriever: Retriever,
    question: str,
    k: int,
    name: str,
    client: anthropic.Anthropic | None,
) -> dict[str, Any]:
    """Answer a question by LangChain, LlamaIndex or LangGraph; the answer has no confidence."""
    from shared.chat.errors import one_line_errors
    from step3_rag.frameworks.parts import ask as ask_framework

    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        sources, answer = ask_framework(name, retriever, question, client, settings.model, k)
    facts = _answer(question, answer, sources, {"answer": time.perf_counter() - began})
    return facts | {"framework": name, "model": settings.model if client else None}


def _answer(
    question: str, answer: Answer, sources: Sequence[Source], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """The facts of an answer, from one search without a confidence."""
    rows = []
    for each in sources:
        quoted = next((one.sentence for one in answer.cited if each.number in one.numbers), "")
        place, text = excerpt(each, quoted)  # begins with the first sentence quoted from the source
        rows.append({**asdict(each), "place": place, "excerpt": text, "suspicious": each.is_suspicious})
    return {
        "command": "step3_rag ask",
        "headline": " ".join(answer.text.split())[:160],
        "question": question,
        "answer": answer.text,
        "abstained": answer.is_unknown,
        "missing": answer.missing,
        "citations": [{**asdict(each), "supported": each.is_supported} for each in answer.cited],
        "sources": rows,
        "stop_reason": answer.stop_reason,
        "usage": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
        "confidence": None,
        "searches": 1,
        "attempts": [],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _reflection(reflection: Reflection) -> dict[str, Any]:
    """The facts of all searches, and which was kept."""
    return {
        "confidence": round(reflection.best.confidence, 3),
        "searches": len(reflection.attempts),
        "attempts": [
            {
                "strategy": each.strategy,
                "query": each.query,
                "confidence": round(each.confidence, 3),
                "kept": each is reflection.best,
            }
            for each in reflection.attempts
        ],
    }


def search(
    settings: Settings, retriever: Retriever, question: str, options: Options, route: bool
) -> dict[str, Any]:
    """Search; the facts of each result, with its rank and score at every stage.

    Raises:
        UserError: collections are given although the router is to choose them.
    """
    if route:
        if options.collections:
            raise UserError("--route chooses the collections itself: leave out --collection")
        from step3_rag.reflect import route as routing

        router = routing.Router.of(retriever, seed=settings.seed)
        encoded = retriever.embedder.encode([question])[0]
        found = routing.search(retriever, router, question, options, encoded)
    else:
        found = retriever.search(question, options)
    return {
        "command": "step3_rag search",
        "headline": f"{question}: {found.best[0].source if found.best else 'nothing found'}",
        "question": question,
        "confidence": round(confidence(found, retriever, ask_evaluator=False), 3),
        "routed_to": found.options.collections if route else None,
        "results": [
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
        ],
        "milliseconds": {name: round(1000 * value, 1) for name, value in found.seconds.items()},
    }


def run_agent(
    settings: Settings, retriever: Retriever, question: str, client: anthropic.Anthropic
) -> dict[str, Any]:
    """Ask the agent; the facts of its answer, with its calls.

    Raises:
        UserError: the API fails.
    """
    from shared.chat.errors import one_line_errors
    from step3_rag.answer.agent import run as run_loop

    began = time.perf_counter()
    with one_line_errors(settings.model, settings):
        answer, sources, calls = run_loop(client, settings.model, retriever, question)
    return {
        **_answer(question, answer, sources, {"answer": time.perf_counter() - began}),
        "command": "step3_rag agent",
        "model": settings.model,
        "calls": [each._asdict() for each in calls],
        "searches": len(calls),
    }


def ask_graph(index: Index, question: str) -> dict[str, Any]:
    """All documents that share a supplier or customer with the one that the question names.

    Raises:
        UserError: it is another kind of question, or the index is empty.
    """
    from step3_rag.graph.graph import asks_to_share, build, shared

    began = time.perf_counter()
    with spinner("looking for names and relations"):
        graph = build(index)
    asked = asks_to_share(graph, question)
    if not asked:
        raise UserError(
            "--graph answers which documents share a supplier or a customer with one that the question "
            "names: leave it out for other questions"
        )
    answer, sources = shared(graph, *asked)
    facts = _answer(question, answer, sources, {"answer": time.perf_counter() - began})
    return facts | {"searches": 0}
