"""Retrieval as a tool, and an agent: the model decides whether to search, and for what.

    user        Find out when Vantry's signing certificate is replaced next.
    assistant   tool_use     search_documents {"query": "..."}
    user        tool_result  {"summary": "...", "confidence": ..., "sources": "<source number=..."}
    assistant   the answer

`ask` always searches, for the question as it is. An agent can answer a greeting without a search, split a
question in two, and search again with a name that it has just read. The price is one turn of the model for
each of these. And it may leave out a search that it needs: then it answers from memory, and sounds just as
sure. The embedded model often does: asked "When is Vantry's signing certificate replaced next?", it looks
nothing up and invents an answer (chapter 15).

The tool's result serves two kinds of models. A large model reads the sources: quotations between tags that
they can't close (context.py). The embedded model can't read so much; it repeats the `summary`, which has the
sentence that the trained reader picked, so that nothing is made up.
"""

import json
from dataclasses import dataclass
from typing import Any

import anthropic
import jsonschema

from shared import prompts
from shared.chat.usage import input_tokens
from shared.errors import UserError
from step3_rag import PROMPTS
from step3_rag.answer.context import Source, as_text, assemble
from step3_rag.answer.read import Answer, check, quote
from step3_rag.ingest.stems import WORD, stems
from step3_rag.reflect.confidence import confidence, find_evidence
from step3_rag.reflect.loop import THRESHOLD
from step3_rag.retrieve.search import Retriever, SearchOptions

NAME = "search_documents"
TOPICS = 40  # words of titles in the description
NOTHING = "No passage of the documents seems to answer this."
MAX_TOKENS = 400
MAX_TURNS = 4


def definition(retriever: Retriever) -> dict[str, Any]:
    """The tool's definition for the Messages API, with this index's collections and words of its titles.

    A model trusts a tool's description like the system message, but anybody writes titles. So the description
    has single words of them in alphabetical order, which form no sentences. Without these words, the embedded
    model does not search for the question of chapter 15.
    """
    names = sorted(set(retriever.snapshot.collections))
    topics = ", ".join(topics_of(retriever))
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


def call(
    retriever: Retriever, input: dict[str, Any], question: str, first: int = 1
) -> tuple[str, list[Source]]:
    """The result of a call as text for the model, and its sources, numbered from `first`.

    `question` is the user's: the summary answers it, and it is searched if the model gives no query.

    Raises:
        UserError: the arguments are wrong, or the vector store failed.
    """
    validator = jsonschema.Draft202012Validator(definition(retriever)["input_schema"])
    for error in validator.iter_errors(input):
        where = "".join(f"{key}: " for key in error.path)
        raise UserError(f"{where}{error.message}"[:200])
    query = input.get("query", "").strip() or question
    collections = (input["collection"],) if "collection" in input else ()
    search = retriever.search(query, SearchOptions(k=int(input.get("k", 5)), collections=collections))
    sources = assemble(search.best, retriever.embedder.count_tokens, first=first)
    probability = confidence(search, retriever)
    fits = bool(sources) and probability >= THRESHOLD
    summary = NOTHING
    if fits:
        summary = quote(find_evidence(search, retriever, question), sources).text
    result = {"summary": summary, "confidence": round(probability, 2), "sources": as_text(sources)}
    return json.dumps(result, ensure_ascii=False), sources


@dataclass(frozen=True)
class Call:
    """A tool call of the model, and its result."""

    tool: str
    input: Any
    result: str
    is_error: bool


def answer_call(
    retriever: Retriever, block: dict[str, Any], question: str, first: int
) -> tuple[Call, list[Source]]:
    """The result of the model's call in a block of its reply, and its sources, numbered from `first`.

    A wrong call has an error as its result: the model can correct it.
    """
    name = block["name"]
    try:
        if name != NAME:
            raise UserError(f"there is no tool {name[:40]!r}: use {NAME}")
        text, sources = call(retriever, block["input"], question, first)
    except UserError as error:
        return Call(name, block["input"], " ".join(str(error).split()), is_error=True), []
    return Call(name, block["input"], text, is_error=False), sources


def run(
    client: anthropic.Anthropic, model: str, retriever: Retriever, question: str
) -> tuple[Answer, list[Source], list[Call]]:
    """Let the model search until it is done; in its last turn, number MAX_TURNS, it may not search.

    The answer's `stop_reason` is the model's, or `max_turns`. The SDK's errors pass through.
    """
    prompt = prompts.render(prompts.load(PROMPTS, "agent", family=prompts.family_of(model)))
    messages: list[Any] = [*prompt["messages"], {"role": "user", "content": question}]
    request: dict[str, Any] = {"system": prompt["system"], "tools": [definition(retriever)]}
    usages: list[anthropic.types.Usage] = []
    sources: list[Source] = []
    calls: list[Call] = []
    while True:
        is_last = len(usages) + 1 >= MAX_TURNS
        request["tool_choice"] = {"type": "none" if is_last else "auto"}
        reply = client.messages.create(model=model, max_tokens=MAX_TOKENS, messages=messages, **request)
        usages.append(reply.usage)
        content = [block.to_dict() for block in reply.content if block.type != "text" or block.text]
        if reply.stop_reason != "tool_use" or is_last:  # a turn that was cut off may have half a call
            break
        results = []
        for block in content:
            if block["type"] != "tool_use":
                continue
            made, new_sources = answer_call(retriever, block, question, len(sources) + 1)
            calls.append(made)
            sources += new_sources
            result = {"type": "tool_result", "tool_use_id": block["id"], "content": made.result}
            if made.is_error:
                result["is_error"] = True
            results.append(result)
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    text = "".join(block.text for block in reply.content if block.type == "text").strip()
    read = sum(map(input_tokens, usages))
    written = sum(usage.output_tokens for usage in usages)
    stop_reason = (reply.stop_reason or "").replace("tool_use", "max_turns")
    return Answer(text, check(text, sources), read, written, stop_reason), sources, calls
