"""The tool loop of every agent: ask the model, run the tools that it requests, send their results, repeat.

    $ python -m step2_tools "What is the weather in Bangkok?" --trace

    user        What is the weather in Bangkok?
    assistant   tool_use     get_weather {"city": "Bangkok"}        the model requests a call, we run it
    user        tool_result  {"summary": "In Bangkok it is 31 °C"}  all results go back in one turn
    assistant   In Bangkok it is 31 °C.                             no more calls: done

It works the same with Claude, with any server that speaks the Messages API, and with the embedded model.

A result is data, whatever it says: it only enters the conversation as the content of a `tool_result` block,
and only `tool_use` blocks in the model's own turns are run. So an instruction in a result is never run
directly; the system message has to keep the model from following it.

Source: https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anthropic
import httpx2
from anthropic.lib.tools import BetaFunctionTool, ToolError
from anthropic.types import ContentBlockParam, MessageParam, ToolResultBlockParam, ToolUseBlockParam, Usage

from shared.cli import HIDDEN
from step2_tools.agent.approval import NeedsApproval

Tools = Sequence[BetaFunctionTool[Any]]


@dataclass(frozen=True)
class Call:
    """A tool call of the model, and the text of its result."""

    tool: str
    input: dict[str, Any]  # the arguments, as the model wrote them
    result: str
    is_error: bool
    turn: int = field(
        default=0, compare=False, metadata=HIDDEN
    )  # which reply of the model asked for it, from 1


@dataclass
class Outcome:
    """The conversation after a run, which can be continued, and how the run ended.

    `stop_reason` is the model's (end_turn, max_tokens, refusal, model_context_window_exceeded, ...), or
    `max_turns` if the loop stopped at its limit.
    """

    messages: list[MessageParam]
    began: int  # the index of the first message that the run added
    text: str = ""
    stop_reason: str = ""
    usages: list[Usage] = field(default_factory=list)  # one per turn, as the API counted

    @property
    def turns(self) -> int:
        """The number of the model's replies."""
        return len(self.usages)

    @property
    def calls(self) -> list[Call]:
        """Every tool call of this run with its result, in order."""
        calls = []
        requested: dict[str, ToolUseBlockParam] = {}  # by id
        turn = 0
        for message in self.messages[self.began :]:
            if message["role"] == "assistant":
                turn += 1
            for block in blocks_of(message):
                if block["type"] == "tool_use":
                    requested[block["id"]] = block
                elif block["type"] == "tool_result":
                    request = requested[block["tool_use_id"]]
                    text = str(block.get("content", ""))
                    is_error = block.get("is_error", False)
                    calls.append(Call(request["name"], dict(request["input"]), text, is_error, turn))
        return calls


