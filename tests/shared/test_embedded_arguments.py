"""Arguments from questions: what the rules find, and what holds of the model whatever it has learnt."""

import pytest

from shared import models
from shared.config import load_settings
from shared.embedded import options
from shared.embedded.arguments import fill
from shared.embedded.candidates import candidates
from shared.embedded.fields import LONGEST, SHOTS, Form, Scored
from shared.embedded.likelihood import Likelihood
from shared.embedded.places import Places
from shared.embedded.quantities import quantities
from shared.embedded.slots import kind_of, mentions, slots
from shared.embedded.spans import placed, span_score, written


@pytest.fixture(scope="module")
def form(tiny_cache):
    settings = load_settings(model="tiny", device="cpu", dtype="float32", cache_dir=tiny_cache)
    lm = Likelihood(models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings))
    examples = lm.read(SHOTS)
    return lambda question, *more: Form(lm, examples, question, *more)


def schema(required=(), **fields):
    return {"type": "object", "properties": fields, "required": list(required)}


def slot_of(about="", required=(), **fields):
    return slots(schema(required, **fields), about)[0]


DAYS = {"type": "string", "enum": ["today", "tomorrow", "day after tomorrow", "saturday", "sunday"]}
UNITS = {"type": "string", "enum": ["celsius", "fahrenheit"]}
TEXT = {"type": "string"}

# --- slots --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["null", "number"]}, "number"),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, "array"),
        ({"type": ["null"]}, "string"),
        ({}, "string"),
    ],
)
def test_the_kind_of_a_field(field, kind):
    assert kind_of(field) == kind


def test_labels_are_without_remarks_on_defaults():
    unit = {"type": "string", "description": "The unit. Defaults to metres."}
    city, length = slots(schema(["fromCity"], fromCity={"description": "Where from (optional)"}, unit=unit))
    assert (city.label, length.label) == ("from city (Where from)", "unit (The unit)")
    assert (city.required, length.required) == (True, False)
    assert (city.is_source, city.is_target, length.is_source) == (True, False, False)


def test_cues_tell_a_slot_from_its_neighbours_and_the_tool():
    radius, height = slots(
        schema(radius={"description": "of circle"}, height={"description": "of circle"}), "circle"
    )
    assert ("radius" in radius.text, "circl" in radius.cues | height.cues) == (True, False)
    assert "height" in height.cues - radius.cues
    said = "a radius of 5 and 7 in height"
    beside = {
        number: (radius.is_beside(said, at), height.is_beside(said, at))
        for number, at in spans(said, "5", "7")
    }
    assert beside["5"][0] is True
    assert beside["7"] == (False, True)


def spans(text, *parts):
    return [(part, (text.index(part), text.index(part) + len(part))) for part in parts]


@pytest.mark.parametrize(
    ("question", "description", "is_beside"),
    [
        ("ten major historical events", "Number of events to return", True),
        ("three character traits", "The number of top traits", True),
        ("in 2020 there was a major event", "The number of events", False),
        ("2 grown men and a child", "How many men come", True),
    ],
)
def test_a_number_counts_the_noun_behind_its_adjectives(question, description, is_beside):
    wanted = slot_of(many={"type": "integer", "description": description}, about="Events and traits.")
    (number,) = quantities(question)[:1]
    assert wanted.is_beside(question, number.span) is is_beside


def test_where_words_are_mentioned():
    assert mentions("Prices of the price-list", {"pric"}) == [(0, 6), (14, 19)]
    assert mentions("", {"pric"}) == mentions("anything", set()) == []


# --- options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "field", "value"),
    [
        ("how hot is it in °F", UNITS, "fahrenheit"),
        ("in Celsius please", UNITS, "celsius"),
        ("350 f", UNITS, "fahrenheit"),
        ("the day after tomorrow", DAYS, "day after tomorrow"),
        ("on SUNDAY", DAYS, "sunday"),
        ("sort ascending", {"type": "string", "description": "one of 'asc', 'desc'"}, "asc"),
        ("in Rome", UNITS, None),
        ("todayish", UNITS, None),
        ("a plan", {"enum": ["A", "B"]}, None),
        ("plan A or plan b", {"enum": ["A"]}, "A"),
        ("after breakfast", DAYS, None),
        ("rent with Wi-Fi", {"enum": ["wi-fi", "pool"]}, "wi-fi"),
        ("in Celsius", {"description": "'c' for Celsius, 'f' for Fahrenheit. Default is 'c'."}, "c"),
        ("taxes in New York", {"description": "The state, such as 'NY' for New York"}, "NY"),
    ],
)
def test_options_that_are_named(form, question, field, value):
    found = options.choose(form(question), slot_of(it=field))
    assert (found and found[0]) == value


