"""Labelled questions with the calls that each one needs. One JSON object per line.

    {"id": "weather-04", "split": "dev", "kind": "weather", "question": "Will it rain in Dublin tomorrow?",
     "calls": [{"name": "get_weather", "input": {"city": ["Dublin"], "day": ["tomorrow"]}}]}

    >>> len(read("test"))
    100

Each argument has a list of accepted values (scoring.py defines the comparison). Prompts are tuned on `dev`.
`test` was looked at often; `fresh` was written after the adapter's training data, by an author who had not
read it.
"""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"


def read(split: str) -> list[dict[str, Any]]:
    """The questions in a split: dev, test or fresh."""
    file = DATA / ("fresh.jsonl" if split == "fresh" else "questions.jsonl")
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["split"] == split]
