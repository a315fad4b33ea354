import pytest

from step2_tools.evaluate import scoring
from step2_tools.evaluate.scoring import Score, score
from step2_tools.tools import build

TOOLS = [{**tool.to_dict()} for tool in build(offline=True)]
RIGHT = Score(valid=True, right_tool=True, right_arguments=True, needless=False)
WRONG_ARGUMENTS = Score(valid=True, right_tool=True, right_arguments=False, needless=False)
NEEDLESS = Score(valid=True, right_tool=False, right_arguments=False, needless=True)
UNREADABLE = Score(False, False, False, False)


def weather(**arguments):
    return {"name": "get_weather", "input": arguments}


def money(from_currency, to_currency, **more):
    given = {"from_currency": from_currency, "to_currency": to_currency, **more}
    return {"name": "convert_currency", "input": given}


@pytest.mark.parametrize(
    ("given", "accepted", "same"),
    [
        ({"city": "bangkok"}, {"city": ["Bangkok"]}, True),
        ({"city": "St Louis."}, {"city": ["St. Louis"]}, True),
        ({"city": "Washington DC"}, {"city": ["Washington", "Washington, D.C."]}, True),
        ({"city": "กรงเทพ"}, {"city": ["กรุงเทพ"]}, False),  # a vowel sign is not punctuation
        ({"city": "Bangkok", "day": "today"}, {"city": ["Bangkok"]}, True),  # its default
        ({"city": "Bangkok", "day": "tomorrow"}, {"city": ["Bangkok"]}, False),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["today"]}, True),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["tomorrow"]}, False),
        ({"city": "Bangkok"}, {"city": ["Bangkok"], "day": ["tomorrow", None]}, True),
        ({"city": "Bangkok", "day": "monday"}, {"city": ["Bangkok"], "day": ["tomorrow", None]}, False),
    ],
)
def test_texts_defaults_and_optional_arguments(given, accepted, same):
    assert score([weather(**given)], [weather(**accepted)], TOOLS) == (RIGHT if same else WRONG_ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "accepted", "same"),
    [
        (money("USD", "EUR", amount=5), money(["USD"], ["EUR"], amount=[5.0]), True),
        (money("USD", "EUR", amount=5.01), money(["USD"], ["EUR"], amount=[5]), False),
        (money("USD", "EUR", amount=1), money(["USD"], ["EUR"]), True),  # its default
        (money("US dollars", "baht"), money(["USD"], ["THB"]), True),
        (money("gold", "THB"), money(["USD"], ["THB"]), False),
        (money("gold", "THB"), money(["Gold"], ["THB"]), True),  # an unknown currency is compared as text
    ],
)
def test_numbers_by_value_and_currencies_by_code(given, accepted, same):
    assert score([given], [accepted], TOOLS) == (RIGHT if same else WRONG_ARGUMENTS)


def test_true_is_not_one():
    assert not scoring.same_arguments({"n": True}, {"n": [1]}, {})
    assert not scoring.same_arguments({"n": 1}, {"n": [True]}, {})


@pytest.mark.parametrize(
    ("call", "right_tool"),
    [
        (weather(), True),  # city is missing
        (weather(city="Bangkok", planet="Earth"), True),
        (weather(city="Bangkok", unit="kelvin"), True),
        ({"name": "get_wether", "input": {"city": "Bangkok"}}, False),
    ],
)
def test_a_call_that_does_not_fit_the_schema_is_not_valid(call, right_tool):
    result = score([call], [weather(city=["Bangkok"], unit=["kelvin", "celsius"])], TOOLS)
    assert (result.valid, result.right_tool, result.right_arguments) == (False, right_tool, False)


OSLO = weather(city="Oslo")
ROME = weather(city="Rome")
OSLO_AND_ROME = [weather(city=["Oslo"]), weather(city=["Rome"])]


@pytest.mark.parametrize(
    ("calls", "labels", "expected"),
    [
        ([OSLO, money("USD", "EUR")], OSLO_AND_ROME, NEEDLESS),
        ([OSLO, ROME, ROME], OSLO_AND_ROME, NEEDLESS),
        ([], OSLO_AND_ROME, Score(True, False, False, False)),
        ([], [], RIGHT),
        ([OSLO], [], NEEDLESS),
        (None, [], UNREADABLE),
        ([OSLO, OSLO], OSLO_AND_ROME, WRONG_ARGUMENTS),  # one call matches one label
        ([OSLO, ROME], [weather(city=["Oslo", "Rome"]), weather(city=["Oslo"])], RIGHT),
    ],
)
def test_several_calls_are_paired_with_the_labels(calls, labels, expected):
    assert score(calls, labels, TOOLS) == expected