def test_an_option_is_guessed_only_if_there_must_be_one(form):
    assert options.choose(form("Hi"), slot_of(it=UNITS)) is None
    value, margin = options.choose(form("Hi"), slot_of(required=["it"], it=UNITS))
    assert value in UNITS["enum"]
    assert margin < 0
    value, _ = options.choose(form("Hi"), slot_of(required=["it"], it=UNITS), taken=["celsius"])
    assert value == "fahrenheit"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"enum": ["a", None, 3]}, (["a", 3], True)),
        ({"description": "One of: red, green, dark blue"}, (["red", "green", "dark blue"], True)),
        ({"description": "either 'up' or 'down'. Default 'up'"}, (["up", "down"], True)),
        ({"description": "Default is 'b'. Options are 'a', 'b', 'c'."}, (["a", "b", "c"], True)),
        ({"description": "To choose between 'red' and 'blue'; default 'red'"}, (["red", "blue"], True)),
        ({"description": "Type of it, either big or small. Default is 'big'"}, (["big", "small"], False)),
        ({"description": "The way (walk, bike, drive)."}, (["walk", "bike", "drive"], False)),
        ({"description": "It could be lunch or dinner. Default all"}, (["lunch", "dinner"], False)),
        ({"description": "A city, e.g. 'Rome' or 'Oslo'"}, ([], False)),
        ({"description": "Name (Last, First), city (e.g. Rome, Oslo, Paris)"}, ([], False)),
        ({}, ([], False)),
    ],
)
def test_options_of_a_schema(field, found):
    assert options.options_of(field) == found


@pytest.mark.parametrize(
    ("question", "options_", "found"),
    [
        ("her strength and weakness", ["weaknesses", "strengths", "other"], ["strengths", "weaknesses"]),
        ("no highways and toll roads", ["tolls", "highways"], ["highways", "tolls"]),
        ("the day after tomorrow", ["tomorrow", "day after tomorrow"], ["day after tomorrow"]),
        ("a day at court", ["court_updates"], []),
        ("all of them", ["all", "red"], ["all"]),
    ],
)
def test_several_options_are_named_in_any_form(form, question, options_, found):
    named = options.named_options(form(question), slot_of(it={"enum": options_}), several=True)
    assert [option for _, option in named] == found


def test_an_example_that_is_named_in_another_form(form):
    field = slot_of(field={"type": "string", "description": "E.g. 'Cardiology', 'highest_score'."})
    assert options.choose(form("I need a cardiologist"), field) == ("Cardiology", options.SURE)
    assert options.choose(form("her highest scores"), field) == ("highest_score", options.SURE)
    assert options.choose(form("a dentist, not 'cardiology'"), field) is None


def test_enumerated_options(form):
    day = slot_of(day=DAYS)
    assert options.enumerated(form("weather on Saturday and Sunday"), day) == ["saturday", "sunday"]
    assert options.enumerated(form("Saturday weather for my Sunday party"), day) == []


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("with parking", True),
        ("no parking, please", False),
        ("I don't need parking", False),
        ("a room", None),
    ],
)
def test_flags(form, question, value):
    found = options.flag(form(question), slot_of(include_parking={"type": "boolean"}))
    assert (found and found[0]) is value


# --- the form -----------------------------------------------------------------------------------------

SAID = "Tell Ann Lee, please: 'come home, now!' at 5 Main Street. Is it 3 km?"


def test_spans_start_and_end_at_words_and_are_the_more_probable_the_shorter(form):
    asked = form(SAID)
    ((scored, absent),) = asked.score(["name (Name of the person)"])
    assert absent < 0
    starts, ends = ({span[i] for span in asked.words} for i in (0, 1))
    assert len({each.span for each in scored}) == len(scored) > 10
    for each in scored:
        assert each.span[0] in starts
        assert each.span[1] in ends | {end for _, end in asked.quotations}
        assert each.ended <= each.open <= 0  # the line break has its price
        assert len(SAID[slice(*each.span)].split()) <= LONGEST
        longer = [other for other in scored if other.span[0] == each.span[0] and other.span[1] > each.span[1]]
        assert all(other.open <= each.open + 1e-5 for other in longer)
        assert ": " not in SAID[slice(*each.span)]
        assert "Street. Is" not in SAID[slice(*each.span)]
    assert scored == sorted(scored, key=lambda each: -each.ended)


