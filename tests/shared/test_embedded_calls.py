"""From questions to tool calls: what holds for any model on `tiny`, and what SmolLM2 makes of questions."""

import json
import random
import threading
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import models
from shared.config import load_settings
from shared.embedded.calls import Caller, ToolCall
from shared.embedded.likelihood import Likelihood
from shared.embedded.meaning import Meaning
from step2_tools.tools import build

FOUR = [tool.to_dict() for tool in build(offline=True)]


def tool(name, description, required=(), **fields):
    schema = {"type": "object", "properties": fields, "required": list(required)}
    return {"name": name, "description": description, "input_schema": schema}


def text(description, **more):
    return {"type": "string", "description": description, **more}


def number(description, kind="integer", **more):
    return {"type": kind, "description": description, **more}


HOUSE = [
    tool(
        "set_light",
        "Set the brightness of the light in a room.",
        ["room", "percent"],
        room=text("Which room, e.g. kitchen"),
        percent=number("Brightness in percent, 0 to 100"),
    ),
    tool("set_alarm", "Set an alarm clock to wake up.", ["time"], time=text("Time as HH:MM")),
]
TRIPS = [
    tool(
        "search_flights",
        "Search flights between two cities.",
        ["origin", "destination"],
        origin=text("City where the flight starts"),
        destination=text("City where the flight ends"),
        passengers=number("Number of travellers"),
        travel_class=text("Class of the seat", enum=["economy", "business", "first"]),
    ),
    tool(
        "find_hotel",
        "Find a hotel in a city.",
        ["city"],
        city=text("The city"),
        nights=number("Number of nights"),
    ),
]
MATHS = [
    tool(
        "greatest_common_divisor",
        "Compute the greatest common divisor of two integers.",
        ["a", "b"],
        a=number("First number"),
        b=number("Second number"),
    ),
    tool(
        "mean",
        "Compute the mean of a list of numbers.",
        ["numbers"],
        numbers={"type": "array", "items": {"type": "number"}, "description": "The numbers"},
    ),
    tool(
        "translate",
        "Translate a text into another language.",
        ["text", "language"],
        text=text("The text to translate"),
        language=text("The target language"),
    ),
]
# Every kind of parameter, for what must hold whatever the model thinks.
ODD = tool(
    "do_it",
    "Do it with everything.",
    ["who", "count", "tags"],
    who=text("Name of the person"),
    count=number("How many", minimum=1, maximum=9),
    share=number("Which share", "number", exclusiveMinimum=0),
    tags={"type": "array", "items": {"type": "integer"}, "description": "Numbers of the tags", "maxItems": 3},
    words={"type": "array", "items": {"type": "string"}, "minItems": 1},
    colour={"enum": ["red", "green", None], "description": "The colour"},
    loud={"type": "boolean", "description": "Whether to shout"},
    place={
        "type": "object",
        "properties": {"street": text("Street"), "zip": text("Code", pattern="^[0-9]{5}$")},
    },
    size={"anyOf": [{"type": "integer"}, {"type": "null"}]},
)
BARE = {"name": "ping", "input_schema": {"type": "object"}}
SETS = {"four": FOUR, "house": HOUSE, "trips": TRIPS, "maths": MATHS, "odd": [ODD, BARE]}


@pytest.fixture(scope="module")
def caller(tiny_cache):
    own = load_settings(model="tiny", device="cpu", dtype="float32", cache_dir=tiny_cache)
    return Caller(Likelihood(models.load_causal_lm(settings=own), models.load_tokenizer(settings=own)))


def check(calls, tools, question):
    """What holds for every call: the tool is there, the schema is kept, texts stand in the question."""
    schemas = {each["name"]: each["input_schema"] for each in tools}
    for call in calls:
        jsonschema.validate(call.input, schemas[call.name], cls=jsonschema.Draft202012Validator)
        assert json.dumps(call.input, allow_nan=False)
        for name, value in call.input.items():
            field = schemas[call.name]["properties"][name]
            free = "enum" not in field and "currency" not in name and "HH:MM" not in str(field)
            if isinstance(value, str) and free:
                assert value in question, (call, question)


QUESTIONS = {
    "four": "weather in new york and London tomorrow, 5 euros in yen, and Apple's stock",
    "house": "kitchen light to 80% and wake me at 6:45 am",
    "trips": "Fly from Oslo to Rome for 2 travellers in business class; a hotel for three nights",
    "maths": "translate 'Good night' into French; the mean of 3, 4.5 and [1, 2]",
    "odd": "Tell Ann and 'Bob Lee' 12 or 3.5 times [1.5, 'a'] 50% (1,2,3,4) red shout at Main Street 12345",
}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("choice", [None, {"type": "any"}])
def test_calls_fit_their_schema_and_take_their_texts_from_the_question(caller, kind, choice):
    calls = caller.calls(QUESTIONS[kind], SETS[kind], choice)
    check(calls, SETS[kind], QUESTIONS[kind] + (" " if choice == {"type": "any"} else ""))
    assert calls or choice != {"type": "any"}


