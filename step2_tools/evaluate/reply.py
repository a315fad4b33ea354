"""A model's reply, and the calls that stand anywhere in its text."""

import json
import re
from dataclasses import dataclass
from typing import Any

from step2_tools.evaluate.questions import Call


@dataclass(frozen=True)
class Reply:
    """The model's reply; `calls` is None if the text has no list of calls."""

    calls: list[Call] | None
    text: str
    input_tokens: int
    output_tokens: int


def calls_in(text: str) -> list[Call] | None:
    """The first list of calls, or single call, in the text as JSON; None if there is none.

    `_is_call` defines a call. A single call gives a list of one, and `[]` is a list without calls. The text
    around the JSON doesn't matter. Try to parse JSON at each `[` and `{` in turn. If there is valid JSON,
    but not calls, continue after its end: nothing inside it counts. If there is no valid JSON (or it is
    nested too deep to be parsed), continue with the next bracket.

    >>> calls_in('Sure! [{"name": "get_time", "input": {"city": "Vaduz"}}]')
    [{'name': 'get_time', 'input': {'city': 'Vaduz'}}]
    """
    ### BEGIN SOLUTION 2.3: Calls in text
    place = 0  # where the search for the next bracket begins
    while opening := re.compile(r"[\[{]").search(text, place):
        try:
            value, place = json.JSONDecoder().raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place = opening.end()
            continue
        calls: list[Any] = [value] if isinstance(value, dict) else value
        if all(_is_call(call) for call in calls):
            return calls
    return None
    ### END SOLUTION


def _is_call(value: Any) -> bool:
    """Whether the value is an object with only a name (a string) and an input (an object)."""
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "input"}
        and isinstance(value["name"], str)
        and isinstance(value["input"], dict)
    )
