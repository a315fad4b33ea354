"""Berkeley's function-calling questions as labelled questions of ours: reads a file of their format.

    questions  {"id": "multiple_2", "question": [[{"role": "user", "content": "..."}]], "function": [...]}
    answers    {"id": "multiple_2", "ground_truth": [{"country_info.capital": {"country": ["Brazil"]}}]}

    $ python -m step2_tools evaluate --bfcl BFCL_v4_multiple.json

Answers are looked for beside the file, in possible_answer/ under the same name. Files with one turn and
Python functions can be read: simple_python, multiple, parallel, parallel_multiple, the same of `live`, and
irrelevance (no call is right). The calls are judged by scoring.py, which is close to their AST evaluation and
not the same: where a figure goes onto the leaderboard, use their package bfcl-eval.

Source: the Berkeley Function Calling Leaderboard (gorilla.cs.berkeley.edu/leaderboard.html)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason
from step2_tools.evaluate.questions import json_lines
from step2_tools.evaluate.scoring import Call

# Their names of types in JSON Schema; of others ("any") nothing is said.
JSON_TYPES = {each: each for each in ("string", "integer", "number", "boolean", "array", "object")}
JSON_TYPES |= {"dict": "object", "float": "number", "tuple": "array", "list": "array"}


@dataclass(frozen=True)
class Case:
    """One question: what to send (`system`, `messages`, `tools`), and the labelled calls."""

    id: str
    system: str | None
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]  # definitions for the Messages API
    calls: list[Call]  # each argument with its accepted values; None among them: it may be left out


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


def _case(row: dict[str, Any], truth: Any) -> Case:
    if "java" in row["id"]:
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
    ours = {theirs: name for name, theirs in names.items()}
    calls = [
        {"name": ours[name], "input": {argument: accepted(values) for argument, values in given.items()}}
        for answer in truth
        for name, given in answer.items()
    ]
    return Case(row["id"], "\n".join(system) or None, messages, tools, calls)


def tool_names(names: Sequence[str]) -> dict[str, str]:
    """Names that the Messages API takes, each with the one it stands for: math_hypot -> math.hypot."""
    ours: dict[str, str] = {}
    for name in names:
        base = valid = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:128]
        number = 1
        while valid in ours:
            number += 1
            valid = f"{base[:120]}_{number}"
        ours[valid] = name
    return ours


def json_schema(theirs: dict[str, Any]) -> dict[str, Any]:
    """Their description of parameters as JSON Schema: types renamed, at every depth.

    >>> json_schema({"type": "dict", "properties": {"x": {"type": "float", "optional": True}}})
    {'type': 'object', 'properties': {'x': {'type': 'number'}}}
    """
    ours = {key: value for key, value in theirs.items() if key not in ("type", "optional")}
    if (kind := str(theirs.get("type"))) in JSON_TYPES:
        ours["type"] = JSON_TYPES[kind]
    if "properties" in ours:
        ours["properties"] = {name: json_schema(each) for name, each in ours["properties"].items()}
    if "items" in ours:
        ours["items"] = json_schema(ours["items"])
    return ours


def accepted(values: Sequence[Any]) -> list[Any]:
    """The accepted values of an argument in our form: "" means that it may be left out, as None does here.

    A dict lists options of its own: {"kind": ["clay", "loam"]} is two values.
    """
    return [None if value == "" else each for value in values for each in _written_out(value)]


def _written_out(value: Any) -> list[Any]:
    """Every plain value that an accepted value stands for."""
    if isinstance(value, list):
        return [list(items) for items in product(*map(_written_out, value))]
    if not isinstance(value, dict):
        return [value]
    fields = [
        [None if option == "" else (key, each) for option in options for each in _written_out(option)]
        for key, options in ((key, each if isinstance(each, list) else [each]) for key, each in value.items())
    ]
    return [dict(filter(None, chosen)) for chosen in product(*fields)]
