"""Step 2: scenarios with what is no plain data: typed functions, tools, threads, replies of a model.

    arguments("def order(dish: str, count: int = 1) -> str: ...", "order", [{"dish": "soup"}, {"count": "2"}])
    {'fields': [('dish', True, None), ('count', False, 1)],
     'inputs': [{'dish': 'soup', 'count': 1}, {'refused': ['dish', 'count']}]}

Each runs the step's code and tells what it did. It judges nothing, and holds no expected value. The step's
modules are imported where they are used, so that one that is broken costs its own exercises only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any, Literal

import anthropic
import httpx2
import pydantic
from anthropic.lib.tools import BetaFunctionTool, ToolError

MEET_S = 5.0  # how long jobs wait for each other, if nobody comes
SCOPE = {"Annotated": Annotated, "Literal": Literal, "Field": pydantic.Field}

Data = dict[str, Any]


# --- 2.4 and 2.5: arguments -------------------------------------------------------------------------------


def arguments(source: str, name: str, inputs: list[Data]) -> Data:
    """Fields of `_arguments_of` what the source calls `name`, and what each input becomes or is refused for.

    The source's hints are text, as they are in the step's own files. It comes from the test.
    """
    from step2_tools.agent.tool import _arguments_of

    scope = dict(SCOPE)
    exec(source, scope)
    model = _arguments_of(eval(name, scope))
    fields = [
        (each, field.is_required(), None if field.is_required() else field.default)
        for each, field in model.model_fields.items()
    ]
    return {"fields": fields, "inputs": [_validated(model, each) for each in inputs]}


def _validated(model: type[pydantic.BaseModel], given: Data) -> Data:
    try:
        made = model.model_validate(given)
    except pydantic.ValidationError as error:
        return {"refused": [each["loc"][0] for each in error.errors()]}
    return {name: getattr(made, name) for name in model.model_fields}


class Order(pydantic.BaseModel):
    """Arguments that are ready-made: making them is an exercise of its own."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    dish: str
    size: Literal["small", "large"] = "small"
    count: int = 1
    price: float = 2.5


class Nothing(pydantic.BaseModel):
    """No arguments at all."""

    model_config = pydantic.ConfigDict(extra="forbid")


def checked(name: str, inputs: list[Any]) -> list[Any]:
    """What `_checked` makes of each input of an order, and the line where it refuses."""
    tool = _tool(name, Order)
    return [_or_refused(partial(tool._checked, each)) for each in inputs]


def explained(name: str, errors: list[Data], takes_nothing: bool = False) -> list[str]:
    """What `_explained` says of pydantic's errors."""
    tool = _tool(name, Nothing if takes_nothing else Order)
    return [tool._explained(each) for each in errors]


def _tool(name: str, arguments: type[pydantic.BaseModel]) -> Any:
    """A FunctionTool without its own constructor, which needs `_arguments_of`."""
    from step2_tools.agent.tool import FunctionTool

    def serve(**given: Any) -> str:
        return str(given)

    tool = FunctionTool.__new__(FunctionTool)
    BetaFunctionTool.__init__(tool, serve, name=name, description="Serve.", input_schema=arguments)
    tool._arguments = arguments
    return tool


