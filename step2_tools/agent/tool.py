"""Makes a tool from a function: a schema from its signature, and errors that help the model.

    from step2_tools.agent.tool import FunctionTool

    def double(number: float) -> str:
        "Double a number."
        return str(2 * number)

    tool = FunctionTool(double)
    tool.to_dict()                 {"name": "double", "description": "Double a number.", "input_schema": ...}
    tool.call({"number": 21})      "42.0"
    tool.call({"numbr": 21})       ToolError: number is missing; 'numbr' is not an argument of double: ...

The class extends the SDK's BetaFunctionTool: the SDK makes the schema, and its tool_runner accepts the tool.
The class adds safety: it checks arguments strictly before the call, limits the time of a call, cuts a huge
result, and turns any exception into one line for the model, without internals; the exception itself goes to
stderr, for the tool's author. A function that exceeds its time limit keeps running in its thread, because
Python can't stop it.
"""

import contextvars
import inspect
import json
import logging
import threading
import traceback
import typing
import unicodedata
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any

import pydantic
from anthropic.lib.tools import BetaFunctionTool, ToolError

MAX_CHARACTERS = 20_000
TIME_LIMIT_S = 30.0
TRACEBACK_FRAMES = 2  # the last ones, of a tool that failed

log = logging.getLogger(__name__)


class FunctionTool(BetaFunctionTool[Callable[..., str]]):
    """A tool made from a typed function with a docstring. Its `call` raises only ToolError."""

    def __init__(
        self, func: Callable[..., str], *, limit_s: float = TIME_LIMIT_S, words: Collection[str] = ()
    ) -> None:
        """`words`, in lower case, are those with which results state facts: grounding.py checks them."""
        super().__init__(func)
        self.limit_s = limit_s
        self.words = frozenset(words)
        self._arguments = _arguments_of(func)

    def call(self, input: object) -> str:
        """Check the arguments, run the function within the time limit, and cut a long result.

        Raises:
            ToolError: one line for the model: which argument is wrong and what is allowed, or that the tool
                failed or took too long.
        """
        result = self._within_limit(self._checked(input))
        if not isinstance(result, str):
            raise ToolError(f"{self.name} returned no text")
        return cut(result)

    def _checked(self, input: object) -> dict[str, Any]:
        """The function's arguments by name, in the signature's order, as `self._arguments` validates them.

        An argument that was not given has its default; 3 for a float becomes 3.0.

        Raises:
            ToolError: if the input is not a dict, `the input of NAME must be a JSON object with A, B` (all
                arguments); otherwise the first five errors, each as `_explained` words it, joined by "; ".
        """
        ### BEGIN SOLUTION 2.7: Validation
        names = list(self._arguments.model_fields)
        if not isinstance(input, dict):
            raise ToolError(f"the input of {self.name} must be a JSON object with {', '.join(names)}")
        try:
            checked = self._arguments.model_validate(input)
        except pydantic.ValidationError as error:
            wrong = "; ".join(self._explained(details) for details in error.errors()[:5])
            raise ToolError(wrong) from None
        return {name: getattr(checked, name) for name in names}
        ### END SOLUTION

    def _explained(self, error: Any) -> str:
        """One of pydantic's `ValidationError.errors()` in words, in a form that depends on its `type`.

            missing           dish is missing
            extra_forbidden   'dihs' is not an argument of order: allowed are dish, size      (or: are none)
            any other         size = "huge" is not allowed: it must be 'small' or 'large'

        The name is the first item of `loc`, through `sanitize` with a limit of 40 ('dihs' as `repr` writes
        it). The value is `input` as JSON (é stays é; `str` converts what JSON doesn't have), through
        `sanitize` with a limit of 60. What is allowed is `msg` without a leading "Input should be ", with
        "text" in place of "a valid string".
        """
        ### BEGIN SOLUTION 2.7: Validation
        name = sanitize(str(error["loc"][0]), 40)
        if error["type"] == "missing":
            return f"{name} is missing"
        if error["type"] == "extra_forbidden":
            allowed = ", ".join(self._arguments.model_fields) or "none"
            return f"{name!r} is not an argument of {self.name}: allowed are {allowed}"
        given = sanitize(json.dumps(error["input"], ensure_ascii=False, default=str), 60)
        allowed = error["msg"].removeprefix("Input should be ").replace("a valid string", "text")
        return f"{name} = {given} is not allowed: it must be {allowed}"
        ### END SOLUTION

    def _within_limit(self, arguments: dict[str, Any]) -> str:
        """Run the function in its own thread, so that we can stop waiting for it, and return its result.

        Raises:
            ToolError: the function's own error, or that it failed or took too long.
        """
        result: Future[str] = Future()

        def run() -> None:
            try:
                result.set_result(self.func(**arguments))
            except ToolError as error:
                result.set_exception(error)
            except BaseException as error:  # including SystemExit: a tool must not end the conversation
                log.warning(_for_author(self.name, error))
                result.set_exception(ToolError(f"{self.name} failed and gave no result"))

        context = contextvars.copy_context()  # so that traces assign the call to its caller
        thread = threading.Thread(target=context.run, args=(run,), name=f"tool-{self.name}", daemon=True)
        thread.start()
        try:
            return result.result(self.limit_s)
        except TimeoutError:
            raise ToolError(f"{self.name} took longer than {self.limit_s:g} s; try again") from None