@pytest.mark.parametrize("name", [each["name"] for tools in SETS.values() for each in tools])
@pytest.mark.parametrize("question", ["5", "?", "the of 🙂 Oslo"])
def test_a_tool_that_is_asked_for_is_called(caller, name, question):
    tools = next(tools for tools in SETS.values() if name in [each["name"] for each in tools])
    calls = caller.calls(question, tools, {"type": "tool", "name": name})
    assert calls
    assert {call.name for call in calls} == {name}
    check(calls, tools, question)


@pytest.mark.parametrize(
    "question", ["Hi", "What's the weather in Rome, Oslo and Vienna, and what time is it?"]
)
def test_any_gives_at_least_one_call_and_without_parallel_exactly_one(caller, question):
    assert caller.calls(question, FOUR, {"type": "any"})
    single = {"type": "any", "disable_parallel_tool_use": True}
    assert caller.calls(question, FOUR, single) == caller.calls(question, FOUR, {"type": "any"})[:1]
    only = {"type": "auto", "disable_parallel_tool_use": True}
    assert caller.calls(question, FOUR, only) == caller.calls(question, FOUR)[:1]


def test_none_no_tools_and_no_question_give_nothing(caller):
    assert caller.calls("Weather in Rome?", FOUR, {"type": "none"}) == []
    assert caller.calls("Weather in Rome?", []) == caller.calls("Weather in Rome?", [], {"type": "any"}) == []
    for empty in ("", " \n\t "):
        assert caller.calls(empty, FOUR) == caller.calls(empty, FOUR, {"type": "any"}) == []


def test_the_same_question_gives_the_same_calls_whatever_came_before(caller):
    first = caller.calls(QUESTIONS["four"], FOUR, {"type": "any"})
    for other in ("house", "maths"):
        caller.calls(QUESTIONS[other], SETS[other], {"type": "any"})
    assert caller.calls(QUESTIONS["four"], FOUR, {"type": "any"}) == first
    assert Caller(caller.lm).calls(QUESTIONS["four"], FOUR, {"type": "any"}) == first


def test_definitions_and_history_are_left_as_they_were(caller):
    tools, earlier = json.loads(json.dumps(FOUR)), [("Rome?", [ToolCall("get_weather", {"city": "Rome"})])]
    caller.calls("And in Oslo tomorrow?", tools, {"type": "any"}, earlier)
    caller.calls("And in Oslo tomorrow?", tools, None, earlier)
    assert tools == FOUR
    assert earlier == [("Rome?", [ToolCall("get_weather", {"city": "Rome"})])]


@pytest.mark.parametrize("unit", ["What's the weather in Rome, ", "a", "(", "🙂", "'x' ", "9"])
def test_a_hundred_thousand_characters_are_fine_and_fast(caller, unit):
    question = (unit * 100_000)[:100_000]
    start = time.perf_counter()
    check(caller.calls(question, FOUR, {"type": "any"}), FOUR, question + " ")
    assert time.perf_counter() - start < 10


def test_what_is_stopped_in_the_middle_leaves_nothing_half_read(caller, monkeypatch):
    before = caller.calls("Weather in Oslo?", FOUR, {"type": "any"})
    module = caller.lm.model.model.layers[-1]

    def stop(*_args):
        raise KeyboardInterrupt

    handle = module.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        caller.calls("Weather in Rome?", FOUR, {"type": "any"})
    handle.remove()
    assert caller.calls("Weather in Oslo?", FOUR, {"type": "any"}) == before


def test_two_threads_get_the_answers_of_one(caller):
    asked = ["house", "trips", "house"]
    alone = {kind: caller.calls(QUESTIONS[kind], SETS[kind], {"type": "any"}) for kind in set(asked)}
    found = {}

    def ask(i, kind):
        found[i] = caller.calls(QUESTIONS[kind], SETS[kind], {"type": "any"})

    threads = [threading.Thread(target=ask, args=each) for each in enumerate(asked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(asked))] == [alone[kind] for kind in asked]


BITS = [*" ".join(QUESTIONS.values()).split(), "1e999", "[...]", "{", "\x00", "日本", "<|im_end|>", "-5", "$"]


@settings(max_examples=12)
@given(
    st.lists(st.sampled_from(BITS), max_size=8).map(" ".join) | st.text(max_size=25), st.sampled_from([*SETS])
)
def test_no_question_breaks_it(caller, question, kind):
    for choice in (None, {"type": "any"}):
        calls = caller.calls(question, SETS[kind], choice)
        check(calls, SETS[kind], question + " ")
        assert calls or not choice or not question.strip()


# --- SmolLM2 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(real_weights):
    own = load_settings(hub=real_weights, device="cpu")
    lm = Likelihood(models.load_causal_lm(settings=own), models.load_tokenizer(settings=own))
    return Caller(lm, Meaning(own))


def weather(city, **more):
    return "get_weather", {"city": city, **more}