def _or_refused(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except ToolError as error:
        return {"refused": error.content}


# --- 2.6: dispatch ----------------------------------------------------------------------------------------


class Scripted:
    """A tool that does as it is told: `gives` something, `refuses`, `breaks`, or is `stopped` by Ctrl-C."""

    def __init__(self, name: str, does: str, what: Any) -> None:
        self.name, self._does, self._what = name, does, what
        self.got: list[Any] = []

    def call(self, input: object) -> Any:
        """Do it."""
        self.got.append(input)
        if self._does == "refuses":
            raise ToolError(self._what)
        if self._does == "breaks":
            raise RuntimeError(self._what)
        if self._does == "stopped":
            raise KeyboardInterrupt
        return self._what


def answers(calls: list[Data], tools: list[tuple[str, str, Any]]) -> Data:
    """The block that each call is answered with, and what each tool was called with."""
    from step2_tools.agent.loop import answer

    scripted: Any = [Scripted(*each) for each in tools]
    blocks = []
    for call in calls:
        try:
            blocks.append(answer(call, scripted))
        except KeyboardInterrupt:
            blocks.append({"stopped": call["id"]})
    return {"blocks": blocks, "called": [each.got for each in scripted]}


def together(n: int) -> list[Data]:
    """Jobs that wait until all of them have begun: did they meet?"""
    from step2_tools.agent.loop import in_parallel

    everybody = threading.Barrier(n)

    def job(i: int) -> Data:
        try:
            everybody.wait(MEET_S)
        except threading.BrokenBarrierError:
            return {"job": i, "met": False}
        return {"job": i, "met": True}

    return in_parallel([partial(job, i) for i in range(n)])


def ending(order: list[int], names: list[str]) -> list[Data]:
    """Jobs with names, of which each waits with its end for the one before it in `order`: did that come?"""
    from step2_tools.agent.loop import in_parallel

    ended = [threading.Event() for _ in order]
    until = time.monotonic() + MEET_S

    def job(i: int) -> Data:
        place = order.index(i)
        came = place == 0 or ended[order[place - 1]].wait(max(0.0, until - time.monotonic()))
        ended[i].set()
        return {"job": names[i], "came": came}

    return in_parallel([partial(job, i) for i in range(len(order))])


def contexts(value: str, n: int) -> Data:
    """Jobs that read a variable of the caller's context and set it: what they saw, and what is left."""
    from step2_tools.agent.loop import in_parallel

    trace: ContextVar[str] = ContextVar("trace")
    trace.set(value)

    def job(i: int) -> Data:
        saw = trace.get("nothing")
        trace.set(f"job {i}")
        return {"job": i, "saw": saw, "then": trace.get()}

    return {"jobs": in_parallel([partial(job, i) for i in range(n)]), "left": trace.get()}


def keeping(n: int) -> list[Data]:
    """Jobs in threads: would the program have to wait for one of them, when its caller is gone?"""
    from step2_tools.agent.loop import in_parallel

    caller = threading.current_thread()

    def job(i: int) -> Data:
        thread = threading.current_thread()
        return {"job": i, "waits": thread is not caller and not thread.daemon}

    return in_parallel([partial(job, i) for i in range(n)])


# --- 2.7: the end of a turn -------------------------------------------------------------------------------


def turns(before: list[Data], replies: list[Data], max_turns: int) -> Data:
    """The conversation after all replies, and what `record_turn` said to each of them."""
    done, taken, _ = _conversation(before, replies, max_turns)
    return {"taken": taken, "messages": done.messages}


def told(before: list[Data], replies: list[Data], max_turns: int) -> Data:
    """What `on_message` has heard, and the tokens that were counted."""
    done, _, heard = _conversation(before, replies, max_turns)
    return {"heard": heard, "tokens": [(each.input_tokens, each.output_tokens) for each in done.usages]}


def _conversation(
    before: list[Data], replies: list[Data], max_turns: int
) -> tuple[Any, list[Data], list[Data]]:
    """`record_turn` reply after reply; calls that it returns are answered, as the loop does.

    A reply is {"content": [...], "stop_reason": ..., "usage": {...}}; the rest is the same in each.
    """
    from step2_tools.agent.loop import Outcome, record_turn

    done, taken, heard = Outcome(list(before), began=len(before)), [], []
    for reply in replies:
        whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
        message = anthropic.types.Message.model_validate(whole | reply)
        try:
            calls: Any = record_turn(message, done, max_turns, heard.append)
        except httpx2.RemoteProtocolError:
            calls = "broken off"
        taken.append({"calls": calls, "text": done.text, "stop_reason": done.stop_reason})
        if isinstance(calls, list) and calls:
            results = [{"type": "tool_result", "tool_use_id": each["id"], "content": "ok"} for each in calls]
            done.messages.append({"role": "user", "content": results})
    return done, taken, heard