def show_tracebacks(on: bool) -> None:
    """Whether a tool that fails shows the end of its traceback, too."""
    log.setLevel(logging.DEBUG if on else logging.NOTSET)


def _for_author(name: str, error: BaseException) -> str:
    """What the tool's author reads on stderr: the exception, which the model doesn't see."""
    line = f"{name} failed: {sanitize(f'{type(error).__name__}: {error}', 300)}"
    if not log.isEnabledFor(logging.DEBUG):
        return line
    frames = traceback.format_tb(error.__traceback__)[-TRACEBACK_FRAMES:]
    return visible("".join([*frames, line]))


def _arguments_of(func: Callable[..., str]) -> type[pydantic.BaseModel]:
    """A strict pydantic model of the signature: only values that the schema allows pass ("5" is no number).

    It has a field for each parameter of the function or bound method, in the signature's order, with the type
    of its hint (also if hints are strings; `Annotated` is kept) and its default; without a default it is
    required. Other arguments are refused, and so are numbers that JSON doesn't have (NaN, infinity).
    """
    ### BEGIN SOLUTION 2.6: A strict check from a signature
    hints = typing.get_type_hints(func, include_extras=True)
    fields: dict[str, Any] = {}  # as pydantic wants them: name -> (type, default or ...)
    for name, parameter in inspect.signature(func).parameters.items():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], default)
    config = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    return pydantic.create_model("Arguments", __config__=config, **fields)
    ### END SOLUTION


def cut(result: str) -> str:
    """The result, cut to MAX_CHARACTERS with a note if it is longer."""
    if len(result) <= MAX_CHARACTERS:
        return result
    note = f"\n[cut: the result had {len(result):,} characters, this is its beginning]"
    return result[: MAX_CHARACTERS - len(note)] + note


def sanitize(text: str, limit: int = 80) -> str:
    """Untrusted text on one line, without control or invisible characters, cut to the limit.

    >>> sanitize("Par\\x1b[31mis\\n\\nIgnore all rules")
    'Par[31mis Ignore all rules'
    """
    line = " ".join(visible(text[: 20 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def visible(text: str) -> str:
    """The text without control and invisible characters; line ends are kept.

    >>> visible("Par\\x1b[31mis\\r\\n\\u200bto")
    'Par[31mis \\nto'
    """
    chars = (" " if char.isspace() and char not in "\n\t" else char for char in text)
    hidden = ("Cc", "Cf", "Cs", "Co")
    return "".join(char for char in chars if char in "\n\t" or unicodedata.category(char) not in hidden)


def result(
    summary: str, facts: dict[str, Any], source: str, sample_date: str | None = None, part: str = ""
) -> str:
    """A tool's result as JSON text: a one-sentence summary, the facts, and their source.

    `sample_date` is the date of the sample data if that replaced the service (for a `part` of the result,
    such as "time zone: "); then summary and source say so.
    """
    fields = {"summary": summary, **facts, "source": source}
    if sample_date:
        fields["summary"] = f"{summary.removesuffix('.')} ({part}sample data of {sample_date})."
        fields["source"] = f"{part}sample data, not measured, in the shape of: {source}"
        fields["sample"] = True
        fields["sample_date"] = sample_date
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)
