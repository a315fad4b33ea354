"""Questions that no passage answers: who has somebody in common, and what the corpus is about.

    >>> related(graph, "contracts/valves.md", "supplier")
    [Shared('contracts/pumps.md', 'Brightwell Components', 'supplier', [31], [12])]
    >>> themes(graph, index)[0].title
    'Otter 300, Brightwell Components, Harbour Works'

"Which contracts share a supplier with X?" asks for all of a set: any k is too small or too large. The graph
has the set, two steps along one relation. What the extractor missed is missing, so the answer names its
evidence.

"What are the main themes?" asks for the whole. The themes are the graph's communities. GraphRAG has a model
summarise each (Edge et al. 2024, arXiv:2404.16130), as `summary` does. Without a model, the sentences with
the most central names stand for it, as in LexRank (Erkan and Radev 2004, arXiv:1109.2128).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import inert
from step3_rag.graph.names import split
from step3_rag.graph.net import Graph
from step3_rag.ingest.index import Index

if TYPE_CHECKING:
    import anthropic

IN_COMMON = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)
ROLES = {
    "supplier": r"supplier|vendor|provider|contractor|seller|manufacturer",
    "customer": r"customer|client|buyer|purchaser",
    "signed by": r"signatory|signer|signature",
    "owner": r"owner|account manager|responsible person|person responsible",
}
WHOLE = re.compile(
    r"\b(?:themes?|topics?|overview|main (?:subjects?|points?|areas?)|(?:documents|corpus) about)\b", re.I
)
PROSE = re.compile(r"(?!Signed|For ).{39,239}[.!?]")  # a sentence that can stand alone
SMALLEST = 4  # nodes of a community that makes a theme


@dataclass(frozen=True)
class Shared:
    """A document that has somebody in common with what was asked for."""

    document: str
    whom: str
    relation: str  # of the document to whom
    chunks: list[int]  # that say so
    theirs: list[int]  # that say it of what was asked for


@dataclass(frozen=True)
class Theme:
    """A community: its names and documents, the most central first, and some sentences."""

    title: str
    size: int  # nodes
    names: list[str]
    documents: list[str]
    sentences: list[tuple[str, str]]  # and where they stand


def asks_to_share(graph: Graph, question: str) -> tuple[str, str] | None:
    """The thing and the role that a question asks to share; None if it asks something else.

    >>> asks_to_share(graph, "Which contracts share a supplier with AB-2025-03?")
    ('contracts/valves.md', 'supplier')
    """
    linked = graph.link(question)
    roles = [role for role, words in ROLES.items() if re.search(rf"\b(?:{words})s?\b", question, re.I)]
    if not (linked and roles and IN_COMMON.search(question)):
        return None
    return linked[-1], roles[0]  # "... with X" stands last


def asks_for_themes(graph: Graph, question: str) -> bool:
    """Whether a question is about the whole corpus, and not about a thing in it."""
    return bool(WHOLE.search(question)) and not graph.link(question)


def related(graph: Graph, node: str, role: str = "supplier") -> list[Shared]:
    """The documents that share a supplier (customer, owner, signatory) with a document, a firm or a product.

    A document's subcontractors are its suppliers too. A firm stands for itself if it has that role, otherwise
    for the contracts it has as a customer. A product stands for its parts too.
    """
    relations = (role, "subcontractor") if role == "supplier" else (role,)
    own, whom = {node: list[int]()}, dict[str, list[int]]()
    if any(target == node for _, _, target, _ in graph.edges(node, *relations)):
        whom[node] = []
    else:
        leads = graph.edges(node, "part of", "customer")
        own |= {source: chunks for source, _, target, chunks in leads if target == node}
        for thing, way in own.items():
            for source, _, target, chunks in graph.edges(thing, *relations):
                if source == thing and target != node:
                    whom[target] = sorted({*whom.get(target, []), *way, *chunks})
    found = [
        Shared(source, each, relation, chunks, theirs)
        for each, theirs in whom.items()
        for source, relation, target, chunks in graph.edges(each, *relations)
        if target == each and source not in own and graph.is_document(source)
    ]
    return sorted(found, key=lambda each: (each.whom, each.relation != role, each.document))


def themes(graph: Graph, index: Index, most: int = 8, sentences: int = 2) -> list[Theme]:
    """The largest communities that have both names and documents, each with its telling sentences."""
    found, people = [], {node for node, kind in graph.net.nodes(data="type") if kind == "person"}
    for group in graph.net.graph["communities"]:
        documents = [node for node in group if graph.is_document(node)]
        names = [node for node in group if node not in documents]
        if len(group) >= SMALLEST and names and documents and len(found) < most:
            title = ", ".join(sorted(names[:6], key=lambda node: node in people)[:3])
            # People sign everything; a sentence that only names them says little of what it is about.
            weight = {node: graph.central[node] * (0.3 if node in people else 1.0) for node in names}
            telling = _telling_sentences(graph, index, weight, documents)[:sentences]
            found.append(Theme(title, len(group), names[:8], documents, telling))
    return found


def _telling_sentences(
    graph: Graph, index: Index, weight: dict[str, float], documents: list[str]
) -> list[tuple[str, str]]:
    """Of each document the sentence with most weight in names of the group, and where it stands."""
    ids = [chunk for node in documents for chunk in graph.net.nodes[node]["chunks"]]
    scored = []
    for chunk in index.chunks(ids[:500]):
        for each in split(chunk.text):
            if PROSE.fullmatch(each.text) and not each.is_row:
                score = sum(weight.get(node, 0.0) for node in graph.link(each.text))
                scored.append((score, each.text, chunk))
    best: dict[str, tuple[str, str]] = {}
    for score, text, chunk in sorted(scored, key=lambda each: -each[0]):
        if score > 0:
            best.setdefault(chunk.document, (text, chunk.source))
    return list(best.values())


def summary(client: anthropic.Anthropic, model: str, graph: Graph, theme: Theme) -> str:
    """Two sentences by the chat model from what was found.

    Raises:
        anthropic.AnthropicError: the request failed.
    """
    prompt: Any = prompts.render(prompts.load(PROMPTS, "graph_theme"))
    documents = "; ".join(graph.label(each) for each in theme.documents[:5])
    sentences = (f"Sentence: {text}" for text, _ in theme.sentences)
    notes = "\n".join((f"Names: {', '.join(theme.names)}", f"Documents: {documents}", *sentences))
    turn: Any = {"role": "user", "content": f"<notes>\n{inert(notes)}\n</notes>"}
    message = client.messages.create(
        model=model, max_tokens=150, system=prompt["system"], messages=[*prompt["messages"], turn]
    )
    return "".join(block.text for block in message.content if block.type == "text").strip()
