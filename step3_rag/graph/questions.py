"""The questions that the graph answers, each by following edges.

    share    Which contracts share a supplier with AB-2025-03?     two steps: document, firm, other documents
    firm     Which contracts is Brightwell a supplier of?          one step: firm, documents
    path     How is Brightwell connected with AB-2025-03?          the shortest way

Each asks for a complete set or for a connection, where any number of passages is too small or too large.
Which one is asked is decided by its words and by the names in it; every other question is refused. An answer
cites the chunk that states each edge.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise

import networkx

from shared.errors import UserError
from shared.progress import spinner
from step3_rag.answer.context import Source
from step3_rag.answer.read import Answer, Cited
from step3_rag.graph.graph import Edge, Graph, build
from step3_rag.graph.relations import ROLES
from step3_rag.ingest.index import Chunk, Index

IN_COMMON = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)
CONNECTED = re.compile(r"\b(?:connect|connected|connection|linked|link|related|path|to do with)\b", re.I)
WHICH = re.compile(r"\b(?:which|what|list|all)\b.*\b(?:contracts?|agreements?|documents?)\b", re.I)
KNOWN = (
    "--graph answers which documents share a supplier or customer with one that you name, in which contracts "
    "a firm is, and how two of them are connected: leave it out for other questions"
)


@dataclass(frozen=True)
class SharedRole:
    """Which documents share a supplier or customer with this one?"""

    document: str
    role: str  # supplier or customer


@dataclass(frozen=True)
class ContractsOf:
    """In which documents is a firm, and as what?"""

    firm: str
    role: str | None  # only as this; None: as anything


@dataclass(frozen=True)
class Connection:
    """How are two nodes, firms or documents, connected?"""

    start: str
    end: str


Asked = SharedRole | ContractsOf | Connection


@dataclass
class Citations:
    """The lines of an answer with the numbers of their sources."""

    lines: list[str] = field(default_factory=list)
    cited: list[Cited] = field(default_factory=list)
    sources: dict[int, Source] = field(default_factory=dict)  # by chunk

    def add(self, line: str, chunk: Chunk, after: str = "") -> None:
        """Add a line, which this chunk supports; `after` follows its citation."""
        new = Source(len(self.sources) + 1, chunk.document, chunk.source, chunk.text, (chunk.id,))
        number = self.sources.setdefault(chunk.id, new).number
        self.cited.append(Cited(line.strip(), (number,), support=1.0))
        self.lines.append(f"{line} [{number}]{after}")

    def answer(self, none: str) -> tuple[Answer, list[Source]]:
        """The answer with its sources; the text `none` if there are no lines."""
        return Answer("\n".join(self.lines) or none, self.cited), list(self.sources.values())


def answer_from_graph(index: Index, question: str) -> tuple[Answer, list[Source]]:
    """Answer one of the three questions, with evidence.

    Raises:
        UserError: it is another kind of question, or the index is empty.
    """
    with spinner("looking for names and relations"):
        graph = build(index)
    match understand(graph, question):
        case SharedRole(document, role):
            return shared(graph, document, role)
        case ContractsOf(firm, role):
            return contracts_of(graph, firm, role)
        case Connection(start, end):
            return connection(graph, start, end)
        case None:
            raise UserError(KNOWN)


def understand(graph: Graph, question: str) -> Asked | None:
    """Which of the three is asked, about what; None for any other question.

    >>> understand(graph, "Which contracts share a supplier with AB-2025-03?")
    SharedRole(document='contracts/valves.md', role='supplier')
    """
    document = graph.document_in(question)
    firms = graph.firms_in(question)
    named = [*firms, document] if document else firms
    role = _role_in(question)
    if CONNECTED.search(question) and len(named) == 2:
        return Connection(*named)
    if IN_COMMON.search(question) and document and role:
        return SharedRole(document, role)
    if WHICH.search(question) and len(named) == 1 and firms and not IN_COMMON.search(question):
        return ContractsOf(firms[0], role)
    return None


def _role_in(question: str) -> str | None:
    """The first role that a question names, by any of its words."""
    for role, words in ROLES.items():
        if re.search(rf"\b(?:{words})s?\b", question, re.I):
            return role
    return None


def _relations(role: str | None) -> tuple[str, ...]:
    """The relations that count as a role: a document's subcontractors are suppliers, too."""
    if role == "supplier":
        return ("supplier", "subcontractor")
    return (role,) if role else ("supplier", "customer", "subcontractor")


def shared(graph: Graph, document: str, role: str) -> tuple[Answer, list[Source]]:
    """The documents that share a supplier or customer (`role`) with a document, by firm."""
    relations = _relations(role)
    edges = [edge for edge in graph.evidence if edge.relation in relations]
    said = Citations()
    for own in sorted(edges, key=lambda edge: edge.firm):
        if own.document != document:
            continue
        others = [edge for edge in edges if edge.firm == own.firm and edge.document != document]
        if others:
            said.add(f"{own.firm}, {role} of {graph.titles[document]}", graph.evidence[own], ", is also in:")
        for other in sorted(others, key=lambda edge: (edge.relation != role, edge.document)):
            relation = "" if other.relation == role else f" as {other.relation}"
            said.add(f"  {graph.titles[other.document]}{relation}", graph.evidence[other])
    return said.answer(f"The graph knows no document that shares a {role} with {graph.titles[document]}.")


def _said(graph: Graph, edge: Edge) -> str:
    """An edge as a sentence."""
    article = "a" if edge.relation == "subcontractor" else "the"
    return f"{edge.firm} is {article} {edge.relation} in {graph.titles[edge.document]}"


def contracts_of(graph: Graph, firm: str, role: str | None) -> tuple[Answer, list[Source]]:
    """The documents that a firm is in, and as what."""
    relations = _relations(role)
    said = Citations()
    for edge in sorted(graph.edges_of(firm), key=lambda edge: (edge.relation, edge.document)):
        if edge.relation in relations:
            said.add(_said(graph, edge), graph.evidence[edge])
    return said.answer(f"The graph knows no document with {firm} as {role or 'a party'}.")


def connection(graph: Graph, start: str, end: str) -> tuple[Answer, list[Source]]:
    """The shortest way between two nodes, edge by edge.

    An edge is as long as its firm has documents: a way through a firm that is in everything says little.
    """
    net = networkx.Graph()
    net.add_nodes_from([start, end])
    for edge in graph.evidence:
        net.add_edge(edge.document, edge.firm, edge=edge, length=len(graph.edges_of(edge.firm)))
    said = Citations()
    try:
        way = networkx.shortest_path(net, start, end, weight="length")
    except networkx.NetworkXNoPath:
        way = [start]
    for here, there in pairwise(way):
        edge: Edge = net.edges[here, there]["edge"]
        said.add(_said(graph, edge), graph.evidence[edge])
    return said.answer("The graph knows no way from one to the other.")