@pytest.mark.real
@pytest.mark.parametrize(
    ("question", "tools", "expected"),
    [
        ("What's the weather like in Nairobi?", FOUR, [weather("Nairobi")]),
        ("is it going to rain in new york tomorrow", FOUR, [weather("new york", day="tomorrow")]),
        (
            "I'm flying to Lisbon on Friday. Do I need an umbrella?",
            FOUR,
            [weather("Lisbon", day="friday")],
        ),
        (
            "wether in Madrid tomorow, in Fahrenheit",
            FOUR,
            [weather("Madrid", day="tomorrow", unit="fahrenheit")],
        ),
        ("weather in Paris, Texas", FOUR, [weather("Paris, Texas")]),
        ("Compare the weather in Rome and Vienna.", FOUR, [weather("Rome"), weather("Vienna")]),
        (
            "Will it snow in Oslo, Helsinki or Stockholm on Sunday?",
            FOUR,
            [weather(city, day="sunday") for city in ("Oslo", "Helsinki", "Stockholm")],
        ),
        ("How much is Microsoft stock?", FOUR, [("get_stock_price", {"symbol": "Microsoft"})]),
        (
            "How many yen do I get for 250 US dollars?",
            FOUR,
            [("convert_currency", {"from_currency": "USD", "to_currency": "JPY", "amount": 250})],
        ),
        (
            "exchange rate of the pound to the dollar",
            FOUR,
            [("convert_currency", {"from_currency": "GBP", "to_currency": "USD"})],
        ),
        ("What time is it in Buenos Aires?", FOUR, [("get_time", {"city": "Buenos Aires"})]),
        (
            "What's the time in Lima, and how much is Tesla?",
            FOUR,
            [("get_time", {"city": "Lima"}), ("get_stock_price", {"symbol": "Tesla"})],
        ),
        ("Buy me 20 shares of Apple.", FOUR, []),
        ("Tell me a joke.", FOUR, []),
        ("Thanks, that was helpful!", FOUR, []),
        ("Who wrote Hamlet?", FOUR, []),
        # other tools
        (
            "Dim the light in the bedroom to 30 percent",
            HOUSE,
            [("set_light", {"room": "bedroom", "percent": 30})],
        ),
        (
            "Turn the kitchen light to 80% and wake me at noon",
            HOUSE,
            [("set_light", {"room": "kitchen", "percent": 80}), ("set_alarm", {"time": "12:00"})],
        ),
        ("How are you?", HOUSE, []),
        (
            "Find flights from Berlin to New York for 2 travellers in business class",
            TRIPS,
            [
                (
                    "search_flights",
                    {
                        "origin": "Berlin",
                        "destination": "New York",
                        "passengers": 2,
                        "travel_class": "business",
                    },
                )
            ],
        ),
        (
            "I need a hotel in Prague for three nights",
            TRIPS,
            [("find_hotel", {"city": "Prague", "nights": 3})],
        ),
        ("Is the earth flat?", TRIPS, []),
        (
            "What is the greatest common divisor of 12 and 18?",
            MATHS,
            [("greatest_common_divisor", {"a": 12, "b": 18})],
        ),
        ("What's the mean of 3, 5 and 10.5?", MATHS, [("mean", {"numbers": [3, 5, 10.5]})]),
        (
            "Translate 'Good morning, Tom!' into French.",
            MATHS,
            [("translate", {"text": "Good morning, Tom!", "language": "French"})],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_asked_for_is_called(real, question, tools, expected):
    calls = real.calls(question, tools)
    assert [(call.name, call.input) for call in calls] == expected
    check(calls, tools, question)


@pytest.mark.real
def test_the_order_of_the_tools_does_not_matter(real):
    question = "What's the time in Lima, and how much is Tesla?"
    shuffled = random.Random(1).sample(FOUR, len(FOUR))
    assert shuffled != FOUR
    assert real.calls(question, shuffled) == real.calls(question, FOUR)


@pytest.mark.real
def test_a_question_that_follows_another_is_about_the_same(real):
    rome = [("What's the weather in Rome?", [ToolCall("get_weather", {"city": "Rome"})])]
    assert real.calls("And tomorrow?", FOUR, earlier=rome) == [
        ToolCall("get_weather", {"city": "Rome", "day": "tomorrow"})
    ]
    assert real.calls("What about Oslo?", FOUR, earlier=rome) == [ToolCall("get_weather", {"city": "Oslo"})]
    assert real.calls("Thank you!", FOUR, earlier=rome) == []
    mixed = [("?", [ToolCall("get_time", {"city": "Lima"}), ToolCall("get_weather", {"city": "Oslo"})])]
    assert real.calls("And tomorrow?", FOUR, earlier=mixed) == [
        ToolCall("get_weather", {"city": "Oslo", "day": "tomorrow"})
    ]
    assert real.calls("And what time is it there?", FOUR, earlier=rome) == [
        ToolCall("get_time", {"city": "Rome"})
    ]
