"""An answer is held against the result that it speaks of, not against all results together."""

import json

import pytest

from step2_tools.agent import grounding
from step2_tools.agent.loop import Call

WORDS = frozenset({"rain", "snow", "clear", "sky", "up", "down"})


def weather(city, place, sky, now, humidity, wind):
    summary = f"In {place} it is {now} °C now, {sky}, humidity {humidity} %, wind {wind} km/h."
    facts = {"summary": summary, "place": place, "now": {"temperature": now, "sky": sky}, "sky": sky}
    return Call("get_weather", {"city": city}, json.dumps(facts), False)


PARIS = weather("Paris", "Paris, Île-de-France, France", "clear sky", 13, 73, 12)
TOKYO = weather("Tokyo", "Tokyo, Japan", "rain", 13, 67, 5)
APPLE = Call(
    "get_stock_price", {"symbol": "AAPL"}, '{"summary": "Apple (AAPL) is at 271.5, up 1.2 %."}', False
)
BOTH = [PARIS, TOKYO]
IN_PARIS = "In Paris, Île-de-France, France it is 13 °C now, clear sky, humidity 73 %, wind 12 km/h."
IN_TOKYO = "In Tokyo, Japan it is 13 °C now, rain, humidity 67 %, wind 5 km/h."


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"{IN_PARIS} {IN_TOKYO}", BOTH),
        (f"{IN_TOKYO}\n{IN_PARIS}", BOTH),
        ("In Paris it is 13 °C, clear sky. The humidity is 73 %. In Tokyo it is 13 °C with rain.", BOTH),
        ("It is 13 °C now, rain.", [TOKYO]),
        ("Yes, take an umbrella: in Tokyo it is 13 °C with rain.", [TOKYO]),
        ("In Paris it is 13 °C with a clear sky, while Tokyo has 13 °C and rain.", BOTH),
        ("Apple (AAPL) is at 271.50, up 1.2 %.", [APPLE]),
        ("Anything goes: 42.", []),
        (f"Here is what I found for both cities: {IN_PARIS} {IN_TOKYO}", BOTH),
        ("No, it does not look like snow: it is 13 °C with rain.", [TOKYO]),
        ("Yes, take an umbrella.", [TOKYO]),
    ],
)
def test_what_the_results_say_may_be_said(text, calls):
    assert grounding.problems(text, calls, WORDS) == []


@pytest.mark.parametrize(
    ("text", "calls", "problem"),
    [
        (IN_PARIS.replace("73", "67") + IN_TOKYO, BOTH, "67"),
        (f"{IN_PARIS.replace('clear sky', 'rain')} {IN_TOKYO}", BOTH, "rain"),
        (f"{IN_PARIS.replace('clear sky', 'snow')} {IN_TOKYO}", BOTH, "snow"),
        (f"{IN_TOKYO} {IN_PARIS} The wind is 5 km/h.", BOTH, "5"),  # speaks of Paris still
        (IN_PARIS, BOTH, "the result of get_weather is not told"),
        (f"{IN_PARIS} Tokyo is a large city.", BOTH, "the result of get_weather is not told"),
        ("Both have 13 °C.", BOTH, "names no result"),
        ("In Paris it is 13 °C with rain and not windy.", BOTH, "rain"),
        ("It is 13 °C.", BOTH, ""),
        ("", [TOKYO], "is empty"),
        (f"{IN_PARIS} {IN_TOKYO} Tokyo is warmer than Paris.", BOTH, "tokyo"),
        ("Apple is down 1.2 %.", [APPLE], "down"),
        ("It is 14 °C now, rain.", [TOKYO], "14"),
        ("In Paris it is 13 °C with rain, while Tokyo has 13 °C and a clear sky.", BOTH, "clear"),
    ],
)
def test_what_they_do_not_say_is_a_problem(text, calls, problem):
    assert any(problem in line for line in grounding.problems(text, calls, WORDS))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("It is 31 °C now, up to 34.", ""),
        ("It is warm.", ""),
        ("On 21 November 2026: 31.0 °C.", ""),
        ("On November 21, 1,250.50.", ""),
        ("On 2026-11-21: 31.", ""),
        ("It is 32 °C now, up to 34.", "32"),
        ("It is 21 °C now.", "21"),  # a part of the date
        ("On 22 November: 31.0 °C.", "11-22"),
    ],
)
def test_numbers_and_dates_are_compared_in_one_form(text, wrong):
    result = '{"summary": "31 °C now, up to 34.", "date": "2026-11-21", "price": 1250.5}'
    problems = grounding.problems(text, [Call("f", {}, result, False)])
    assert problems == ([f"{text}: not in its result: {wrong}"] if wrong else [])


def test_the_summaries_of_two_results_with_swapped_names_are_a_problem():
    swapped = IN_PARIS.replace("Paris, Île-de-France, France", "Tokyo, Japan")
    swapped += " " + IN_TOKYO.replace("Tokyo, Japan", "Paris, Île-de-France, France")
    assert len(grounding.problems(swapped, BOTH)) >= 2


def test_a_call_that_the_model_corrected_need_not_be_told():
    failed = Call("find_office", {"name": "Bob"}, "there is no colleague 'Bob'", True, turn=1)
    corrected = Call("find_office", {"name": "Ada"}, '{"room": 214}', False, turn=2)
    beside = Call("find_office", {"name": "Ada"}, '{"room": 214}', False, turn=1)
    assert grounding.problems("Room 214.", [failed, corrected]) == []
    assert grounding.problems("Ada is in room 214.", [failed, beside]) == [
        "the result of find_office is not told"
    ]


def test_two_days_in_one_city_are_told_apart_by_their_numbers():
    today = weather("Kyoto", "Kyoto, Japan", "rain", 9, 60, 4)
    monday = weather("Kyoto", "Kyoto, Japan", "snow", -1, 80, 7)
    text = "In Kyoto it is 9 °C, rain. In Kyoto it is -1 °C, snow."
    assert grounding.problems(text, [today, monday]) == []
    assert grounding.problems(text.replace("9 °C, rain", "9 °C, snow"), [today, monday])
