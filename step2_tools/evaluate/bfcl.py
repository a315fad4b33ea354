"""Questions of the Berkeley Function Calling Leaderboard, in the form of ours (questions.py).

    questions  {"id": "multiple_2", "question": [[{"role": "user", "content": "..."}]], "function": [...]}
    answers    {"id": "multiple_2", "ground_truth": [{"country_info.capital": {"country": ["Brazil"]}}]}

    $ python -m step2_tools evaluate --bfcl bfcl_eval/data/BFCL_v4_multiple.json

The files are in the package `bfcl-eval`. Those with one turn and Python functions can be read: simple_python,
multiple, parallel, parallel_multiple, irrelevance. Our scoring is stricter than theirs in places; for the
leaderboard, use their package.
"""

import json
from pathlib import Path
from typing import Any

from shared.embedded.wire import Schema
from shared.errors import UserError, reason
from step2_tools.evaluate.questions import Label, Question, ToolDefinition

JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "list": "array"}


def read(file: Path) -> list[Question]:
    """The questions in a file, each with its own tools; answers are in possible_answer/ beside it.

    Raises:
        UserError: a file can't be read, or has another format.
    """
    rows = _json_lines(file)
    try:
        answers = {row["id"]: [] for row in rows if "irrelevance" in row["id"]}
        if len(answers) < len(rows):
            answer_rows = _json_lines(file.parent / "possible_answer" / file.name)
            answers |= {row["id"]: row["ground_truth"] for row in answer_rows}
        return [_question(row, answers[row["id"]]) for row in rows]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{file}: not a BFCL file of one turn and Python functions: {error!r}") from None


def _json_lines(file: Path) -> list[Any]:
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: {reason(error)}") from None
    if not rows:
        raise UserError(f"{file}: no questions")
    return rows


def _question(row: dict[str, Any], ground_truth: list[dict[str, Any]]) -> Question:
    """A question of ours from a row of theirs and its answer."""
    (messages,) = row["question"]  # one turn
    calls: list[Label] = []
    for call in ground_truth:
        for name, arguments in call.items():
            accepted = {}
            for argument, values in arguments.items():
                accepted[argument] = [_accepted(value) for value in values]
            calls.append({"name": _name(name), "input": accepted})
    return Question(
        id=row["id"],
        kind=row["id"].rsplit("_", 1)[0],
        text="\n\n".join(message["content"] for message in messages),
        calls=calls,
        tools=[_tool(function) for function in row["function"]],
    )


def _tool(function: dict[str, Any]) -> ToolDefinition:
    return {
        "name": _name(function["name"]),
        "description": function["description"],
        "input_schema": json_schema(function["parameters"]),
    }


def _name(name: str) -> str:
    """A name that the Messages API allows: math.hypot becomes math_hypot."""
    return name.replace(".", "_")


def json_schema(parameters: dict[str, Any]) -> Schema:
    """Their description of parameters as JSON Schema: its names for the types, at every depth.

    >>> json_schema({"type": "dict", "properties": {"x": {"type": "float"}}})
    {'type': 'object', 'properties': {'x': {'type': 'number'}}}
    """
    schema = {key: value for key, value in parameters.items() if key != "optional"}
    if schema.get("type") == "any":
        del schema["type"]
    elif "type" in schema:
        schema["type"] = JSON_TYPES.get(schema["type"], schema["type"])
    if "properties" in schema:
        properties = schema["properties"].items()
        schema["properties"] = {name: json_schema(parameter) for name, parameter in properties}
    if "items" in schema:
        schema["items"] = json_schema(schema["items"])
    return schema


def _accepted(value: Any) -> Any:
    """An accepted value in our form: theirs is "" where the argument may be left out, ours None."""
    if isinstance(value, dict):  # each field has a list of values; the first one stands for all
        fields = {}
        for name, values in value.items():
            if values != [""]:
                fields[name] = values[0] if isinstance(values, list) else values
        return fields
    return None if value == "" else value
