import threading
import time
import unicodedata
from typing import Literal

import pytest
from anthropic.lib.tools import ToolError
from hypothesis import given
from hypothesis import strategies as st

from step2_tools.agent.tool import MAX_CHARACTERS, FunctionTool, sanitize
from tests.step2.fake_services import refusal


def order(dish: str, size: Literal["small", "large"] = "small", count: int = 1, price: float = 2.5) -> str:
    """Order a dish.

    Args:
        dish: What to eat.
    """
    return f"{count} {size} {dish} for {price}"


TOOL = FunctionTool(order)


def test_the_definition_is_made_of_signature_and_docstring():
    definition = TOOL.to_dict()
    assert (definition["name"], definition["description"]) == ("order", "Order a dish.")
    schema = definition["input_schema"]
    assert schema["required"] == ["dish"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["dish"] == {"type": "string", "title": "Dish", "description": "What to eat."}
    assert schema["properties"]["size"]["enum"] == ["small", "large"]
    assert {key: value["type"] for key, value in schema["properties"].items()} == {
        "dish": "string",
        "size": "string",
        "count": "integer",
        "price": "number",
    }


def test_arguments_reach_the_function_and_defaults_fill_in():
    assert TOOL.call({"dish": "soup"}) == "1 small soup for 2.5"
    assert TOOL.call({"dish": "soup", "size": "large", "count": 2, "price": 3}) == "2 large soup for 3.0"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "dish is missing"),
        (
            {"dihs": "soup"},
            "dish is missing; 'dihs' is not an argument of order: allowed are dish, size, count, price",
        ),
        ({"dish": "soup", "size": "huge"}, "size = \"huge\" is not allowed: it must be 'small' or 'large'"),
        ({"dish": None}, "dish = null is not allowed: it must be text"),
        ({"dish": "soup", "price": "3"}, 'price = "3" is not allowed: it must be a valid number'),
        ({"dish": "soup", "price": float("nan")}, "price = NaN is not allowed: it must be a finite number"),
        ({"dish": "soup", "count": 1.5}, "count = 1.5 is not allowed: it must be a valid integer"),
        ({"dish": ["x" * 10**6]}, f'dish = ["{"x" * 57}… is not allowed: it must be text'),
        ('{"dish": "soup"}', "the input of order must be a JSON object with dish, size, count, price"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(given, line):
    assert refusal(TOOL.call, given) == line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("/home/me/secret"), "broken failed and gave no result"),
        (SystemExit(3), "broken failed and gave no result"),
        (ToolError("no soup today"), "no soup today"),
        (None, "broken returned no text"),
    ],
)
def test_a_tool_that_fails_ends_in_one_line_without_internals(error, line):
    def broken() -> str:
        """Break."""
        if error:
            raise error
        return 5  # pyrefly: ignore

    assert refusal(FunctionTool(broken).call, {}) == line


def test_a_tool_that_takes_too_long_is_left():
    free = threading.Event()

    def slow() -> str:
        """Wait."""
        free.wait(10)
        return "late"

    start = time.monotonic()
    assert "slow took longer than 0.05 s" in refusal(FunctionTool(slow, limit_s=0.05).call, {})
    assert time.monotonic() - start < 2
    free.set()


def test_five_megabytes_are_cut_and_it_is_said():
    def talk(length: int) -> str:
        """Talk."""
        return "x" * length

    cut = FunctionTool(talk).call({"length": 5_000_000})
    assert len(cut) == MAX_CHARACTERS == 20_000
    assert cut.endswith("[cut: the result had 5,000,000 characters, this is its beginning]")
    assert FunctionTool(talk).call({"length": 20_000}) == "x" * 20_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  São \t Paulo\n", "São Paulo"),
        ("Par\x1b[31mis\x00", "Par[31mis"),
        ("a\u202eb\u200bc\u2028d\ud800", "abc d"),
        ("x" * 100, "x" * 79 + "…"),
        ("x" * 80, "x" * 80),
    ],
)
def test_text_from_outside_becomes_one_harmless_line(text, line):
    assert sanitize(text) == line


@given(st.text(st.characters(categories=["L", "Z", "C"]), max_size=60), st.integers(2, 50))
def test_plain_text_is_always_printable_short_and_stable(text, limit):
    line = sanitize(text, limit)
    assert len(line) <= limit
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert sanitize(line, limit) == line
    line.encode()
