"""What is a corpus about? Its communities, each with its names, documents and most telling sentences.

    >>> themes(graph, index)[0]["title"]
    'Otter 300, Brightwell Components, Harbour Works'

No passage answers "What are the main themes?", so search can't find one. GraphRAG has a model summarise each
community (Edge et al. 2024, arXiv:2404.16130); so does this where a client is given. Without one the summary
is extractive: the sentences that hold most of the community's weight in names, from different documents, as
LexRank takes the most central ones (Erkan and Radev 2004, arXiv:1109.2128).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import inert
from step3_rag.graph.names import split
from step3_rag.graph.net import Graph
from step3_rag.ingest.index import Chunk, Index

if TYPE_CHECKING:
    import anthropic

SHORTEST, LONGEST = 40, 240  # characters of a sentence that can stand alone
SIGNATURE = re.compile(r"Signed\b|For [A-Z][^.]{2,60}: ")
SMALLEST = 4  # nodes of a community that makes a theme


def themes(
    graph: Graph,
    index: Index,
    most: int = 8,
    sentences: int = 2,
    client: anthropic.Anthropic | None = None,
    model: str = "",
) -> list[dict[str, Any]]:
    """The largest communities: title, names, documents, sentences with their chunk; with a client a summary.

    Raises:
        anthropic.AnthropicError: a request failed.
    """
    found, kinds = [], dict(graph.net.nodes(data="type"))
    for group in graph.communities:
        names = [node for node in group if "title" not in graph.net.nodes[node]]
        papers = [node for node in group if "title" in graph.net.nodes[node]]
        if len(group) < SMALLEST or not names or not papers:
            continue
        theme = {
            "title": ", ".join(sorted(names[:6], key=lambda node: kinds[node] == "person")[:3]),
            "size": len(group),
            "names": names[:8],
            "documents": papers[:5],
            "more_documents": max(0, len(papers) - 5),
            "sentences": telling(graph, index, group, sentences),
        }
        if client:
            theme["summary"] = summary(client, model, graph, theme)
        found.append(theme)
        if len(found) == most:
            break
    return found


def telling(graph: Graph, index: Index, group: list[str], most: int) -> list[dict[str, Any]]:
    """The sentences with most weight in names of the group, each from another document."""
    kinds = dict(graph.net.nodes(data="type"))
    # People sign everything; a sentence that only names them says little of what it is about.
    weight = {
        node: graph.central[node] * (0.3 if kinds[node] == "person" else 1.0)
        for node in group
        if kinds[node] != "document"
    }
    papers = [node for node in group if "title" in graph.net.nodes[node]]
    ids = [chunk for node in papers for chunk in graph.net.nodes[node]["chunks"]]
    scored: list[tuple[float, str, Chunk]] = []
    for chunk in index.chunks(ids[:500]):
        for sentence in split(chunk.text, []):
            stands_alone = not (sentence.is_row or sentence.is_heading or SIGNATURE.match(sentence.text))
            if stands_alone and SHORTEST <= len(sentence.text) <= LONGEST:
                here = [node for node in graph.link(sentence.text) if node in weight]
                score = sum(weight[node] for node in here) if sentence.text[-1] in ".!?" else 0.0
                scored.append((score, sentence.text, chunk))
    scored.sort(key=lambda each: -each[0])
    best: dict[str, dict[str, Any]] = {}
    for score, text, chunk in scored:
        if score > 0 and len(best) < most:
            best.setdefault(chunk.document, {"text": text, "chunk": chunk.id, "source": chunk.source})
    return list(best.values())


def summary(client: anthropic.Anthropic, model: str, graph: Graph, theme: dict[str, Any]) -> str:
    """Two sentences by the chat model from what was found."""
    rendered = prompts.render(prompts.load(PROMPTS, "graph_theme"))
    told = [
        f"Names: {', '.join(theme['names'])}",
        f"Documents: {'; '.join(graph.label(each) for each in theme['documents'])}",
        *(f"Sentence: {each['text']}" for each in theme["sentences"]),
    ]
    turn: Any = {"role": "user", "content": "<notes>\n" + inert("\n".join(told)) + "\n</notes>"}
    message = client.messages.create(
        model=model, max_tokens=150, system=rendered["system"], messages=[*rendered["messages"], turn]
    )
    return "".join(block.text for block in message.content if block.type == "text").strip()
