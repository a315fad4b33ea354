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

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from anthropic.lib.tools import ToolError

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer.context import Source
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


@dataclass
class AgentAnswer:
    """The agent's answer and its searches. `stop_reason` is the model's, or `max_turns`."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    usages: list[anthropic.types.Usage] = field(default_factory=list)  # one per turn
    sources: list[Source] = field(default_factory=list)
    stop_reason: str = ""


def run(client: anthropic.Anthropic, model: str, retriever: Retriever, question: str) -> AgentAnswer:
    """Let the model search until it is done; in its last turn, number MAX_TURNS, it may not search.

    The SDK's errors pass through.
    """
    prompt = prompts.render(prompts.load(PROMPTS, "agent", family=prompts.family_of(model)))
    messages: list[Any] = [*prompt["messages"], {"role": "user", "content": question}]
    request: dict[str, Any] = {"system": prompt["system"], "tools": [definition(retriever)]}
    done = AgentAnswer()
    while True:
        is_last = len(done.usages) + 1 >= MAX_TURNS
        request["tool_choice"] = {"type": "none" if is_last else "auto"}
        reply = client.messages.create(model=model, max_tokens=MAX_TOKENS, messages=messages, **request)
        done.usages.append(reply.usage)
        done.text = "".join(block.text for block in reply.content if block.type == "text").strip()
        done.stop_reason = reply.stop_reason or ""
        content = [block.to_dict() for block in reply.content if block.type != "text" or block.text]
        if done.stop_reason != "tool_use" or is_last:  # a turn that was cut off may have half a call
            done.stop_reason = done.stop_reason.replace("tool_use", "max_turns")
            return done
        # One after the other: a search takes milliseconds, and all sources are numbered consecutively.
        results = [
            _run_call(block, retriever, question, done) for block in content if block["type"] == "tool_use"
        ]
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]


def _run_call(
    block: dict[str, Any], retriever: Retriever, question: str, done: AgentAnswer
) -> dict[str, Any]:
    """Run one call; the model gets errors as results."""
    is_error = True
    try:
        if block["name"] != NAME:
            raise ToolError(f"there is no tool {block['name'][:40]!r}: use {NAME}")
        text, sources = call(retriever, block["input"], question, len(done.sources) + 1)
        done.sources += sources
        is_error = False
    except ToolError as error:
        text = str(error.content)
    done.calls.append(Call(block["name"], block["input"], text, is_error))
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": text}
    return {**result, "is_error": True} if is_error else result
