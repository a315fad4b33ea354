"""The answer's three forms: text, Markdown, or JSON that follows a published schema.

    $ python -m step2_tools "What is the weather in Bangkok?" --format json
    {
     "question": "What is the weather in Bangkok?",
     "answer": "In Bangkok, Thailand it is 31 °C now, ...",
     "data": [{"tool": "get_weather", ...}]
    }
    $ python -m step2_tools schema        that schema

The model writes the answer's text only, and is held to a schema for it (`output_config`); the facts in
`data` are copied from the tool results by this code, so that no model can misquote them. What comes is
validated here again: a server may ignore the schema, and an answer that is cut is no JSON.

Source: https://docs.claude.com/en/docs/build-with-claude/structured-outputs
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from anthropic import transform_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step2_tools.loop import Call

Format = Literal["text", "json", "markdown"]


class Written(BaseModel):
    """What the model writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: str = Field(description="The answer to the question, in one to three plain sentences.")


class Fact(BaseModel):
    """One tool call and its result."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tool: str
    arguments: dict[str, Any]
    is_error: bool
    result: dict[str, Any] | str = Field(description="The tool's JSON object, or its error in words.")


class Answer(BaseModel):
    """The answer to a question, and every fact that was looked up for it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    answer: str
    data: list[Fact]


def schema() -> dict[str, Any]:
    """The published JSON schema of `--format json`."""
    return Answer.model_json_schema()


def request_for(format: Format) -> dict[str, Any]:
    """What a request needs so that its last turn comes in that format."""
    if format != "json":
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": transform_schema(Written)}}}


def system_for(format: Format, system: str) -> str:
    """The system message, with a word about the format where the model has to know."""
    return f"{system}\n\nWrite the answer in Markdown." if format == "markdown" else system


def written(text: str) -> str:
    """The answer in what the model wrote under the schema.

    Raises:
        ValueError: it doesn't follow the schema; says where.
    """
    try:
        return Written.model_validate_json(text).answer
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'the text'}: {first['msg']}") from None


def as_json(question: str, answer: str, calls: Sequence[Call]) -> Answer:
    """The whole, held against its own schema.

    >>> as_json("Where?", "Here.", []).model_dump_json()
    '{"question":"Where?","answer":"Here.","data":[]}'
    """
    facts = [
        Fact(tool=call.tool, arguments=call.input, is_error=call.is_error, result=_result(call))
        for call in calls
    ]
    return Answer(question=question, answer=answer, data=facts)


def as_markdown(answer: str, calls: Sequence[Call]) -> str:
    """The answer, and below it a table of where its facts come from."""
    if not calls:
        return answer
    rows = [f"| {call.tool} | {_cell(_said(call))} | {_cell(_source(call))} |" for call in calls]
    return "\n".join([answer, "", "| tool | result | source |", "|---|---|---|", *rows])


def _result(call: Call) -> dict[str, Any] | str:
    """The object that a result is, or its text when it is none (an error, or cut for its length)."""
    try:
        value = json.loads(call.result)
    except ValueError:
        return call.result
    return value if isinstance(value, dict) else call.result


def _said(call: Call) -> str:
    result = _result(call)
    return str(result.get("summary", call.result)) if isinstance(result, dict) else result


def _source(call: Call) -> str:
    result = _result(call)
    return str(result.get("source", "")) if isinstance(result, dict) else ""


def _cell(text: str) -> str:
    """Text as a cell of a Markdown table: what a tool says may not end it, nor bring its own markup."""
    line = " ".join(text.split())
    for special in "\\|<[*_`":
        line = line.replace(special, "\\" + special)
    return line
