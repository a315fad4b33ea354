"""The answer as text, or as JSON.

    $ python -m step2_tools "What is the weather in Bangkok?" --format json
    {
     "question": "What is the weather in Bangkok?",
     "answer": "In Bangkok, Thailand it is 31 °C now, ...",
     "looked_up": true,
     "data": [{"tool": "get_weather", ...}]
    }

The model only writes the text of `answer`, under a schema (`output_config`); this code copies the facts in
`data` from the tool results, so that no model can misquote them. The model's reply is also validated here: a
server may ignore the schema, and a reply that was cut off is not JSON.

Source: https://docs.claude.com/en/docs/build-with-claude/structured-outputs
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from anthropic import transform_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import UserError
from shared.validation import first_problem
from step2_tools.agent import grounding
from step2_tools.agent.loop import Call, Tools

Format = Literal["text", "json"]
OWN_WORDS = "nothing was looked up: the model's own words"
TOOLS_WORDS = "the model's reply could not be matched with the results; in the tools' words:"


class Written(BaseModel):
    """What the model writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: str = Field(description="The answer to the question, in one to three plain sentences.")


def request_for(format: Format) -> dict[str, Any]:
    """The request parameters that make the model answer in this format."""
    if format != "json":
        return {}
    return {"output_config": {"format": {"type": "json_schema", "schema": transform_schema(Written)}}}


def parse_answer(text: str, model: str) -> str:
    """The answer in the JSON that the model wrote.

    Raises:
        UserError: the text doesn't fit the schema.
    """
    try:
        return Written.model_validate_json(text).answer
    except ValidationError as error:
        problem = first_problem(error)
        where = problem.place or "the text"
        raise UserError(
            f"{model} did not write the JSON that was asked for ({where}: {problem.message}): "
            "use --format text, or another model"
        ) from None


@dataclass(frozen=True)
class LookedUp:
    """A tool call, and what it returned."""

    tool: str
    arguments: dict[str, Any]
    is_error: bool
    result: dict[str, Any] | str  # a JSON object, or text


@dataclass(frozen=True)
class JsonAnswer:
    """What `--format json` prints."""

    question: str
    answer: str
    looked_up: bool  # whether any call succeeded
    data: list[LookedUp]


def as_json(question: str, answer: str, calls: Sequence[Call]) -> JsonAnswer:
    """The answer to a question, and the facts that were looked up for it.

    >>> as_json("Where?", "Here.", [])
    JsonAnswer(question='Where?', answer='Here.', looked_up=False, data=[])
    """
    data = []
    for call in calls:
        result = grounding.fields(call.result) or call.result
        data.append(LookedUp(call.tool, call.input, call.is_error, result))
    return JsonAnswer(question, answer, looked_up(calls), data)


def looked_up(calls: Sequence[Call]) -> bool:
    """Whether any call succeeded."""
    return any(not call.is_error for call in calls)


@dataclass(frozen=True)
class Guarded:
    """The answer to show."""

    text: str
    problems: list[str]  # why the tools' summaries stand in place of the model's reply; empty: they don't


def guard(reply: str, calls: Sequence[Call], tools: Tools) -> Guarded:
    """The model's reply, or the summaries of all results if the reply isn't what they say (grounding.py)."""
    problems = grounding.problems(reply, calls, grounding.vocabulary_of(tools))
    if not problems:
        return Guarded(reply, [])
    lines = [TOOLS_WORDS]
    for call in calls:
        lines.append(summary(call.result))
    return Guarded("\n".join(lines), problems)


def summary(result: str) -> str:
    """A result's field `summary`, or at most 300 characters of the result."""
    return str(grounding.fields(result).get("summary") or textwrap.shorten(result, 300, placeholder=" ..."))
