"""`graph build` and `ask --graph`: the facts that are shown.

Three kinds of questions go three ways:

    "Which contracts share a supplier with X?"   edges of the graph: an exact set
    "What are the main themes?"                  communities of the graph
    anything else                                the ordinary pipeline, with a search by way of the names
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from shared import hardware
from shared.config import Settings
from shared.progress import count_bar, spinner
from step3_rag.cli.flags import OPENING, refuse_flags
from step3_rag.graph import answers, rules
from step3_rag.graph.net import Graph, build, load_or_build
from step3_rag.graph.search import GraphRetriever
from step3_rag.ingest.index import Index
from step3_rag.ingest.piece import clean
from step3_rag.options import client_of
from step3_rag.pipeline import Plan
from step3_rag.service import Service

# Flags of `ask` that have a meaning where nothing is searched; --reader has one for themes.
WITHOUT_SEARCH = {"graph", *OPENING}

if TYPE_CHECKING:
    from rich.console import Console


def run_build(index: Index, settings: Settings, *, with_model: bool) -> dict[str, Any]:
    """Extract, connect, find communities, save beside the index.

    Raises:
        UserError: an empty index, or a model that gives nothing.
    """
    from step3_rag.graph import model

    began = time.perf_counter()
    with count_bar("looking for names and relations") as progress:
        if with_model:
            client, name = client_of(settings), settings.model
            graph = build(index, lambda chunks: model.extract(client, name, chunks, progress), settings.seed)
        else:
            graph = build(index, rules.extract, settings.seed)
    seconds, net = time.perf_counter() - began, graph.net
    file, documents = graph.save(index.folder), sum(map(graph.is_document, net))
    names, edges, groups = len(net) - documents, net.number_of_edges(), net.graph["communities"]
    return {
        "command": "step3_rag graph",
        "headline": f"{documents} documents: {names} names, {edges} edges, {len(groups)} communities",
        "extractor": net.graph["extractor"],
        "chunks": net.graph["read"],
        "failed_chunks": net.graph["failed"],
        "types": dict(Counter(kind for _, kind in net.nodes(data="type")).most_common()),
        "relations": dict(Counter(relation for *_, relation in net.edges(keys=True)).most_common()),
        "communities": [", ".join(map(graph.label, group[:3])) for group in groups[:8]],
        "seconds": round(seconds, 2),
        "file": str(file),
        "machine": hardware.describe(),
    }


def show_build(facts: dict[str, Any], console: Console) -> None:
    """What the graph holds."""
    lines = [f"{facts['headline']}; extracted by {facts['extractor']} in {facts['seconds']:.1f} s"]
    for name in ("types", "relations"):
        lines.append(f"  {name}: " + ", ".join(f"{n} {kind}" for kind, n in facts[name].items()))
    if facts["failed_chunks"]:
        lines.append(f"  {facts['failed_chunks']} of {facts['chunks']} passages gave nothing usable")
    lines += ["  the largest communities:", *(f"    {names}" for names in facts["communities"])]
    for line in (*lines, f"The graph: {facts['file']}"):
        console.print(clean(line), soft_wrap=True)


def ask(service: Service, question: str, plan: Plan, context: typer.Context) -> dict[str, Any] | None:
    """The answer from the graph alone to a question about a set or about the whole; else None.

    After None, the service's retriever searches by way of the graph.

    Raises:
        UserError: a flag was given that has no meaning without a search, or as `load_or_build`.
    """
    with spinner("looking for names and relations"):
        graph = load_or_build(service.index, service.settings.seed)
    shares = answers.asks_to_share(graph, question)
    if not shares and not answers.asks_for_themes(graph, question):
        service.retriever = GraphRetriever(service.retriever, graph)
        return None
    allowed = WITHOUT_SEARCH if shares else WITHOUT_SEARCH | {"reader"}
    refuse_flags(context, allowed, "the graph answers this question without a search")
    facts = _shared(graph, service.index, *shares) if shares else _themes(graph, service, plan)
    extractor = graph.net.graph["extractor"]
    return {"command": "step3_rag ask", "question": question, "extractor": extractor, **facts}


def _shared(graph: Graph, index: Index, node: str, role: str) -> dict[str, Any]:
    def place(chunks: list[int], document: str) -> str:
        """Where it is said, in the document itself if there."""
        found = sorted(index.chunks(chunks), key=lambda chunk: chunk.document != document)
        return found[0].source if found else ""

    found, of = answers.related(graph, node, role), graph.label(node)
    rows = [
        asdict(each)
        | {"title": graph.label(each.document), "source": place(each.chunks, each.document)}
        | {"of_source": place(each.theirs, node)}
        for each in found
    ]
    documents = list(dict.fromkeys(each.document for each in found))
    headline = f"{len(documents)} documents share a {role} with {of}"
    return {"headline": headline, "of": of, "role": role, "documents": documents, "shared": rows}


def _themes(graph: Graph, service: Service, plan: Plan) -> dict[str, Any]:
    """With `--reader chat` the chat model summarises each theme."""
    found, settings = answers.themes(graph, service.index), service.settings
    rows: list[dict[str, Any]] = [asdict(theme) for theme in found]
    if plan.reader == "chat":
        from shared.chat.errors import one_line_errors

        client = client_of(settings)
        with one_line_errors(settings.model, settings), count_bar("summaries", len(found)) as progress:
            for done, theme in enumerate(found):
                progress(done, len(found))
                rows[done]["summary"] = answers.summary(client, settings.model, graph, theme)
    headline = f"{len(found)} themes: {'; '.join(theme.title for theme in found[:3])}"
    return {"headline": headline, "reader": plan.reader, "themes": rows}


def show_ask(facts: dict[str, Any], console: Console) -> None:
    """The answer with its sources."""

    def line(text: str, style: str = "") -> None:
        console.print(clean(text), style=style, soft_wrap=True)

    if "shared" in facts and not facts["shared"]:
        line(f"The graph knows no document that shares a {facts['role']} with {facts['of']}.")
    if "themes" in facts and not facts["themes"]:
        line("The graph has no themes: no community has names, documents and at least four nodes.")
    whom = None
    for each in facts.get("shared", ()):
        if each["whom"] != whom:
            whom, source = each["whom"], f" [{each['of_source']}]" if each["of_source"] else ""
            line(f"{whom}, {facts['role']} of {facts['of']}{source}, is also in:", "bold")
        relation = "" if each["relation"] == facts["role"] else f" as {each['relation']}"
        line(f"  {each['title']}{relation} [{each['source']}]")
    for number, theme in enumerate(facts.get("themes", ()), 1):
        line(f"{number}. {theme['title']} ({theme['size']} nodes)", "bold")
        if "summary" in theme:
            line(f"   {theme['summary']}")
        more = f", and {len(theme['documents']) - 5} more" if len(theme["documents"]) > 5 else ""
        line(f"   {', '.join(theme['documents'][:5])}{more}")
        for text, source in theme["sentences"]:
            line(f"   - {text} [{source}]")


def names_of(service: Service, question: str) -> dict[str, list[str]]:
    """By which names the graph's retriever found passages."""
    retriever: Any = service.retriever  # a GraphRetriever
    graph: Graph = retriever.graph
    linked = graph.link(question)
    edges = [edge for node in linked for edge in graph.edges(node) if edge[1] != "refers to"]
    return {
        "names in the question": [graph.label(node) for node in linked],
        "stated of them": [f"{graph.label(a)} – {said} → {graph.label(b)}" for a, said, b, _ in edges[:8]],
        "names that led on": [graph.label(node) for node in retriever.bridges.get(question, ())],
    }
