"""The measure of the guard: what it counts, on replies whose labels are known."""

import json

from step2_tools.agent.loop import Call
from step2_tools.agent.tool import FunctionTool
from step2_tools.evaluate import guarding
from step2_tools.evaluate.guarding import LabelledReply


def get_weather(city: str) -> str:
    """Get the weather.

    Args:
        city: Name of the city.
    """
    return city


TOOLS = [FunctionTool(get_weather, words={"rain", "snow"})]


def weather(city, sky, degrees):
    result = {"summary": f"In {city} it is {degrees} °C, {sky}.", "place": city, "sky": sky}
    return Call("get_weather", {"city": city}, json.dumps(result), False)


OSLO = weather("Oslo", "snow", -3)
ROME = weather("Rome", "rain", 12)


def test_names_of_two_results_are_exchanged_and_nothing_else():
    assert guarding.swapped_summaries(OSLO, ROME) == "In Rome it is -3 °C, snow.\nIn Oslo it is 12 °C, rain."
    assert guarding.swapped_summaries(OSLO, OSLO) == ""
    assert guarding.swapped_summaries(OSLO, Call("get_weather", {}, "no such city", True)) == ""


def test_caught_replies_and_false_alarms_are_counted_against_the_readers_labels():
    calls = [OSLO, ROME]
    report = guarding.measure(
        [
            LabelledReply("?", calls, "In Oslo it is -3 °C, snow. In Rome it is 12 °C, rain.", right=True),
            LabelledReply("?", calls, "In Oslo it is -3 °C, rain. In Rome it is 12 °C, rain.", right=False),
            LabelledReply("?", calls, "Rome is 15 °C warmer than Oslo.", right=True),  # no result says it
            LabelledReply("?", [OSLO], "In Oslo it is -3 °C, windy.", right=False),  # not in the vocabulary
        ],
        TOOLS,
    )
    assert (report.before.hits, report.before.n) == (2, 4)
    assert (report.caught.hits, report.caught.n) == (1, 2)
    assert (report.false_alarms.hits, report.false_alarms.n) == (1, 2)
    assert (report.after.hits, report.after.n) == (3, 4)
    assert (report.swapped.hits, report.swapped.n) == (3, 3)
    assert (report.summaries.hits, report.summaries.n) == (3, 3)
