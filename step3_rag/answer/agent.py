"""An agent: the model decides whether to search, and for what.

    $ python -m step3_rag agent "When is Vantry's signing certificate replaced next?"

    user        When is Vantry's signing certificate replaced next?
    assistant   tool_use     search_documents {"query": "Vantry signing certificate replacement"}
    user        tool_result  {"summary": "...", "confidence": 0.99, "sources": "<source number=..."}
    assistant   On 9 June 2026. [1]

`ask` always searches, for the question as it is. An agent can answer a greeting without a search, split a
question in two, and search again with a name that it has just read. The price is one turn of the model for
each of these. And it may leave out a search that it needs: then it answers from memory, and sounds just as
sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from anthropic.lib.tools import ToolError

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import Source
from step3_rag.answer.read import Answer, check, tokens_read
from step3_rag.answer.search_tool import NAME, call, definition
from step3_rag.retrieve.search import Retriever

if TYPE_CHECKING:
    import anthropic


MAX_TOKENS = 400
MAX_TURNS = 4


class Call(NamedTuple):
    """A tool call of the model, and its result."""

    tool: str
    input: Any
    result: str
    is_error: bool


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
        for block in (each for each in content if each["type"] == "tool_use"):
            made, found = _search(block, retriever, question, len(sources) + 1)
            calls.append(made)
            sources += found
            result = {"type": "tool_result", "content": made.result, "is_error": made.is_error}
            results.append({**result, "tool_use_id": block["id"]})
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    text = "".join(block.text for block in reply.content if block.type == "text").strip()
    read, written = sum(map(tokens_read, usages)), sum(each.output_tokens for each in usages)
    stop_reason = (reply.stop_reason or "").replace("tool_use", "max_turns")
    return Answer(text, check(text, sources), read, written, stop_reason), sources, calls


def _search(
    block: dict[str, Any], retriever: Retriever, question: str, first: int
) -> tuple[Call, list[Source]]:
    """Run one call; the model gets errors as results."""
    name, given = block["name"], block["input"]
    try:
        if name != NAME:
            raise ToolError(f"there is no tool {name[:40]!r}: use {NAME}")
        text, sources = call(retriever, given, question, first)
        return Call(name, given, text, is_error=False), sources
    except ToolError as error:
        return Call(name, given, str(error.content), is_error=True), []