def run(
    client: anthropic.Anthropic,
    model: str,
    tools: Tools,
    messages: Sequence[MessageParam],
    *,
    system: str,
    max_turns: int = 8,
    max_tokens: int = 1024,
    on_message: Callable[[MessageParam], None] = lambda _message: None,
    **request: Any,
) -> Outcome:
    """Let the model call tools until it is done, for at most `max_turns` of its turns.

    `on_message` is called with every added message; `request` has further request parameters
    (`output_config`, `tool_choice`, ...). Replies are streamed, so that the timeout only ends a server that
    sends nothing.

    Raises:
        anthropic.APIError, httpx2.TransportError: the server can't be reached, refuses, or the connection
            breaks. There is no retry here, and `messages` is not changed.
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
            reply = final_message(stream)

        calls = record_turn(reply, done, max_turns, on_message)
        if calls:  # all results go into one user turn, in the order of the calls
            jobs = [partial(answer, call, tools) for call in calls]
            need_approval = {tool.name for tool in tools if isinstance(tool, NeedsApproval)}
            # With approval, calls run one after the other: the user gets one question at a time.
            sequential = any(call["name"] in need_approval for call in calls)
            results = [job() for job in jobs] if sequential else in_parallel(jobs)
            done.messages.append({"role": "user", "content": results})
            on_message(done.messages[-1])
        elif done.stop_reason != "pause_turn":
            return done
        # pause_turn: the server has interrupted a long turn in which it ran tools of its own, such as a web
        # search. The conversation is sent back as it is, and the model goes on where it was.


def final_message(stream: Any) -> Any:
    """The complete message from a stream.

    Raises:
        httpx2.RemoteProtocolError: the stream contained no message.
    """
    try:
        return stream.get_final_message()
    except AssertionError:  # what the SDK raises in this case
        raise httpx2.RemoteProtocolError("the stream ended before the message began") from None


def record_turn(
    reply: Any, done: Outcome, max_turns: int, on_message: Callable[[MessageParam], None]
) -> list[ToolUseBlockParam]:
    """Add the model's turn to the conversation, and return the tool calls to run now.

    `done` gets the turn's usage (appended to `usages`), its stop reason, and its text: all text blocks,
    joined. If the turn would continue (`tool_use`, `pause_turn`) but is number `max_turns`,
    `done.stop_reason` is `max_turns`. The turn, {"role": "assistant", "content": [block.to_dict(), ...]}, is
    appended to the messages, and `on_message` is called with it. Whatever the API would refuse in later
    requests is left out: text blocks of length 0, a turn without blocks, and calls without a result. So calls
    are kept, and returned, only if `done.stop_reason` is `tool_use`: in a turn that was cut off
    (`max_tokens`), they may be incomplete.

    Raises:
        httpx2.RemoteProtocolError: the reply has no stop reason, because the stream ended without its last
            events; `done` is not changed.
    """
    ### BEGIN SOLUTION 2.5: The end of a turn
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


def answer(call: ToolUseBlockParam, tools: Tools) -> ToolResultBlockParam:
    """Run one tool call. The model also gets errors, so that it can correct its arguments.

    Returns a `tool_result` block with the call's id as `tool_use_id` and the tool's unchanged return value as
    `content`. For an error, the block also has `"is_error": True` (otherwise it has no `is_error`), and the
    content is one of:

        there is no tool 'NAME'; use A, B      NAME as `repr` writes it; all tools in their order, or `none`
        the `content` of the ToolError         unchanged
        NAME failed                            for any other Exception: the model must not see its text
    """
    ### BEGIN SOLUTION 2.4: Dispatch of a turn
    tool = next((tool for tool in tools if tool.name == call["name"]), None)
    result: ToolResultBlockParam = {"type": "tool_result", "tool_use_id": call["id"]}
    if tool is None:
        known = ", ".join(tool.name for tool in tools) or "none"
        return {**result, "content": f"there is no tool {call['name']!r}; use {known}", "is_error": True}
    try:
        return {**result, "content": tool.call(call["input"])}
    except ToolError as error:
        return {**result, "content": error.content, "is_error": True}
    except Exception:  # a bug in the tool: the model must not see its text
        return {**result, "content": f"{tool.name} failed", "is_error": True}
    ### END SOLUTION


def in_parallel(jobs: Sequence[Callable[[], ToolResultBlockParam]]) -> list[ToolResultBlockParam]:
    """Run one or more jobs at the same time; returns their results in the order of the jobs.

    The first job runs in the calling thread, each other one in its own thread. These are daemon threads, so
    that Ctrl-C ends the program while a tool still waits for its server. Each job runs in its own copy of the
    caller's context variables.
    """
    ### BEGIN SOLUTION 2.4: Dispatch of a turn
    results: list[Any] = [None] * len(jobs)
    contexts = [copy_context() for _ in jobs]  # so that traces assign the calls to their caller

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


def blocks_of(message: MessageParam) -> list[ContentBlockParam]:
    """The content of a message as blocks; a string is one text block."""
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast(list[ContentBlockParam], list(content))  # no conversation of ours has the SDK's objects