def test_fields_are_scored_alike_together_and_alone(form):
    fields = ["name (Name of the person)", "street"]
    together = form(SAID).score(fields)
    for field, (scored, absent) in zip(fields, together, strict=True):
        ((alone, gone),) = form(SAID).score([field])
        assert absent == pytest.approx(gone, abs=1e-4)
        expected = {each.span: each.ended for each in alone}
        assert {each.span: each.ended for each in scored} == pytest.approx(expected, abs=1e-3)
    assert together[0][1] != pytest.approx(together[1][1], abs=1e-3)


def test_numbers_and_quotations_are_always_looked_at(form):
    ((scored, _),) = form(SAID).score(["x"])
    starts = {each.span[0] for each in scored}
    assert {SAID.index("come"), SAID.index("5"), SAID.index("3")} <= starts


def test_a_question_without_words_has_nothing(form):
    assert form("?!").score(["a", "b"]) == [([], 0.0), ([], 0.0)]


# --- candidates ---------------------------------------------------------------------------------------


def values(asked, slot):
    ((scored, _),) = asked.score([slot.label])
    return [each.value for each in candidates(asked, slot, scored)]


@pytest.mark.parametrize(
    ("question", "field", "found"),
    [
        ("3 rooms for two and a half days", {"type": "number"}, [3, 2.5]),
        ("3 or 50%", {"type": "number"}, [3, 0.5]),
        ("50%", {"type": "number", "description": "in percent"}, [50]),
        ("2 hours", {"type": "integer", "description": "Duration in minutes"}, [120]),
        ("300K", {"type": "integer", "description": "Temperature in Kelvin"}, [300]),
        ("300K", {"type": "integer", "description": "Income in dollars"}, [300_000]),
        ("5 ft", {"type": "integer", "description": "Height in inches"}, [60]),
        ("3, 5 or 8", {"type": "integer", "enum": [5, 8]}, [5, 8]),
        ("no number", {"type": "number"}, []),
        (
            "from US dollars to yen",
            {"type": "string", "description": "ISO code of the currency"},
            ["USD", "JPY"],
        ),
        ("at 3:30 pm or noon", {"type": "string", "description": "Time as HH:MM"}, ["15:30", "12:00"]),
        ("of [1, 2]", {"type": "array", "items": {"type": "integer"}}, [[1, 2], [1, 2]]),
        ("of ['a', 'b']", {"type": "array", "items": {"type": "number"}}, [["a", "b"]]),
        ("12, 15 and 18", {"type": "array", "items": {"type": "integer"}}, [[12, 15, 18]]),
    ],
)
def test_candidates_by_rules(form, question, field, found):
    assert values(form(question), slot_of(it=field)) == found


@pytest.mark.parametrize(
    ("question", "name", "description", "found"),
    [
        ("5 km/h or 3 square feet", "unit", "", ["km/h", "square feet"]),
        ("is f(x) = 3x^2 - 1 at x = 2?", "function", "To be integrated.", ["3x^2 - 1"]),
        ("from May 2, 2022 to 4 June 2022", "day", "As YYYY-MM-DD", ["2022-05-02", "2022-06-04"]),
        ("after January 1, 2020", "start_date", "When it began.", ["2020-01-01"]),
        ("10 dollars in euros", "to_currency", "The target.", ["USD", "EUR"]),
    ],
)
def test_candidates_in_the_usual_form(form, question, name, description, found):
    slot = slot_of(**{name: {"type": "string", "description": description}})
    assert values(form(question), slot) == found


@pytest.mark.parametrize(
    ("question", "name", "description", "found"),
    [
        ("it starts from rest", "initial_velocity", "In m/s.", [0]),
        ("it starts from rest", "height", "In m.", []),
        ("at 6% a year", "rate", "As a decimal, e.g. 5% = 0.05", [0.06]),
        ("at 6% a year", "rate", "e.g. 5%", [6]),
    ],
)
def test_numbers_that_are_said_otherwise(form, question, name, description, found):
    slot = slot_of(**{name: {"type": "number", "description": description}})
    assert values(form(question), slot) == found


