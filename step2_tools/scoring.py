"""Are these the calls that the question asks for? Predicted calls against labelled ones.

    labelled   {"name": "get_weather", "input": {"city": ["Bangkok"], "day": ["today", null]}}
    predicted  {"name": "get_weather", "input": {"city": "bangkok"}}

    >>> score([{"name": "get_weather", "input": {"city": "bangkok"}}], labelled, tools)
    Score(valid=True, right_tool=True, right_arguments=True, needless=0, missing=0)

A label lists the accepted values of each argument; `null` among them means that it may be left out. An
argument that the label doesn't mention must be absent or have its default. Texts are compared without case
and punctuation, numbers as numbers, currencies by their ISO code; the order of calls does not matter.
It does not judge the answer that is written from the results, only the calls.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Call = dict[str, Any]  # {"name": ..., "input": {...}}
ABSENT = object()


@dataclass(frozen=True)
class Score:
    """What is right about the calls of one question."""

    valid: bool  # every call names a tool and fits its input_schema
    right_tool: bool  # the same tools as labelled, each as often
    right_arguments: bool  # the right tools, and every argument of every call
    needless: int  # calls beyond the labelled ones, tool by tool
    missing: int  # labelled calls that were not made


def score(calls: Sequence[Call] | None, labelled: Sequence[Call], tools: Sequence[dict[str, Any]]) -> Score:
    """Compare the calls with the label of the question.

    Args:
        calls: the predicted calls; None when the model wrote nothing that can be read as a list of calls,
            which is not valid and not right, even where no call was asked for.
        labelled: the expected calls, each argument with a list of accepted values.
        tools: the definitions that the model was given (name, description, input_schema).
    """
    schemas = {tool["name"]: tool["input_schema"] for tool in tools}

    def fits(call: Call, label: Call) -> bool:
        schema = schemas.get(label["name"], {})
        return (
            call["name"] == label["name"]
            and is_valid(call["input"], schema)
            and same_arguments(call["input"], label["input"], schema)
        )

    return compared(calls, labelled, [label["name"] for label in labelled], schemas, fits)


def compared(
    calls: Sequence[Call] | None,
    labels: Sequence[Any],
    names: Sequence[str],
    schemas: dict[str, dict[str, Any]],
    fits: Callable[[Call, Any], bool],
) -> Score:
    """A score by any rule `fits(call, label)`; `names` are the tools of the labels, in their order."""
    if calls is None:
        return Score(False, False, False, 0, len(labels))
    made, wanted = Counter(call["name"] for call in calls), Counter(names)
    valid = all(call["name"] in schemas and is_valid(call["input"], schemas[call["name"]]) for call in calls)
    right_tool = made == wanted
    return Score(
        valid,
        right_tool,
        right_tool and pair_up(calls, labels, fits) == len(labels),
        (made - wanted).total(),
        (wanted - made).total(),
    )


def is_valid(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a call's input fits the tool's input_schema (JSON Schema 2020-12)."""
    import jsonschema

    return jsonschema.Draft202012Validator(schema).is_valid(value)


def same_arguments(arguments: dict[str, Any], label: dict[str, list[Any]], schema: dict[str, Any]) -> bool:
    """Whether each argument has an accepted value, and what the label doesn't mention its default."""
    properties = schema.get("properties", {})
    for name in arguments.keys() | label.keys():
        default = properties.get(name, {}).get("default", ABSENT)
        given = arguments.get(name, ABSENT)
        accepted = label.get(name, [default])
        if given is ABSENT and None in accepted:
            continue
        value = default if given is ABSENT else given
        if value is ABSENT or not any(_same(name, value, each) for each in accepted if each is not ABSENT):
            return False
    return True


def _same(name: str, a: Any, b: Any) -> bool:
    """Whether two values of an argument mean the same: True is not 1, and "1" is not 1."""
    if isinstance(a, str) and isinstance(b, str):
        normal = _currency if name.endswith("currency") else _letters
        return normal(a) == normal(b)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _letters(text: str) -> str:
    """Without case, spaces and punctuation; letters of every script, digits and signs such as $ stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PZC")


def _currency(text: str) -> str:
    """The ISO code of a currency's name or code; a text that is none stays a text."""
    from anthropic.lib.tools import ToolError

    from step2_tools.currency import code_of

    try:
        return code_of(text)
    except ToolError:
        return _letters(text)


def pair_up(calls: Sequence[Any], labels: Sequence[Any], fits: Callable[[Any, Any], bool]) -> int:
    """How many calls can be paired with a label of their own that they fit.

    The largest number possible (augmenting paths, Kuhn 1955): a call that fits two labels must not take
    the only one that another fits.
    """
    taken: dict[int, int] = {}  # label -> call

    def place(call: int, tried: set[int]) -> bool:
        for label in range(len(labels)):
            if label not in tried and fits(calls[call], labels[label]):
                tried.add(label)
                if label not in taken or place(taken[label], tried):
                    taken[label] = call
                    return True
        return False

    return sum(place(call, set()) for call in range(len(calls)))
