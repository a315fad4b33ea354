"""The graph of an index, and the question that it answers: which documents share a supplier or customer?

    >>> answer, sources = answer_from_graph(index, "Which contracts share a supplier with AB-2025-03?")
    >>> print(answer.text)
    Brightwell Components, supplier of Framework AB-2025-03 [1], is also in:
      Supply Agreement AB-2024-07 [2]

Nodes are documents and firms; edges are relations, each with the first chunk that states it. "Which contracts
share a supplier with X?" asks for a complete set: any k is too small or too large. The graph has the set, two
steps along one relation. It lacks what the extractor missed, so the answer names its evidence.

GraphRAG (Edge et al. 2024, arXiv:2404.16130) goes on from here: it looks for communities, groups of nodes
with many edges inside, and has a model summarise each, for questions about the whole.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from shared.progress import spinner
from step3_rag.answer.context import Source
from step3_rag.answer.read import Answer, Cited
from step3_rag.graph.relations import ROLES, document_number, extract
from step3_rag.ingest.index import Chunk, Index
from step3_rag.retrieve.snapshot import Snapshot

IN_COMMON = re.compile(r"\b(?:share|shares|sharing|same|common|also)\b", re.I)


@dataclass(frozen=True)
class Graph:
    """Relations between documents, by their name in the index, and firms."""

    evidence: Mapping[tuple[str, str, str], Chunk]  # of each document, relation and firm
    titles: Mapping[str, str]  # of the documents
    names: Mapping[str, str]  # -> document

    def link(self, question: str) -> str | None:
        """Entity linking: the document that a question names, by the longest name in it.

        >>> graph.link("Which contracts share a supplier with AB-2025-03?")
        'contracts/valves.md'
        """
        words = f" {_words(question)} "
        longest = max((name for name in self.names if f" {name} " in words), key=len, default=None)
        return self.names[longest] if longest else None


def answer_from_graph(index: Index, question: str) -> tuple[Answer, list[Source]]:
    """All documents that share a supplier or customer with the one that the question names, with evidence.

    Raises:
        UserError: it is another kind of question, or the index is empty.
    """
    with spinner("looking for names and relations"):
        graph = build(index)
    asked = asks_to_share(graph, question)
    if not asked:
        raise UserError(
            "--graph answers which documents share a supplier or a customer with one that the question "
            "names: leave it out for other questions"
        )
    return shared(graph, *asked)


def build(index: Index) -> Graph:
    """Build the graph from all chunks by the rules of relations.py.

    Raises:
        UserError: the index is empty.
    """
    ids = Snapshot(index).ids.tolist()
    chunks = sorted(index.chunks(ids), key=lambda chunk: (chunk.document, chunk.place))
    if not chunks:
        raise UserError(f"the index in {index.folder} is empty: ingest documents before you ask its graph")
    by_id = {chunk.id: chunk for chunk in chunks}
    evidence = dict[tuple[str, str, str], Chunk]()
    for document, relation, firm, chunk in extract(chunks):
        evidence.setdefault((document, relation, firm), by_id[chunk])
    titles = {chunk.document: chunk.title or chunk.document for chunk in chunks}
    return Graph(evidence, titles, _names(chunk for chunk in chunks if chunk.place == 0))


def _names(first: Iterable[Chunk]) -> dict[str, str]:
    """What documents are called: name in the index, title, file name and number, if no other has the same.

    `first` has the first chunk of each. A single word is a name only if it has a digit or is a path: a
    question has "supplier" for other reasons.
    """
    documents_called: dict[str, set[str]] = {}
    for chunk in first:
        file = re.sub(r"[-_]+", " ", Path(chunk.document).stem)
        for name in (chunk.document, chunk.title, file, document_number(chunk)):
            documents_called.setdefault(_words(name), set()).add(chunk.document)
    names = {}
    for name, documents in documents_called.items():
        if len(documents) == 1 and re.search(r"[ \d/.]", name):
            (names[name],) = documents
    return names


def _words(text: str) -> str:
    """A text without capitals and punctuation between its words."""
    return " ".join(re.findall(r"[\w&]+(?:[-'’./]\w+)*", text)).casefold()


def asks_to_share(graph: Graph, question: str) -> tuple[str, str] | None:
    """The document and the role of a question about what is shared; None for any other question.

    >>> asks_to_share(graph, "Which contracts share a supplier with AB-2025-03?")
    ('contracts/valves.md', 'supplier')
    """
    document = graph.link(question)
    roles = [role for role, words in ROLES.items() if re.search(rf"\b(?:{words})s?\b", question, re.I)]
    return (document, roles[0]) if document and roles and IN_COMMON.search(question) else None


def shared(graph: Graph, document: str, role: str) -> tuple[Answer, list[Source]]:
    """The documents that share a supplier or customer (`role`) with a document, by firm, with evidence.

    A document's subcontractors count as suppliers.
    """
    relations = (role, "subcontractor") if role == "supplier" else (role,)
    edges = {edge: chunk for edge, chunk in graph.evidence.items() if edge[1] in relations}
    cited: list[Cited] = []
    sources: dict[int, Source] = {}  # by chunk

    def cite(line: str, chunk: Chunk) -> str:
        new = Source(len(sources) + 1, chunk.document, chunk.source, chunk.text, (chunk.id,))
        number = sources.setdefault(chunk.id, new).number
        cited.append(Cited(line.strip(), (number,), support=1.0))
        return f"{line} [{number}]"

    own = {firm: chunk for (name, _, firm), chunk in edges.items() if name == document}
    lines = []
    for firm in sorted(own):
        others = [edge for edge in edges if edge[2] == firm and edge[0] != document]
        if others:
            lines.append(cite(f"{firm}, {role} of {graph.titles[document]}", own[firm]) + ", is also in:")
        for edge in sorted(others, key=lambda edge: (edge[1] != role, edge[0])):
            relation = "" if edge[1] == role else f" as {edge[1]}"
            lines.append(cite(f"  {graph.titles[edge[0]]}{relation}", edges[edge]))
    none = f"The graph knows no document that shares a {role} with {graph.titles[document]}."
    return Answer("\n".join(lines) or none, cited), list(sources.values())