def test_the_numbers_of_a_list_are_of_its_type(form):
    numbers = slot_of(it={"type": "array", "items": {"type": "number"}})
    assert all(isinstance(each, float) for each in values(form("of [1, 2.5]"), numbers)[0])
    huge = [10**400, 1]
    assert values(form(f"of {huge}"), numbers)[0] == huge  # no float holds them


def test_an_enumeration_is_whole(form):
    traits = slot_of(traits={"type": "array", "items": TEXT})
    asked = form("I am efficient, organized, easy going and kind, ok?")
    assert ["efficient", "organized", "easy going", "kind"] in values(asked, traits)


def test_quotations_and_enumerations_are_lists(form):
    facilities = slot_of(facilities={"type": "array", "items": TEXT})
    asked = form("in 'Boston, MA' with 'Reading Room' and 'Wi-Fi'")
    assert values(asked, facilities)[:2] == [["Boston, MA"], ["Reading Room", "Wi-Fi"]]
    asked = form("Philadelphia, Washington D.C., and Atlanta by car")
    assert ["Philadelphia", "Washington D.C", "Atlanta"] in values(asked, facilities)


def test_a_quotation_belongs_to_the_slot_that_is_named_beside_it(form):
    asked = form("the text 'Hi' in 'genbank' format")
    ((scored, _),) = asked.score(["format"])
    nats = {asked.question[slice(*each.span)]: each for each in scored}
    wanted = slot_of(format=TEXT)
    above = {text: span_score(asked, wanted, each) - each.ended for text, each in nats.items()}
    assert above["genbank"] > above["Hi"]


def test_texts_are_candidates_as_they_were_typed(form):
    asked = form("weather in New York", "weather in new york", "weather in new york")
    assert all(value in "weather in new york" for value in values(asked, slot_of(city=TEXT)))
    assert values(asked, slot_of(city=TEXT))


def test_a_state_belongs_to_a_city_where_the_description_says_so(form):
    asked, city = form("weather in Paris, Texas"), (11, 16)
    assert written(asked, city, slot_of(city=TEXT)) == "Paris"
    described = slot_of(city={"type": "string", "description": "e.g. Rome. Add the state or country."})
    assert written(asked, city, described) == "Paris, Texas"


class Knows:
    """Where cities lie, without a model."""

    def around(self, city):
        return {"Chicago": "IL"}.get(city)


@pytest.mark.parametrize(
    ("name", "description", "city", "is_taken", "value"),
    [
        ("city", "The city and state, e.g. Austin, TX", "Chicago", False, "Chicago, IL"),
        ("location", "e.g. Austin, TX", "Chicago", False, "Chicago, IL"),
        ("location", "In the format City, State", "Chicago", False, "Chicago, IL"),
        ("city", "The city and state, e.g. Austin, TX", "Vaduz", False, "Vaduz"),
        ("city", "The city and state", "Chicago, IL", False, "Chicago, IL"),
        ("city", "Add the state if needed, e.g. Paris, TX", "Chicago", False, "Chicago"),
        ("name", "e.g. Austin, TX", "Chicago", False, "Chicago"),
        ("state", "The state", "Chicago", True, "IL"),
        ("state", "The state", "Chicago", False, "Chicago"),
    ],
)
def test_a_city_gets_its_state_where_both_are_wanted(form, name, description, city, is_taken, value):
    slot = slot_of(**{name: {"type": "string", "description": description}})
    asked = form("in Chicago")
    assert placed(asked, slot, city, is_taken) == city  # nobody knows
    asked.places = Knows()
    assert placed(asked, slot, city, is_taken) == value


def test_a_model_that_is_not_sure_knows_no_place(form):
    assert Places(form("").lm).around("Chicago") is None  # random weights


def test_what_a_person_sees_at_a_glance(form):
    asked = form("the weather of New York from 5 to Oslo")
    ((scored, _),) = asked.score(["city"])
    by_text = {asked.question[slice(*each.span)]: each for each in scored}
    city = slot_of(city=TEXT)
    above = {text: span_score(asked, city, each) - each.ended for text, each in by_text.items()}
    assert above["5"] < 0  # a bare number is no city
    assert all(above[text] < 0 for text in ("the weather", "of New York", "New") if text in above)


