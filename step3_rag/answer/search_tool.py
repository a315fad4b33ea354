"""Retrieval as a tool that a model may call: its definition and its result (agent.py has the loop).

    >>> call(retriever, {"query": "when is Vantry's signing certificate replaced"})[0]
    '{"summary": "Vantry\'s signing ... 9 June 2026. [1]", "confidence": 0.99, "sources": "<source number=...'

The result serves two kinds of models. A large model reads the sources: quotations between tags that they
can't close (context.py). The embedded model can't read so much; it repeats the `summary`, which has the
sentences that the quoting reader (read.py) picked, so that nothing is made up.
"""

from __future__ import annotations

import json
from typing import Any

from anthropic.lib.tools import ToolError

from shared.errors import UserError
from step3_rag.answer.context import Source, as_text, assemble
from step3_rag.answer.read import quote
from step3_rag.ingest.stems import WORD, stems
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.reflect import THRESHOLD
from step3_rag.retrieve.search import Options, Retriever

NAME = "search_documents"
TOPICS = 40  # words of titles in the description
NOTHING = "No passage of the documents seems to answer this."


def definition(retriever: Retriever) -> dict[str, Any]:
    """The tool's definition for the Messages API, with this index's collections and words of its titles.

    A model trusts a tool's description like the system message, but anybody writes titles. So the description
    has single words of them in alphabetical order, which form no sentences. Without these words, the embedded
    model does not search for the question of chapter 15.
    """
    names, topics = sorted(set(retriever.snapshot.collections)), ", ".join(topics_of(retriever))
    properties: dict[str, Any] = {
        "query": {
            "type": "string",
            "minLength": 1,
            "description": "what to look for; leave it out to search for the question as it was asked",
        },
        "collection": {
            "type": "string",
            "enum": names,
            "description": "search only this part of the documents; leave it out to search all",
        },
        "k": {
            "type": "integer",
            "minimum": 1,
            "maximum": 8,
            "description": "how many passages to return, 5 if left out",
        },
    }
    if not names:
        del properties["collection"]
    return {
        "name": NAME,
        "description": (
            "Search the documents for the passages that answer a question: dates, periods, prices, terms, "
            "rules, technical data." + (f" Words of their titles: {topics}." if topics else "")
        ),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": [],  # if `query` were required, the embedded model would call less often
            "additionalProperties": False,
        },
    }


def topics_of(retriever: Retriever) -> list[str]:
    """The words of titles that occur in most chunks, in alphabetical order."""
    written: dict[str, str] = {}
    for row in retriever.index.documents():
        for word in WORD.findall(row["title"]):
            if 2 < len(word) <= 20 and not word[0].isdigit() and stems(word):
                written.setdefault(word.lower(), word)
    known = retriever.snapshot.vocabulary
    most = sorted(written, key=lambda word: -known[word])[:TOPICS]
    return sorted((written[word] for word in most), key=str.lower)


def call(retriever: Retriever, input: object, question: str = "", first: int = 1) -> tuple[str, list[Source]]:
    """The result of a call as text for the model, and its sources, numbered from `first`.

    `question` is the user's.

    Raises:
        ToolError: with one line for the model, which can correct its arguments.
    """
    given = _checked(input, definition(retriever)["input_schema"])
    query = given.get("query", question).strip()
    if not query:
        raise ToolError("query is missing: say what to look for")
    collections = (given["collection"],) if "collection" in given else ()
    try:
        found = retriever.search(query, Options(k=int(given.get("k", 5)), collections=collections))
    except UserError as error:  # the vector store failed
        raise ToolError(" ".join(str(error).split())) from None
    sources = assemble(found.best, retriever.embedder.count_tokens, first=first)
    probability = confidence(found, retriever)
    fits = bool(sources) and probability >= THRESHOLD
    # Quotes fit the question: a query says where to search, but seldom what the user wants to know.
    asked = question or query
    summary = quote(asked, sources, retriever.embedder, retriever.rarity).text if fits else NOTHING
    result = {"summary": summary, "confidence": round(probability, 2), "sources": as_text(sources)}
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
