"""Compares the model's calls with the labelled ones.

    labelled   {"name": "get_weather", "input": {"city": ["Bangkok"], "day": ["today", null]}}
    predicted  {"name": "get_weather", "input": {"city": "bangkok"}}

    >>> score([{"name": "get_weather", "input": {"city": "bangkok"}}], labelled, tools)
    Score(valid=True, right_tool=True, right_arguments=True, needless=False)

A label lists the accepted values of each argument; `null` means that it may be left out. An argument that
the label doesn't mention must be absent or have its default. Texts are compared without case and
punctuation, numbers as numbers, currencies by their ISO code; the order of calls doesn't matter. Only the
calls are scored, not the answer that the model writes from their results.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
from anthropic.lib.tools import ToolError
from scipy.optimize import linear_sum_assignment

from shared.embedded.wire import Schema
from step2_tools.evaluate.questions import Arguments, Call, Label, ToolDefinition
from step2_tools.tools.currency import code_of

ABSENT = object()  # in place of an argument or a default that there is not


@dataclass(frozen=True)
class Score:
    """The score for one question's calls."""

    valid: bool  # every call names a tool and fits its input_schema
    right_tool: bool  # the same tools as labelled, each as often
    right_arguments: bool  # the right tools, and every argument of every call
    needless: bool  # there are more calls of some tool than labelled


def score(calls: Sequence[Call] | None, labelled: Sequence[Label], tools: Sequence[ToolDefinition]) -> Score:
    """Compare the calls with the question's label.

    Args:
        calls: the predicted calls; None if the model's text has no list of calls, which is neither valid nor
            right, even if no call was needed.
        labelled: the expected calls, each argument with a list of accepted values.
        tools: the tool definitions in the model's prompt (name, description, input_schema).
    """
    if calls is None:
        return Score(valid=False, right_tool=False, right_arguments=False, needless=False)
    schemas = {tool["name"]: tool["input_schema"] for tool in tools}
    predicted = Counter(call["name"] for call in calls)
    expected = Counter(label["name"] for label in labelled)

    def is_known_and_valid(call: Call) -> bool:
        return call["name"] in schemas and is_valid(call["input"], schemas[call["name"]])

    def fits(call: Call, label: Label) -> bool:
        schema = schemas.get(label["name"], {})
        return call["name"] == label["name"] and same_arguments(call["input"], label["input"], schema)

    valid = all(is_known_and_valid(call) for call in calls)
    right_tool = predicted == expected
    right_arguments = valid and right_tool and count_pairs(calls, labelled, fits) == len(labelled)
    return Score(valid, right_tool, right_arguments, needless=bool(predicted - expected))


def is_valid(value: object, schema: Schema) -> bool:
    """Whether a call's input fits the tool's input_schema (JSON Schema 2020-12)."""
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def same_arguments(arguments: Arguments, label: dict[str, list[Any]], schema: Schema) -> bool:
    """Whether each argument has an accepted value; without a label, only its default is accepted."""
    properties = schema.get("properties", {})
    for name in arguments.keys() | label.keys():
        default = properties.get(name, {}).get("default", ABSENT)
        accepted = label.get(name, [default])
        if name not in arguments and None in accepted:
            continue  # it may be left out
        value = arguments.get(name, default)
        if value is ABSENT or not any(_same(name, value, option) for option in accepted):
            return False
    return True


def _same(name: str, a: Any, b: Any) -> bool:
    """Whether two values of an argument mean the same: True is not 1, and "1" is not 1."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(name, x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(key, a[key], b[key]) for key in a)
    if isinstance(a, str) and isinstance(b, str):
        normalize = _currency if name.endswith("currency") else _fold
        return normalize(a) == normalize(b)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _fold(text: str) -> str:
    """The text without case, spaces and punctuation; letters, digits and symbols such as $ are kept."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Unicode's categories of punctuation (P), separators (Z) and control characters (C)
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PZC")


def _currency(text: str) -> str:
    """The ISO code of a currency's name or code; for other text, as `_fold`."""
    try:
        return code_of(text)
    except ToolError:
        return _fold(text)


def count_pairs(calls: Sequence[Call], labels: Sequence[Label], fits: Callable[[Call, Label], bool]) -> int:
    """The largest number of calls that can each be assigned a different label that they fit.

    A call that fits two labels must not take the only label that another call fits.
    """
    if not calls or not labels:
        return 0
    matrix = []  # (calls, labels): 1 where the call fits the label
    for call in calls:
        matrix.append([int(fits(call, label)) for label in labels])
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    return sum(matrix[row][column] for row, column in zip(rows, columns, strict=True))
