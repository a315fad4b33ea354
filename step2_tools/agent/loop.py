"""The loop at the heart of every agent: send, run the tools that the model asks for, send what they gave.

    $ python -m step2_tools "What is the weather in Bangkok?" --trace

    user        What is the weather in Bangkok?
    assistant   tool_use     get_weather {"city": "Bangkok"}        the model can only ask: we run the tool
    user        tool_result  {"summary": "In Bangkok it is 31 °C"}  and answer every request in one turn
    assistant   In Bangkok it is 31 °C.                             no more requests: done

It runs unchanged on Claude, on a server that speaks the Messages API, and on the embedded model.

A result is data, whatever it says: it enters the conversation as the content of a `tool_result` block and
nowhere else, and only `tool_use` blocks of the model's own turns are ever run. That keeps an instruction
in a result from being run; that the model doesn't believe it is the system message's part.

Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
from anthropic.lib.tools import BetaFunctionTool, ToolError

from step2_tools.agent.approval import NeedsApproval

if TYPE_CHECKING:
    import anthropic

Block = dict[str, Any]
Message = dict[str, Any]
Tools = Sequence[BetaFunctionTool[Any]]


class Call(NamedTuple):
    """A tool call of the model, and the text that it was answered with."""

    tool: str
    input: dict[str, Any]
    result: str
    is_error: bool


@dataclass
class Outcome:
    """The conversation after a run, fit to go on with, and how the run ended.

    `stop_reason` is the model's (end_turn, max_tokens, refusal, model_context_window_exceeded, ...), or
    `max_turns` where it was we who stopped.
    """

    messages: list[Any]  # of Message; the SDK's own type for it is a TypedDict
    began: int  # how many messages there were before
    text: str = ""
    stop_reason: str = ""
    usages: list[anthropic.types.Usage] = field(default_factory=list)  # one a turn, as the API counted

    @property
    def turns(self) -> int:
        """How many replies the model gave."""
        return len(self.usages)

    @property
    def calls(self) -> list[Call]:
        """Every tool call of this run with its result, in order."""
        blocks = [block for message in self.messages[self.began :] for block in blocks_of(message)]
        results = {block["tool_use_id"]: block for block in blocks if block["type"] == "tool_result"}
        asked = [(block, results[block["id"]]) for block in blocks if block["type"] == "tool_use"]
        return [
            Call(use["name"], use["input"], got["content"], got.get("is_error", False)) for use, got in asked
        ]


def run(
    client: anthropic.Anthropic,
    model: str,
    tools: Tools,
    messages: Sequence[Message],
    *,
    system: str,
    max_turns: int = 8,
    max_tokens: int = 1024,
    on_message: Callable[[Message], None] = lambda _message: None,
    **request: Any,
) -> Outcome:
    """Let the model call tools until it is done, for at most `max_turns` of its turns.

    `on_message` hears every turn that is added; `request` is passed on (`output_config`, `tool_choice`, ...).
    Replies are streamed, so that a slow server is not taken for one that hangs.

    Raises:
        anthropic.APIError, httpx2.TransportError: the server can't be had, or breaks off. Nothing is sent
            again from here, and `messages` is as it was.
    """
    done = Outcome(list(messages), began=len(messages))
    while True:
        with client.messages.stream(
            model=model,
            max_tokens=max_tokens,
            system=system,
            messages=done.messages,
            tools=[tool.to_dict() for tool in tools],
            **request,
        ) as stream:
            reply = whole(stream)

        calls = record_turn(reply, done, max_turns, on_message)
        if calls:  # all of them are answered in one user turn, in their order
            jobs = [lambda call=call: answer(call, tools) for call in calls]
            asks = {tool.name for tool in tools if isinstance(tool, NeedsApproval)}
            # Effects happen in the model's order, and the user gets one question at a time.
            in_order = any(call["name"] in asks for call in calls)
            results = [job() for job in jobs] if in_order else in_parallel(jobs)
            done.messages.append({"role": "user", "content": results})
            on_message(done.messages[-1])
        elif done.stop_reason != "pause_turn":  # a paused turn goes back as it is, and the model goes on
            return done


def whole(stream: Any) -> Any:
    """The message that a stream has brought.

    Raises:
        httpx2.RemoteProtocolError: it has brought none.
    """
    try:
        return stream.get_final_message()
    except AssertionError:  # the SDK's word for it
        raise httpx2.RemoteProtocolError("the stream ended before the message began") from None


def record_turn(
    reply: Any, done: Outcome, max_turns: int, on_message: Callable[[Message], None]
) -> list[Block]:
    """Add the model's turn to the conversation; returns the tool calls that are to be run now.

    `done` is given the usage of this turn, its stop reason, and its text: that of all text blocks, joined. A
    turn that would go on (`tool_use`, `pause_turn`) and is the last of `max_turns` has the stop reason
    `max_turns`. The turn, {"role": "assistant", "content": [block.to_dict(), ...]}, is added to the messages
    and `on_message` hears it. What the API would refuse ever after is left out: empty text blocks, a turn
    without any block, and calls that nobody will answer. They are run, and stay, only where the stop reason
    is `tool_use` in the end: those of a turn that was cut (`max_tokens`) may be half.

    Raises:
        httpx2.RemoteProtocolError: no stop reason, the stream ended without its last events; `done` is as it
            was.
    """
    ### BEGIN SOLUTION 2.7: The end of a turn
    if reply.stop_reason is None:  # the stream ended without its last events
        raise httpx2.RemoteProtocolError("the stream ended before the message did")
    done.usages.append(reply.usage)
    done.stop_reason = reply.stop_reason
    done.text = "".join(block.text for block in reply.content if block.type == "text")
    if done.turns == max_turns and reply.stop_reason in ("tool_use", "pause_turn"):
        done.stop_reason = "max_turns"
    content = [block.to_dict() for block in reply.content if block.type != "text" or block.text]
    if done.stop_reason != "tool_use":
        content = [block for block in content if block["type"] != "tool_use"]
    if content:
        done.messages.append({"role": "assistant", "content": content})
        on_message(done.messages[-1])
    return [block for block in content if block["type"] == "tool_use"]
    ### END SOLUTION


def answer(call: Block, tools: Tools) -> Block:
    """Run one tool call; what goes wrong is told to the model, which can mend its arguments.

    The `tool_result` block has the call's id as `tool_use_id`, and as `content` what the tool gave, as it is.
    What went wrong has `"is_error": True`, too, and says (what went well has no `is_error`):

        there is no tool 'NAME'; use A, B      the tools in their order, or none
        the `content` of the ToolError         as it is
        NAME failed                            at any other Exception: its text is for us, not for the model
    """
    ### BEGIN SOLUTION 2.6: Dispatch of a turn
    tool = next((tool for tool in tools if tool.name == call["name"]), None)
    result: Block = {"type": "tool_result", "tool_use_id": call["id"]}
    if tool is None:
        known = ", ".join(tool.name for tool in tools) or "none"
        return result | {"content": f"there is no tool {call['name']!r}; use {known}", "is_error": True}
    try:
        return result | {"content": tool.call(call["input"])}
    except ToolError as error:
        return result | {"content": error.content, "is_error": True}
    except Exception:  # a bug of the tool: its text is for us, not for the model
        return result | {"content": f"{tool.name} failed", "is_error": True}
    ### END SOLUTION


def in_parallel(jobs: Sequence[Callable[[], Block]]) -> list[Block]:
    """Do all jobs, one or more, at once; the results are in the order of the jobs.

    The first is done here, each other one in a thread of its own: a daemon, so that Ctrl-C ends the program
    though a tool still waits for its server. Each sees the caller's context variables, in a copy of its own.
    """
    ### BEGIN SOLUTION 2.6: Dispatch of a turn
    results: list[Block] = [{} for _ in jobs]
    contexts = [copy_context() for _ in jobs]  # so that tracing knows whose calls these are

    def do(i: int) -> None:
        results[i] = contexts[i].run(jobs[i])

    threads = [threading.Thread(target=do, args=(i,), daemon=True) for i in range(1, len(jobs))]
    for thread in threads:
        thread.start()
    do(0)
    for thread in threads:
        thread.join()
    return results
    ### END SOLUTION


def input_tokens(usage: anthropic.types.Usage) -> int:
    """All tokens that the model read in a turn: the API counts those from the cache apart."""
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached


def blocks_of(message: Message) -> list[Block]:
    """The content of a message as blocks; a string is short for one block of text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
