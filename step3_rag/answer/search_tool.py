"""Retrieval as a tool that a model may call: its definition, and what a call of it gives.

    >>> call(retriever, {"query": "when is Vantry's signing certificate replaced"})
    '{"summary": "Vantry\'s signing ... 9 June 2026. [1]", "confidence": 0.99, "sources": "<source number=...'

A plain tool of the Messages API (`definition`), and the same for LangChain (`as_langchain_tool`). The loop
around it is in agent.py.

The result is made for two kinds of readers. A large model reads the sources: quotations between tags that
they can't close (context.py). The embedded model can't read so much; it repeats the `summary`, and that is
the sentence which the quoting reader (read.py) has picked, so that nothing is made up.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from anthropic.lib.tools import ToolError

from shared.errors import UserError
from step3_rag.answer.context import Source, as_text, assemble
from step3_rag.answer.read import quote
from step3_rag.ingest.stems import STOP_WORDS, WORD
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.reflect import THRESHOLD
from step3_rag.retrieve.search import Options, Retriever

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

TOPICS = 40  # words that tell what the documents are about
NOTHING = "No passage of the documents seems to answer this."
SEARCH_DOCUMENTS: dict[str, Any] = {
    "name": "search_documents",
    "description": (
        "Search the documents for the passages that answer a question: dates, periods, prices, terms, rules, "
        "technical data."
    ),
    "input_schema": {
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "minLength": 1,
                "description": "what to look for; leave it out to search for the question as it was asked",
            },
            "k": {
                "type": "integer",
                "minimum": 1,
                "maximum": 8,
                "description": "how many passages to return, 5 if left out",
            },
        },
        "required": [],  # where it must find words for `query`, the embedded model calls less often
        "additionalProperties": False,
    },
}


def definition(retriever: Retriever) -> dict[str, Any]:
    """SEARCH_DOCUMENTS with what this index holds: its collections as an enum, words of its titles.

    A model trusts a tool's description as it trusts the system message, and titles are written by anybody. So
    single words of them go in, in the order of the alphabet: no sentence survives that.
    """
    schema = SEARCH_DOCUMENTS["input_schema"]
    names = sorted(set(retriever.snapshot.collections))
    collection = {
        "type": "string",
        "enum": names,
        "description": "search only this part of the documents; leave it out to search all",
    }
    query, k = schema["properties"]["query"], schema["properties"]["k"]
    properties = {"query": query, **({"collection": collection} if names else {}), "k": k}
    topics = ", ".join(topics_of(retriever))
    told = f"{SEARCH_DOCUMENTS['description']} Words of their titles: {topics}."
    return {
        **SEARCH_DOCUMENTS,
        "description": told if topics else SEARCH_DOCUMENTS["description"],
        "input_schema": {**schema, "properties": properties},
    }


def topics_of(retriever: Retriever) -> list[str]:
    """Words of the titles: those that most chunks have, in the order of the alphabet."""
    stop, written = set(STOP_WORDS.split()), {}
    for row in retriever.index.documents():
        for word in WORD.findall(row["title"]):
            if 2 < len(word) <= 20 and not word[0].isdigit() and word.lower() not in stop:
                written.setdefault(word.lower(), word)
    known = retriever.snapshot.vocabulary
    most = sorted(written, key=lambda word: -known[word])[:TOPICS]
    return sorted((written[word] for word in most), key=str.lower)


def call(retriever: Retriever, input: object, question: str = "") -> str:
    """Run one call of the tool; `question` is what the user asked, where that is known.

    Raises:
        ToolError: with one line for the model, which can mend its arguments.
    """
    return look_up(retriever, input, question)[0]


def look_up(
    retriever: Retriever, input: object, question: str = "", first: int = 1
) -> tuple[str, list[Source]]:
    """The result as a model reads it, and its sources; they are numbered from `first`.

    Raises:
        ToolError: as `call`.
    """
    given = _checked(input, definition(retriever)["input_schema"])
    query = given.get("query", question).strip()
    if not query:
        raise ToolError("query is missing: say what to look for")
    collections = (given["collection"],) if "collection" in given else ()
    try:
        found = retriever.search(query, Options(k=int(given.get("k", 5)), collections=collections))
    except UserError as error:  # the vector store's
        raise ToolError(" ".join(str(error).split())) from None
    chunks = [each.chunk for each in found.best]
    sources = [
        dataclasses.replace(each, number=first + i)
        for i, each in enumerate(assemble(chunks, lambda text: len(retriever.embedder.token_spans(text))))
    ]
    probability = confidence(found, retriever)
    fits = bool(sources) and probability >= THRESHOLD
    # By the question, not by the query: a query says where to look, seldom what one wants to know.
    asked = question or query
    said = quote(asked, sources, retriever.embedder, retriever.rarity).text if fits else NOTHING
    result = {"summary": said, "confidence": round(probability, 2), "sources": as_text(sources)}
    return json.dumps(result, ensure_ascii=False), sources


def _checked(input: object, schema: dict[str, Any]) -> dict[str, Any]:
    import jsonschema

    if not isinstance(input, dict):
        raise ToolError(f"the input must be a JSON object with {', '.join(schema['properties'])}")
    wrong = next(jsonschema.Draft202012Validator(schema).iter_errors(input), None)
    if wrong is not None:
        where = "".join(f"{each}: " for each in wrong.path)
        raise ToolError(" ".join(f"{where}{wrong.message}".split())[:200])
    return input


def as_langchain_tool(retriever: Retriever) -> StructuredTool:
    """The same tool for LangChain: its content is the model's to read, its artifact the sources.

    LangChain doesn't tell a tool what the user asked, so `query` has to be there.
    """
    from langchain_core.tools import StructuredTool, ToolException

    def search(**input: Any) -> tuple[str, list[Source]]:
        try:
            return look_up(retriever, input)
        except ToolError as error:
            raise ToolException(error.content) from None

    tool = definition(retriever)
    schema = tool["input_schema"]
    query = {
        **schema["properties"]["query"],
        "description": "what to look for, as a question or in key words",
    }
    return StructuredTool.from_function(
        search,
        name=tool["name"],
        description=tool["description"],
        args_schema={**schema, "properties": {**schema["properties"], "query": query}, "required": ["query"]},
        response_format="content_and_artifact",
        handle_tool_error=True,  # the model gets the line and can mend its call
    )
