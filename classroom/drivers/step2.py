"""Stand-ins for step 2: typed functions, tools and replies of a model, with the grader's content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import anthropic
import pydantic
from anthropic.lib.tools import BetaFunctionTool

SCOPE = {"Annotated": Annotated, "Literal": Literal, "Field": pydantic.Field}
WHOLE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}


def function(source: str, name: str) -> Callable[..., Any]:
    """The object `name` of the test's source. Its hints are strings: this file imports annotations."""
    scope = dict(SCOPE)
    exec(source, scope)
    return eval(name, scope)


def fields(model: type[pydantic.BaseModel]) -> list[tuple[str, bool, Any]]:
    """The fields of a model: name, whether it is required, and the default of one that is not."""
    return [
        (str(name), field.is_required(), None if field.is_required() else field.default)
        for name, field in model.model_fields.items()
    ]


def validated(model: type[pydantic.BaseModel], given: Any) -> dict[str, Any]:
    """Whether the model accepts the arguments, the names of those that are wrong, and the validated ones."""
    try:
        made = model.model_validate(given)
    except pydantic.ValidationError as error:
        wrong = [each["loc"][0] for each in error.errors()]
        return {"verdict": "refused", "wrong": wrong, "arguments": {}}
    arguments = {str(name): getattr(made, name) for name in model.model_fields}
    return {"verdict": "accepted", "wrong": [], "arguments": arguments}


class Order(pydantic.BaseModel):
    """Ready-made arguments: making them is another exercise."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    dish: str
    size: Literal["small", "large"] = "small"
    count: int = 1
    price: float = 2.5


class Nothing(pydantic.BaseModel):
    """No arguments at all."""

    model_config = pydantic.ConfigDict(extra="forbid")


def function_tool(name: str, takes_nothing: bool = False) -> Any:
    """A FunctionTool without its own constructor, which needs `_arguments_of`."""
    from step2_tools.agent.tool import FunctionTool

    def serve(**given: Any) -> str:
        return str(given)

    arguments = Nothing if takes_nothing else Order
    tool = FunctionTool.__new__(FunctionTool)
    BetaFunctionTool.__init__(tool, serve, name=name, description="Serve.", input_schema=arguments)
    tool._arguments = arguments
    return tool


class Tool:
    """A tool whose function is the grader's."""

    def __init__(self, name: str, call: Callable[[Any], Any]) -> None:
        self.name, self._call = name, call

    def call(self, input: object) -> Any:
        return self._call(input)


def message(reply: dict[str, Any]) -> anthropic.types.Message:
    """A reply {"content": [...], "stop_reason": ..., "usage": {...}} as the SDK gives it."""
    return anthropic.types.Message.model_validate(WHOLE | reply)
