"""Who has whom in common: an exact answer from the edges, with the passages that say so.

    >>> related(graph, "contracts/valves.md", "supplier")
    [Shared('contracts/pumps.md', 'Brightwell Components', 'supplier', [31], [12])]

"Which contracts share a supplier with X?" asks for all of a set. No top k of passages can answer that: k is
too small or too large, and nothing says when all were seen. The graph has the set: two steps along one
relation. What the extractor missed is missing, so the answer names its evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from step3_rag.graph.net import Graph

ROLES = {
    "supplier": r"supplier|vendor|provider|contractor|seller|manufacturer",
    "customer": r"customer|client|buyer|purchaser",
    "signed by": r"signatory|signer|signature",
    "owner": r"owner|account manager|responsible person|person responsible",
}
ASKS = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)


@dataclass(frozen=True)
class Shared:
    """A document that has somebody in common with what was asked for."""

    document: str
    whom: str
    relation: str  # of the document to whom
    chunks: list[int]  # that say so
    theirs: list[int]  # that say it of what was asked for


def asked_for(graph: Graph, question: str) -> tuple[str, str] | None:
    """The thing and the role that a question asks to share; None where it asks something else.

    >>> asked_for(graph, "Which contracts share a supplier with AB-2025-03?")
    ('contracts/valves.md', 'supplier')
    """
    linked = graph.link(question)
    if not ASKS.search(question) or not linked:
        return None
    for role, words in ROLES.items():
        if re.search(rf"\b(?:{words})s?\b", question, re.I):
            return linked[-1], role  # "... with X" stands last
    return None


def related(graph: Graph, node: str, role: str = "supplier") -> list[Shared]:
    """The documents that share a supplier (customer, owner, signatory) with a document, a firm or a product.

    A document's subcontractors are its suppliers too. X may be a document; a firm, which stands for itself
    if it is such a supplier and otherwise for the contracts it has; or a product, with its parts.
    """
    if node not in graph.net:
        return []
    relations = (role, "subcontractor") if role == "supplier" else (role,)
    own, whom = {node}, dict[str, list[int]]()
    if any(target == node for _, _, target, _ in graph.edges(node, *relations)):
        whom[node] = []
    else:
        for thing, way in _stands_for(graph, node).items():
            own.add(thing)
            for source, _, target, chunks in graph.edges(thing, *relations):
                if source == thing and target != node:
                    whom[target] = sorted({*whom.get(target, []), *way, *chunks})
    found = [
        Shared(source, each, relation, chunks, theirs)
        for each, theirs in whom.items()
        for source, relation, target, chunks in graph.edges(each, *relations)
        if target == each and source not in own and "title" in graph.net.nodes[source]
    ]
    return sorted(found, key=lambda each: (each.whom, each.relation != role, each.document))


def _stands_for(graph: Graph, node: str) -> dict[str, list[int]]:
    """The node, and what leads on from it: a product's parts, a customer's contracts, with the evidence."""
    if "title" in graph.net.nodes[node]:
        return {node: []}
    parts = {source: chunks for source, _, target, chunks in graph.edges(node, "part of") if target == node}
    papers = {source: chunks for source, _, target, chunks in graph.edges(node, "customer") if target == node}
    return {node: []} | parts | papers
