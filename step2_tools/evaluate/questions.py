"""Labelled questions with the calls that each one needs. One JSON object per line.

    {"id": "weather-04", "split": "dev", "kind": "weather", "question": "Will it rain in Dublin tomorrow?",
     "calls": [{"name": "get_weather", "input": {"city": ["Dublin"], "day": ["tomorrow"]}}]}

    >>> len(read("test"))
    100

Each argument has a list of accepted values (scoring.py defines the comparison). Prompts are tuned on `dev`.
`test` was looked at often; `fresh` was written after the adapter's training data, by an author who had not
read it. Each question of `several` needs two or three calls; `answers` asks them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from shared.embedded.wire import Schema

DATA = Path(__file__).parents[1] / "data"
FILES = {"fresh": "fresh.jsonl", "several": "several.jsonl"}  # dev and test are in one file
Arguments = dict[str, Any]  # of a call: JSON values by name


class ToolDefinition(TypedDict):
    """A tool as a request has it."""

    name: str
    description: NotRequired[str]
    input_schema: Schema  # of the arguments


class Call(TypedDict):
    """A call that the model made."""

    name: str
    input: Arguments


class Label(TypedDict):
    """A call that a question needs: for each argument, the accepted values; None: it may be left out."""

    name: str
    input: dict[str, list[Any]]


@dataclass(frozen=True)
class Question:
    """A question, and the calls that answer it; none if the model should answer without a tool."""

    id: str
    kind: str  # weather, several, neither, ...
    text: str
    calls: Sequence[Label]
    tools: Sequence[ToolDefinition] | None = None  # None: the assistant's


def read(split: str) -> list[Question]:
    """The questions in a split: dev, test, fresh or several."""
    file = DATA / FILES.get(split, "questions.jsonl")
    questions = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] == split:
            questions.append(Question(row["id"], row["kind"], row["question"], row["calls"]))
    return questions
