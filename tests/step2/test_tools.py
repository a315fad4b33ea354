"""The tools as the assistant gets them: offline on sample data, and what that holds."""

import json

import pytest

from step2_tools.tools import build, samples
from tests.step2.fake_services import facts, refusal


@pytest.fixture(scope="module")
def call():
    """Call an offline tool by its name."""
    tools = {tool.name: tool for tool in build(offline=True)}
    return lambda name, **given: tools[name].call(given)


def test_every_argument_is_described_to_the_model():
    for tool in build(offline=True):
        properties = tool.to_dict()["input_schema"]["properties"]
        assert all(each["description"].endswith(".") for each in properties.values())
        assert "Raises" not in tool.description


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("get_weather", {"city": "Bangkok"}, "In Bangkok, Thailand it is 32 °C now"),
        ("get_weather", {"city": "Springfield, Illinois", "day": "sunday"}, "In Springfield, Illinois, Un"),
        ("get_stock_price", {"symbol": "Apple"}, "Apple Inc. (AAPL) is at "),
        ("convert_currency", {"from_currency": "$", "to_currency": "yen"}, "1.00 USD is 154 JPY"),
        ("get_time", {"city": "Tokyo"}, "JST, UTC+09:00"),
    ],
)
def test_offline_every_result_says_that_it_is_sample_data(call, name, given, words):
    result = facts(call(name, **given))
    assert words in result["summary"]
    assert "sample data of 2026-11-20" in result["summary"]
    assert (result["sample"], result["sample_date"]) == (True, "2026-11-20")
    assert "sample data, not measured" in result["source"]


def test_offline_today_is_the_day_of_the_sample_data(call):
    assert facts(call("get_weather", city="London", day="tomorrow"))["date"] == "2026-11-21"
    assert facts(call("get_weather", city="Auckland"))["date"] == "2026-11-21"  # it was past midnight there


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("get_weather", {"city": "Atlantis"}, "'Atlantis' is not among the cities of the sample data (B"),
        ("get_time", {"city": "Laos"}, "'Laos' is not among the cities of the sample data"),
        ("get_stock_price", {"symbol": "Acme"}, "'Acme' is not among the companies of the sample data (A"),
        ("convert_currency", {"from_currency": "USD", "to_currency": "taka"}, "no rate from USD to BDT in"),
    ],
)
def test_what_the_sample_data_lacks_is_refused_with_the_way_out(call, name, given, words):
    line = refusal(call, name, **given)
    assert words in line
    assert line.endswith("run without --offline")


@pytest.mark.parametrize(
    ("name", "given", "fact", "expected"),
    [
        ("get_weather", {"city": "Bangkk"}, "place", "Bangkok, Thailand"),
        ("get_time", {"city": "sao paulo"}, "place", "São Paulo, Brazil"),
        ("get_weather", {"city": "NYC"}, "place", "New York, United States"),
        ("get_weather", {"city": "Washington, D.C."}, "place", "Washington, United States"),
        ("get_weather", {"city": "Portland, OR"}, "place", "Portland, Oregon, United States"),
        ("get_weather", {"city": "Paris Texas"}, "place", "Paris, Texas, United States"),
        ("get_weather", {"city": "Paris, Texas, United States"}, "place", "Paris, Texas, United States"),
        ("get_weather", {"city": "london uk"}, "place", "London, England, United Kingdom"),
        ("get_stock_price", {"symbol": "aapl"}, "symbol", "AAPL"),
        ("get_stock_price", {"symbol": "Google"}, "symbol", "GOOGL"),
        ("get_stock_price", {"symbol": "coca cola"}, "symbol", "KO"),
        ("get_stock_price", {"symbol": "microsft"}, "symbol", "MSFT"),
        ("get_stock_price", {"symbol": "apple stock"}, "symbol", "AAPL"),
        ("get_stock_price", {"symbol": "Johnson & Johnson"}, "symbol", "JNJ"),
    ],
)
def test_cities_and_companies_are_found_by_the_ways_people_write_them(call, name, given, fact, expected):
    assert facts(call(name, **given))[fact] == expected


def test_of_many_places_of_a_name_the_largest_is_taken_and_the_others_are_named(call):
    paris, springfield = (facts(call("get_weather", city=city)) for city in (" PARIS ", "Springfield"))
    assert paris["country"] == "France"
    assert paris["summary"].startswith("In Paris, Île-de-France, France it is")  # much larger than the others
    assert paris["other_places"][:2] == ["Paris, Texas, United States", "Paris, Ontario, Canada"]
    assert "Paris, Texas" in paris["hint"]
    assert "Missouri, United States (the largest of 20 places of this name) it is" in springfield["summary"]
    assert len(springfield["other_places"]) == 5
    there = "Paris, Île-de-France, France; Paris, Texas, United States; Paris, Ontario, Canada"
    assert refusal(call, "get_weather", city="Paris, Narnia") == f"no Paris in Narnia; there is {there}"


def test_every_place_has_weather_and_a_time_zone(call):
    places = json.loads((samples.FOLDER / "geocoding.json").read_text())["results"]
    assert len(places) >= 60
    assert sum(each["name"] == "Springfield" for each in places) == 20
    for each in places:
        city = f"{each['name']}, {each.get('admin1', each['country'])}"
        assert facts(call("get_weather", city=city, day="thursday"))["low"] is not None
        assert facts(call("get_time", city=city))["time_zone"] == each["timezone"]


def test_every_company_and_currency_answers(call):
    metas = json.loads((samples.FOLDER / "chart.json").read_text())["metas"]
    rows = json.loads((samples.FOLDER / "rates.json").read_text())["rows"]
    assert len(metas) >= 40
    assert len(rows) >= 30
    for symbol, meta in metas.items():
        assert facts(call("get_stock_price", symbol=symbol))["symbol"] == symbol
        assert facts(call("get_stock_price", symbol=meta["longName"]))["symbol"] == symbol
    for row in rows:
        there = facts(call("convert_currency", from_currency="EUR", to_currency=row["quote"], amount=1))
        assert there["rate"] == pytest.approx(row["rate"], rel=1e-5)
