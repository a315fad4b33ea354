"""`ask --graph`: which documents share a supplier or a customer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from shared.progress import spinner
from step3_rag.graph.graph import asks_to_share, build, related
from step3_rag.ingest.piece import clean
from step3_rag.service import Service

if TYPE_CHECKING:
    from rich.console import Console


def ask(service: Service, question: str) -> dict[str, Any]:
    """All documents that share a supplier or customer with the one that the question names.

    Raises:
        UserError: it is another kind of question, or the index is empty.
    """
    index = service.index
    with spinner("looking for names and relations"):
        graph = build(index)
    asked = asks_to_share(graph, question)
    if not asked:
        raise UserError(
            "--graph answers which documents share a supplier or a customer with one that the question "
            "names: leave it out for other questions"
        )
    node, role = asked

    def place(chunks: list[int], document: str) -> str:
        """The place of the evidence, if possible in the document itself."""
        found = sorted(index.chunks(chunks), key=lambda chunk: chunk.document != document)
        return found[0].source if found else ""

    found, of = related(graph, node, role), graph.label(node)
    documents = list(dict.fromkeys(each.document for each in found))
    return {
        "command": "step3_rag ask",
        "headline": f"{len(documents)} documents share a {role} with {of}",
        "question": question,
        "of": of,
        "role": role,
        "documents": documents,
        "shared": [
            asdict(each)
            | {"title": graph.label(each.document), "source": place(each.chunks, each.document)}
            | {"of_source": place(each.theirs, node)}
            for each in found
        ],
    }


def show_ask(facts: dict[str, Any], console: Console) -> None:
    """Print the documents, grouped by the firm that they share, each with its source."""

    def line(text: str, style: str = "") -> None:
        console.print(clean(text), style=style, soft_wrap=True)

    if not facts["shared"]:
        line(f"The graph knows no document that shares a {facts['role']} with {facts['of']}.")
    whom = None
    for each in facts["shared"]:
        if each["whom"] != whom:
            whom, source = each["whom"], f" [{each['of_source']}]" if each["of_source"] else ""
            line(f"{whom}, {facts['role']} of {facts['of']}{source}, is also in:", "bold")
        relation = "" if each["relation"] == facts["role"] else f" as {each['relation']}"
        line(f"  {each['title']}{relation} [{each['source']}]")
