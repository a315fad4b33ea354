"""Berkeley's function-calling questions in their own format, scored by their rules.

    questions  {"id": "multiple_2", "question": [[{"role": "user", "content": "..."}]], "function": [...]}
    answers    {"id": "multiple_2", "ground_truth": [{"country_info.capital": {"country": ["Brazil"]}}]}

    $ python -m step2_tools evaluate --bfcl BFCL_v4_multiple.json

Answers are looked for beside the file, in possible_answer/ under the same name. Files with one turn and
Python functions can be read: simple_python, multiple, parallel, parallel_multiple, the same of `live`, and
irrelevance (no call is right). Java, JavaScript, multi-turn and web search can't.

Source: the Berkeley Function Calling Leaderboard, "AST evaluation" (gorilla.cs.berkeley.edu/leaderboard.html)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason
from step2_tools.questions import json_lines
from step2_tools.scoring import Call, Score, compared

# Their names of types, in JSON Schema; "any" and "" say nothing, so nothing is said.
JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "list": "array", "any": None, "": None}
PYTHON_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "float": float,
    "number": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "list": list,
    "dict": dict,
    "object": dict,
    "any": str,
}
IGNORED = str.maketrans({"'": '"'} | dict.fromkeys(" ,./-_*^"))  # when texts are compared


@dataclass(frozen=True)
class Case:
    """One question: what to send (`system`, `messages`, `tools`), and what is right."""

    id: str
    system: str | None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]  # definitions for the Messages API; their names are `names`' keys
    names: dict[str, str]  # name of a tool -> name of their function, which may have dots
    functions: dict[str, dict[str, Any]]  # their name -> its parameters, as they write them
    truth: list[dict[str, dict[str, Any]]]  # [{function: {parameter: [accepted values]}}]


def read(file: Path, answers: Path | None = None) -> list[Case]:
    """The questions of a file, each with its answer.

    Raises:
        UserError: a file that can't be read or is of another kind, or an answer that is missing.
    """
    questions = [row for _, row in json_lines(file)]
    if all("irrelevance" in str(row.get("id")) for row in questions):
        truths: dict[Any, Any] = {row["id"]: [] for row in questions}
    else:
        answers = answers or file.parent / "possible_answer" / file.name
        truths = {row.get("id"): row.get("ground_truth") for _, row in json_lines(answers)}
    cases = []
    for row in questions:
        if row.get("id") not in truths:
            raise UserError(f"{file}: {answers} has no answer to question {row.get('id')!r}")
        try:
            cases.append(_case(row, truths[row["id"]]))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else reason(error)
            raise UserError(f"{file}: question {row.get('id')!r} is not in their format: {what}") from None
    return cases


def score(case: Case, calls: Sequence[Call] | None) -> Score:
    """Judge the calls (with the tools' names) by their AST rules.

    As many calls as in the answer, each paired with one of its own (the best pairing; their checker takes
    the first that fits). `valid` is not theirs: it is whether the calls fit the schemas that the model was
    given, which some of their own answers don't.
    """
    schemas = {tool["name"]: tool["input_schema"] for tool in case.tools}
    labels = [(name, accepted) for each in case.truth for name, accepted in each.items()]
    tool_of = {theirs: ours for ours, theirs in case.names.items()}

    def fits(call: Call, label: tuple[str, dict[str, Any]]) -> bool:
        name, accepted = label
        return case.names.get(call["name"]) == name and is_right(
            call["input"], accepted, case.functions[name]
        )

    return compared(calls, labels, [tool_of[name] for name, _ in labels], schemas, fits)


def is_right(arguments: dict[str, Any], accepted: dict[str, list[Any]], parameters: dict[str, Any]) -> bool:
    """One call against one answer: nothing unknown, nothing missing, each value of the type and accepted.

    "" among the accepted values means that the argument may be left out.
    """
    known = parameters["properties"]
    return (
        all(name in arguments for name in parameters.get("required", []))
        and all(name in arguments or "" in values for name, values in accepted.items())
        and all(
            name in known and name in accepted and _accepts(value, accepted[name], known[name])
            for name, value in arguments.items()
        )
    )


def _accepts(value: Any, accepted: list[Any], declared: dict[str, Any]) -> bool:
    """Whether one argument has the declared type and an accepted value."""
    expected = PYTHON_TYPES[declared["type"]]
    if expected is float and type(value) is int:
        return _accepts(float(value), accepted, declared)
    of_accepted = _type_of_first(accepted)
    if of_accepted not in (None, expected):  # the answer has another type than was declared: take its word
        return type(value) in (expected, of_accepted) and value in accepted
    if type(value) is not expected:
        return False
    if expected is str:
        return _plain(value) in [_plain(each) for each in accepted]
    if expected is dict:
        return any(_same_dict(value, each) for each in accepted if isinstance(each, dict))
    if expected is list:
        items = PYTHON_TYPES.get(declared.get("items", {}).get("type", ""))
        if "" in accepted and value == []:
            return True  # an empty list is as good as none
        if "" in accepted and items is not dict:
            items = None  # by their rules, types inside don't matter where the list is optional
        return any(_same_list(value, each, items) for each in accepted if isinstance(each, list))
    return value in accepted


def _same_list(value: list[Any], accepted: list[Any], items: type | None) -> bool:
    """The same items in the same order, each of the declared type or of the one that the answer has."""
    if items is dict:
        return len(value) == len(accepted) and all(map(_same_dict, value, accepted))
    types = (items, _type_of_first(accepted))
    return [_plain(each) for each in value] == [_plain(each) for each in accepted] and (
        items is None or all(type(each) in types for each in value)
    )


def _same_dict(value: Any, accepted: dict[str, Any]) -> bool:
    """Known keys only, and none missing whose values don't include ""; a dict inside likewise."""
    if not isinstance(value, dict):
        return False
    for key in value.keys() | accepted.keys():
        options = accepted.get(key)
        if options is None or (key not in value and "" not in options):
            return False
        if isinstance(options, dict):  # nested without a list of options
            if not _same_dict(value[key], options):
                return False
        elif key in value and not any(
            _plain(value[key]) == _plain(each)
            or (isinstance(each, dict) and _is_nested(each) and _same_dict(value[key], each))
            for each in options
        ):
            return False
    return True


def _is_nested(options: dict[str, Any]) -> bool:
    """Whether a dict in an answer lists options of its own, {"key": [value, ...]}, or is plain data."""
    return bool(options) and all(isinstance(each, list | dict) for each in options.values())


def _plain(value: Any) -> Any:
    """A text without case, spaces and the punctuation that they ignore; other values as they are."""
    return value.translate(IGNORED).lower() if isinstance(value, str) else value


def _type_of_first(accepted: list[Any]) -> type | None:
    return next((type(each) for each in accepted if each != ""), None)


# --- their files ----------------------------------------------------------------------------------------


def _case(row: dict[str, Any], truth: Any) -> Case:
    if re.search(r"java", row["id"]):
        raise ValueError("only files with Python functions can be scored")
    if len(row["question"]) != 1 or not row.get("function"):
        raise ValueError("only questions of one turn, with a list of functions, can be asked")
    system = [turn["content"] for turn in row["question"][0] if turn["role"] == "system"]
    messages = [turn for turn in row["question"][0] if turn["role"] != "system"]
    names = tool_names([function["name"] for function in row["function"]])
    tools = [
        {
            "name": name,
            "description": function.get("description", ""),
            "input_schema": json_schema(function["parameters"]),
        }
        for name, function in zip(names, row["function"], strict=True)
    ]
    functions: dict[str, dict[str, Any]] = {}
    for function in row["function"]:
        functions.setdefault(function["name"], function["parameters"])
    for name in (name for answer in truth for name in answer):
        for about in functions[name]["properties"].values():
            PYTHON_TYPES[about["type"]]  # a KeyError says which function, key or type isn't known
    return Case(row["id"], "\n".join(system) or None, messages, tools, names, functions, truth)


def tool_names(names: Sequence[str]) -> dict[str, str]:
    """Names that the Messages API takes, each with the one it stands for: math_hypot -> math.hypot."""
    ours: dict[str, str] = {}
    for name in names:
        base = plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:128]
        number = 1
        while plain in ours:
            number += 1
            plain = f"{base[:120]}_{number}"
        ours[plain] = name
    return ours


def json_schema(theirs: dict[str, Any]) -> dict[str, Any]:
    """Their description of parameters as JSON Schema: types renamed, at every depth.

    >>> json_schema({"type": "dict", "properties": {"x": {"type": "float", "optional": True}}})
    {'type': 'object', 'properties': {'x': {'type': 'number'}}}
    """
    ours: dict[str, Any] = {}
    for key, value in theirs.items():
        if key == "type":
            kind = JSON_TYPES.get(value, value)
            ours |= {"type": kind} if kind else {}
        elif key == "properties":
            ours["properties"] = {name: json_schema(each) for name, each in value.items()}
        elif key == "items":
            ours["items"] = json_schema(value)
        elif key != "optional":  # says no more than `required` does
            ours[key] = value
    return ours
