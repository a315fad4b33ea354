"""The graph's commands: build it, ask it, and see whether it helps.

    python -m step3_rag graph build --out graph.png
    python -m step3_rag ask --graph "Which contracts share a supplier with FD-2025-08?"
    python -m step3_rag graph compare --split test

Three kinds of questions go three ways (`ask`):

    "Which contracts share a supplier with X?"   edges of the graph: an exact set (shared.py)
    "What are the main themes?"                  communities of the graph (themes.py)
    anything else                                passages, by way of the names in them (search.py)
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError, reason
from shared.progress import count_bar, spinner
from shared.report.record import picture_path
from step3_rag.evaluate.dataset import Question
from step3_rag.graph import compare as graph_compare
from step3_rag.graph import net as graph_net
from step3_rag.graph import rules as graph_rules
from step3_rag.graph.build import all_chunks, build, describe
from step3_rag.graph.net import Graph
from step3_rag.graph.screen import show_ask, show_build, show_compare
from step3_rag.ingest.index import Index
from step3_rag.retrieve.search import Options, Retriever

__all__ = ["graph_of", "run_ask", "run_build", "run_compare", "show_ask", "show_build", "show_compare"]

GLOBAL = re.compile(
    r"\b(?:themes?|topics?|overview|main (?:subjects?|points?|areas?)|(?:documents|corpus) about)\b", re.I
)


# --- build --------------------------------------------------------------------------------------------


def run_build(
    index: Index,
    settings: Settings,
    *,
    with_model: bool = False,
    out: Path | None = None,
    picture: bool = True,
) -> dict[str, Any]:
    """Extract, bind together, find communities, save beside the index, draw.

    Raises:
        UserError: an empty index, a model that gives nothing, a place that can't be written.
    """
    path = picture_path("step3_rag", "graph", out) if picture or out else None
    began = time.perf_counter()
    if with_model:
        graph = _with_model(index, settings)
    else:
        with spinner("looking for names and relations"):
            graph = build(index, graph_rules.extract, settings.seed)
    seconds = time.perf_counter() - began
    home = graph.save(index.folder)
    documents = len([node for node, facts in graph.net.nodes(data=True) if "title" in facts])
    what = describe(graph)
    if path:
        from step3_rag.graph.draw import draw

        draw(graph, path, f"{documents} documents as a graph, extracted by {_by(graph)}", settings.seed)
    return {
        "command": "step3_rag graph",
        "headline": f"{documents} documents: {what['nodes'] - documents} names, {what['edges']} edges, "
        f"{what['communities']} communities",
        "documents": documents,
        "chunks": graph.read,
        "failed_chunks": graph.failed,
        "extractor": graph.extractor,
        **what,
        "themes": [", ".join(map(graph.label, group[:3])) for group in graph.communities[:8]],
        "seconds": round(seconds, 2),
        "file": str(home),
        "machine": hardware.describe(),
        **({"picture": str(path)} if path else {}),
    }


def _with_model(index: Index, settings: Settings) -> Graph:
    from shared.chat.client import chat_client
    from step3_rag.graph import model as graph_model

    client = chat_client(settings=settings)
    total = len(all_chunks(index))
    with count_bar(f"{settings.model} reads {total} passages", total) as progress:
        return build(
            index,
            lambda chunks: graph_model.extract(client, settings.model, chunks, progress),
            settings.seed,
        )


def _by(graph: Graph) -> str:
    return "rules" if graph.extractor == "rules" else str(graph.extractor)


# --- ask ----------------------------------------------------------------------------------------------


def run_ask(
    index: Index,
    retriever: Retriever,
    settings: Settings,
    question: str,
    *,
    k: int = 5,
    with_model: bool = False,
) -> dict[str, Any]:
    """Answer from the graph; which of the three ways is decided by the question.

    Builds the graph by rules where there is none yet. `with_model` has themes summarised by the chat model.

    Raises:
        UserError: the graph is of an older state of the documents, or there are none.
    """
    from step3_rag.graph import shared as graph_shared

    graph = graph_of(index, settings)
    facts: dict[str, Any] = {
        "command": "step3_rag graph-ask",
        "question": question,
        "extractor": graph.extractor,
    }
    asked = graph_shared.asked_for(graph, question)
    if asked:
        return facts | _shared(graph, index, *asked)
    if GLOBAL.search(question) and not graph.link(question):
        return facts | _themes(graph, index, settings, with_model)
    return facts | _passages(graph, index, retriever, question, k)


def graph_of(index: Index, settings: Settings) -> Graph:
    """The graph that lies beside the index; by rules it is built anew where there is none or an old one.

    Raises:
        UserError: one that a model made is of an older state of the documents, or there are no documents.
    """
    if (index.folder / graph_net.FILE).exists():
        try:
            return graph_net.load(index)
        except graph_net.StaleError as stale:
            if stale.extractor != "rules":
                raise
    with spinner("looking for names and relations"):
        graph = build(index, graph_rules.extract, settings.seed)
    with contextlib.suppress(UserError):  # a folder that can't be written to: it takes a second next time too
        graph.save(index.folder)
    return graph


def _source(index: Index, chunks: Sequence[int]) -> str:
    found = index.chunks(list(chunks)[:1])
    return found[0].source if found else ""


def _shared(graph: Graph, index: Index, node: str, role: str) -> dict[str, Any]:
    from step3_rag.graph import shared as graph_shared

    found = graph_shared.related(graph, node, role)
    documents = list(dict.fromkeys(each.document for each in found))
    return {
        "way": "edges",
        "headline": f"{len(documents)} documents share a {role} with {graph.label(node)}",
        "of": graph.label(node),
        "role": role,
        "documents": documents,
        "shared": [
            {
                "document": each.document,
                "title": graph.label(each.document),
                "whom": each.whom,
                "relation": each.relation,
                "source": _source(index, each.chunks),
                "chunks": each.chunks,
                "of_source": _source(index, each.theirs),
            }
            for each in found
        ],
    }


def _themes(graph: Graph, index: Index, settings: Settings, with_model: bool) -> dict[str, Any]:
    from step3_rag.graph import themes as graph_themes

    client = None
    if with_model:
        from shared.chat.client import chat_client

        client = chat_client(settings=settings)
    try:
        found = graph_themes.themes(graph, index, client=client, model=settings.model)
    except Exception as error:
        import anthropic

        if isinstance(error, anthropic.AnthropicError):
            raise UserError(f"{settings.model} could not summarise the themes: {reason(error)}") from None
        raise
    titles = "; ".join(theme["title"] for theme in found[:3])
    return {"way": "communities", "headline": f"{len(found)} themes: {titles}", "themes": found}


def _passages(graph: Graph, index: Index, retriever: Retriever, question: str, k: int) -> dict[str, Any]:
    from step3_rag.graph.search import retrieve

    found = retrieve(graph, retriever, question, Options(k=k))
    passages = index.chunks(found.order[:k])
    stated = [
        {"source": graph.label(source), "relation": relation, "target": graph.label(target), "chunks": chunks}
        for node in found.linked
        for source, relation, target, chunks in graph.edges(node)
        if relation != "refers to"
    ]
    return {
        "way": "passages",
        "headline": f"{len(passages)} passages by way of "
        + (", ".join(map(graph.label, (*found.linked, *found.bridges)[:5])) or "search alone"),
        "linked": [graph.label(node) for node in found.linked],
        "bridges": [graph.label(node) for node in found.bridges],
        "stated": stated[:12],
        "passages": [
            {
                "chunk": each.id,
                "source": each.source,
                "document": each.document,
                "text": each.text,
                "rank_in_plain_search": found.plain.order.index(each.id) + 1
                if each.id in found.plain.order
                else None,
            }
            for each in passages
        ],
    }


# --- compare ------------------------------------------------------------------------------------------


def run_compare(
    index: Index, retriever: Retriever, settings: Settings, questions: Sequence[Question], data: str
) -> dict[str, Any]:
    """Plain search and search with the graph on questions with judgements.

    Raises:
        UserError: the graph is of an older state of the documents.
    """
    graph = graph_of(index, settings)
    with count_bar(f"{len(questions)} questions", len(questions)) as progress:
        found = graph_compare.compare(retriever, graph, questions, progress=progress)
    return {
        "command": "step3_rag graph-compare",
        "headline": graph_compare.verdict(found),
        "data": data,
        "extractor": graph.extractor,
        "embedder": settings.embedder,
        **found,
        "machine": hardware.describe(),
    }
