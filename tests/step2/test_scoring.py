import pytest

from step2_tools.evaluate import scoring
from step2_tools.evaluate.scoring import Score, score
from step2_tools.tools import currency

TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "day": {"type": "string", "default": "today"},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    {
        "name": "convert_currency",
        "input_schema": {
            "type": "object",
            "properties": {
                "from_currency": {"type": "string"},
                "to_currency": {"type": "string"},
                "amount": {"type": "number", "default": 1.0},
            },
            "required": ["from_currency", "to_currency"],
        },
    },
]
RIGHT = Score(valid=True, right_tool=True, right_arguments=True, needless=False)
WRONG_ARGUMENTS = Score(valid=True, right_tool=True, right_arguments=False, needless=False)


def weather(**arguments):
    return {"name": "get_weather", "input": arguments}


def money(**arguments):
    return {"name": "convert_currency", "input": arguments}


@pytest.fixture(autouse=True)
def three_currencies(monkeypatch):
    """code_of has its own tests; here it knows dollars, euros and baht, and refuses the rest as it does."""
    from anthropic.lib.tools import ToolError

    def code_of(text):
        codes = {"us dollars": "USD", "usd": "USD", "euro": "EUR", "eur": "EUR", "baht": "THB", "thb": "THB"}
        if text.casefold() not in codes:
            raise ToolError(f"{text!r} is not a currency of today")
        return codes[text.casefold()]

    monkeypatch.setattr(currency, "code_of", code_of)


@pytest.mark.parametrize(
    ("given", "accepted", "same"),
    [
        ({"city": "bangkok"}, {"city": ["Bangkok"]}, True),
        ({"city": "St Louis."}, {"city": ["St. Louis"]}, True),
        ({"city": "Washington DC"}, {"city": ["Washington", "Washington, D.C."]}, True),
        ({"city": "กรุงเทพ"}, {"city": ["กรุงเทพ"]}, True),
        ({"city": "กรงเทพ"}, {"city": ["กรุงเทพ"]}, False),  # a vowel sign is no punctuation
        ({"city": "Paris"}, {"city": ["Bangkok"]}, False),
        ({"city": "Bangkok", "day": "today"}, {"city": ["Bangkok"]}, True),  # its default
        ({"city": "Bangkok", "day": "tomorrow"}, {"city": ["Bangkok"]}, False),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["today"]}, True),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["tomorrow"]}, False),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["tomorrow", None]}, True),
        ({"city": "Bangkok", "day": "monday"}, {"city": ["Bangkok"], "day": ["tomorrow", None]}, False),
    ],
)
def test_texts_defaults_and_what_may_be_left_out(given, accepted, same):
    found = score([weather(**given)], [weather(**accepted)], TOOLS)
    assert found == (RIGHT if same else WRONG_ARGUMENTS)


@pytest.mark.parametrize(
    ("amount", "accepted", "same"),
    [(5, [5.0], True), (5.5, [5, 5.5], True), (5.01, [5], False), (1, None, True), (2, None, False)],
)
def test_numbers_are_compared_as_numbers(amount, accepted, same):
    label = money(from_currency=["USD"], to_currency=["EUR"], **({"amount": accepted} if accepted else {}))
    found = score([money(from_currency="USD", to_currency="EUR", amount=amount)], [label], TOOLS)
    assert found.right_arguments is same


def test_true_is_not_one():
    assert not scoring.same_arguments({"n": True}, {"n": [1]}, {})
    assert not scoring.same_arguments({"n": 1}, {"n": [True]}, {})
    assert scoring.same_arguments({"n": True}, {"n": [True]}, {})


def test_currencies_are_compared_by_code():
    label = money(from_currency=["USD"], to_currency=["THB"])
    assert score([money(from_currency="US dollars", to_currency="baht")], [label], TOOLS) == RIGHT
    assert score([money(from_currency="euro", to_currency="baht")], [label], TOOLS) == WRONG_ARGUMENTS
    # one that the normaliser refuses is compared as a text
    assert score([money(from_currency="gold", to_currency="THB")], [label], TOOLS) == WRONG_ARGUMENTS
    label = money(from_currency=["Gold"], to_currency=["THB"])
    assert score([money(from_currency="gold", to_currency="THB")], [label], TOOLS) == RIGHT


@pytest.mark.parametrize(
    ("call", "right_tool"),
    [
        (weather(), True),  # city is missing
        (weather(city="Bangkok", planet="Earth"), True),
        (weather(city="Bangkok", unit="kelvin"), True),
        (weather(city=5), True),
        ({"name": "get_wether", "input": {"city": "Bangkok"}}, False),
    ],
)
def test_a_call_that_does_not_fit_the_schema_is_not_valid(call, right_tool):
    found = score([call], [weather(city=["Bangkok"], unit=["kelvin", "celsius"])], TOOLS)
    assert (found.valid, found.right_tool, found.right_arguments) == (False, right_tool, False)


def test_needless_calls_are_told_tool_by_tool():
    label = [weather(city=["Oslo"]), weather(city=["Rome"])]
    dollars = money(from_currency="USD", to_currency="EUR")
    assert score([weather(city="Oslo"), dollars], label, TOOLS) == Score(True, False, False, True)
    assert score([weather(city=city) for city in ("Oslo", "Rome", "Rome")], label, TOOLS) == Score(
        True, False, False, True
    )
    assert score([], label, TOOLS) == Score(True, False, False, False)


def test_no_call_is_right_where_none_is_asked_for():
    assert score([], [], TOOLS) == RIGHT
    assert score([weather(city="Oslo")], [], TOOLS) == Score(True, False, False, True)


def test_what_cannot_be_read_is_never_right():
    assert score(None, [], TOOLS) == Score(False, False, False, False)
    assert score(None, [weather(city=["Oslo"])], TOOLS) == Score(False, False, False, False)


def test_the_same_call_twice_does_not_meet_two_labels():
    label = [weather(city=["Oslo"]), weather(city=["Rome"])]
    assert score([weather(city="Oslo"), weather(city="Oslo")], label, TOOLS) == WRONG_ARGUMENTS


def test_a_call_that_fits_two_labels_leaves_each_to_the_call_that_needs_it():
    label = [weather(city=["Oslo", "Rome"]), weather(city=["Oslo"])]
    assert score([weather(city="Oslo"), weather(city="Rome")], label, TOOLS) == RIGHT