def test_a_path_has_slashes_or_dots(form):
    asked = form("the scans in ~/data/a.nii please")
    path, scans = Scored((13, 25), -1.0, -1.0), Scored((4, 9), -1.0, -1.0)
    wanted = slot_of(source={"type": "string", "description": "The path of the data"})
    assert span_score(asked, wanted, path) > span_score(asked, wanted, scans)


def test_a_season_may_be_a_year(form):
    asked, year = form("the scores of 2021"), Scored((14, 18), -1.0, -1.0)
    assert span_score(asked, slot_of(season=TEXT), year) > span_score(asked, slot_of(team=TEXT), year)


# --- all together -------------------------------------------------------------------------------------

TRIP = schema(
    ["city", "nights"],
    city={"type": "string", "description": "Name of the city"},
    nights={"type": "integer", "description": "Number of nights"},
    pool={"type": "boolean"},
    day=DAYS,
    guest=schema(["age"], age={"type": "integer", "description": "Age in years"}),
)


def test_what_is_filled_is_in_the_order_of_the_schema_with_margins(form):
    asked = form("3 nights in Oslo tomorrow with a pool")
    filled = fill(asked, TRIP)
    assert list(filled.arguments) == [name for name in TRIP["properties"] if name in filled.arguments]
    assert filled.margins.keys() == filled.arguments.keys()
    assert (filled.arguments["pool"], filled.arguments["day"]) == (True, "tomorrow")
    assert filled.arguments["city"] in asked.question
    assert filled.arguments["nights"] == 3
    assert "day" not in fill(form("3 nights in Oslo"), TRIP).arguments


def test_what_the_question_does_not_have_is_missing(form):
    filled = fill(form("Oslo"), TRIP)
    assert "nights" not in filled.arguments
    assert fill(form("?"), TRIP).arguments.keys() <= {"guest"}
    assert fill(form("Hi"), schema()).arguments == {}


def test_numbers_in_a_row_go_to_the_slots_in_order(form):
    number = {"type": "integer"}
    point = schema(["x", "y"], x=number, y=number, z=number)
    assert fill(form("to the point (9, 12, 15)"), point).arguments == {"x": 9, "y": 12, "z": 15}
    guests = schema(["adults", "children"], adults=number, children=number)
    assert set(fill(form("2 adults on May 1, 2022"), guests).arguments.values()) != {1, 2022}


def test_an_optional_slot_does_not_take_the_words_of_another(form):
    match = schema(["player"], player=TEXT, team={"type": "string", "description": "The player's team"})
    assert fill(form("'Michael Jordan'"), match).arguments == {"player": "Michael Jordan"}


@pytest.mark.parametrize(
    ("question", "unit", "arguments"),
    [
        ("radius of 5 in a circle", "The unit of the area", {"radius": 5}),  # "circle" is the tool's own word
        ("radius of 5 cm", "The unit of the area", {"radius": 5}),  # "cm" is the radius's
        ("radius of 5 cm in miles", "The unit of the area", {"radius": 5, "unit": "miles"}),
        ("radius of 5 cm in miles", "Either 'metric' or 'imperial'.", {"radius": 5}),
    ],
)
def test_an_optional_slot_does_not_take_what_says_something_else(form, question, unit, arguments):
    radius = {"type": "integer", "description": "The radius in centimeters"}
    area = schema(["radius"], radius=radius, unit={"type": "string", "description": unit})
    found = fill(form(question), area, "Get the area of a circle.").arguments
    assert found.get("unit") == arguments.get("unit")
    assert found["radius"] == arguments["radius"]


def test_two_slots_do_not_take_the_same_words(form):
    two = schema(["a", "b"], a={"type": "integer"}, b={"type": "integer"})
    assert sorted(fill(form("of 12 and 18"), two).arguments.values()) == [12, 18]
    only = fill(form("of 12"), two)
    assert only.arguments == {"a": 12, "b": 12}
    assert min(only.margins.values()) <= options.UNSURE  # one of them is a guess


def test_a_piece_of_a_question_may_leave_out_what_is_required(form):
    assert "nights" in fill(form("5 nights"), schema(["nights"], nights={"type": "integer"})).arguments
    absent = fill(form("and Rome"), schema(["day"], day=DAYS), partial=True)
    assert absent.margins.get("day", -1.0) < 0
