"""An agent: the model decides whether to look something up, calls tools, reads the results, and goes on.

    user        How much is a year of the Cindral contract in dollars?
    assistant   tool_use     ask_documents {}
    user        tool_result  The fee is 2,400 EUR a month. (Source: cindral-cloud-hosting.html)
    assistant   tool_use     calculate {"expression": "12 * 2400"}
    user        tool_result  12 * 2400 = 28800
    assistant   tool_use     convert_currency {"amount": 28800, "source": "EUR", "target": "USD"}
    ...
    assistant   That is 31,680 USD.

It is step 2's loop (step2_tools/agent/loop.py) with two additions. Calls that change something wait for the
user's approval. And a long conversation is compacted: old results are shortened once they no longer fit.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anthropic

from shared import prompts
from shared.chat.usage import input_tokens
from step3_rag import PROMPTS
from step3_rag.agent.transcript import Call, Transcript, Turn
from step3_rag.agent.world import World

MAX_TOKENS = 300
MAX_TURNS = 6
CONTEXT = 1500  # tokens of a conversation; the shipped adapter was trained on shorter ones
CHARACTERS_A_TOKEN = 3.5
KEPT = 60  # characters of a result that was shortened
SHORTENED = "[…]"

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class LoopOptions:
    """How an agent runs."""

    max_turns: int = MAX_TURNS
    context: int | None = CONTEXT  # tokens from which on old results are shortened; None: never


def refuse(_call: Call) -> bool:
    """Allow no change."""
    return False


def run(
    client: anthropic.Anthropic,
    model: str,
    world: World,
    approve: Callable[[Call], bool] = refuse,
    options: LoopOptions = LoopOptions(),
    earlier: Sequence[dict[str, Any]] = (),
) -> Transcript:
    """Let the model work on the world's request until it writes an answer, or for `max_turns` turns.

    `earlier` are the messages of a conversation that stands before it. The SDK's errors pass through.
    """
    prompt = prompts.render(prompts.load(PROMPTS, "agent", family=prompts.family_of(model)))
    tools = world.definitions()
    messages: Messages = [*earlier, {"role": "user", "content": world.request}]
    turns: list[Turn] = []
    answer = ""
    stop_reason = "max_turns"
    while len(turns) < options.max_turns:
        sent, compacted = compact(messages, options.context)
        began = time.perf_counter()
        request: Any = {"system": prompt["system"], "tools": tools, "messages": sent}
        reply = client.messages.create(model=model, max_tokens=MAX_TOKENS, **request)
        seconds = time.perf_counter() - began
        blocks = [block.to_dict() for block in reply.content if block.type != "text" or block.text]
        calls: list[Call] = []
        if reply.stop_reason == "tool_use":  # a turn that was cut off may have half a call
            calls = [
                world.call(block["name"], block["input"], approve)
                for block in blocks
                if block["type"] == "tool_use"
            ]
        usage = reply.usage
        turns.append(
            Turn(
                sent,
                blocks,
                tuple(calls),
                input_tokens(usage) or 0,
                usage.output_tokens,
                reply.stop_reason or "",
                seconds,
                compacted,
            )
        )
        if not calls:
            answer = "".join(block["text"] for block in blocks if block["type"] == "text").strip()
            stop_reason = reply.stop_reason or ""
            break
        messages += [
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": _results(blocks, calls)},
        ]
    return Transcript(world.request, model, prompt["system"], tools, answer, stop_reason, turns)


def _results(blocks: Messages, calls: Sequence[Call]) -> Messages:
    """The results of a turn's calls, as the Messages API takes them."""
    uses = [block for block in blocks if block["type"] == "tool_use"]
    results = []
    for use, call in zip(uses, calls, strict=True):
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": call.result}
        if call.is_error:
            result["is_error"] = True
        results.append(result)
    return results


def compact(messages: Messages, context: int | None) -> tuple[Messages, int]:
    """The messages with their oldest results shortened until they fit, and how many were shortened.

    The last message stays as it is. `context`: tokens, estimated by CHARACTERS_A_TOKEN; None: nothing is
    shortened. The messages themselves are not changed.
    """
    if context is None:
        return list(messages), 0
    size = sum(map(_characters, messages))
    limit = context * CHARACTERS_A_TOKEN
    compacted = 0
    fitting: Messages = []
    for number, message in enumerate(messages):
        is_last = number + 1 == len(messages)
        if is_last or size <= limit or not isinstance(message["content"], list):
            fitting.append(message)
            continue
        blocks = []
        for block in message["content"]:
            text = block.get("content", "")
            if block["type"] != "tool_result" or len(text) <= KEPT:
                blocks.append(block)
                continue
            short = f"{text[:KEPT].rstrip()} {SHORTENED}"
            size -= len(text) - len(short)
            compacted += 1
            blocks.append({**block, "content": short})
        fitting.append({**message, "content": blocks})
    return fitting, compacted


def _characters(message: dict[str, Any]) -> int:
    """The characters of a message's texts, arguments and results."""
    content = message["content"]
    if isinstance(content, str):
        return len(content)
    return sum(len(str(block.get("content") or block.get("text") or block.get("input"))) for block in content)
