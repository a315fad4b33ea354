"""The labelled questions: a tool call can match every label, and no split leaks into the other."""

import json
import re
from collections import Counter

from tests.conftest import ROOT

FILE = ROOT / "step2_tools" / "data" / "questions.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
FRESH = [json.loads(line) for line in FILE.with_name("fresh.jsonl").read_text(encoding="utf-8").splitlines()]
# fmt: off
KINDS = {
    "weather", "stock", "currency", "time", "both", "several",
    "neither", "misspelt", "lower_case", "word_order", "unsafe", "impossible",
}
DAYS = {
    "today", "tomorrow", "day after tomorrow",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
}
# fmt: on
REQUIRED = {
    "get_weather": {"city"},
    "get_stock_price": {"symbol"},
    "convert_currency": {"from_currency", "to_currency"},
    "get_time": {"city"},
}
OPTIONAL = {"get_weather": {"unit", "day"}, "convert_currency": {"amount"}}
NO_CALL = {"neither", "unsafe", "impossible"}


def calls():
    return [(row, call) for row in [*ROWS, *FRESH] for call in row["calls"]]


def names(split):
    """Every accepted name of a city or a company in one split, casefolded."""
    return {
        value.casefold()
        for row, call in calls()
        if row["split"] == split
        for key in ("city", "symbol")
        for value in call["input"].get(key, [])
    }


def test_every_row_has_the_fields_of_the_format():
    for row in ROWS:
        assert list(row) == ["id", "split", "kind", "question", "calls"], row
        assert row["id"].rpartition("-")[0] == row["kind"], row
        assert row["question"] == row["question"].strip() != "", row


def test_there_are_enough_questions_and_no_id_twice():
    assert len(ROWS) >= 120
    assert [key for key, n in Counter(row["id"] for row in ROWS).items() if n > 1] == []


def test_both_splits_have_every_kind():
    for split in ("dev", "test"):
        assert {row["kind"] for row in ROWS if row["split"] == split} == KINDS
    assert {row["split"] for row in ROWS} == {"dev", "test"}


def test_the_fresh_questions_are_sixty_and_some_want_no_call():
    assert len(FRESH) == len({row["id"] for row in FRESH}) == 60
    assert {row["split"] for row in FRESH} == {"fresh"}
    assert sum(not row["calls"] for row in FRESH) == 14


def test_no_question_is_asked_twice():
    asked = Counter(" ".join(row["question"].casefold().split()) for row in [*ROWS, *FRESH])
    assert [question for question, n in asked.items() if n > 1] == []


def test_the_splits_share_no_city_and_no_company():
    assert names("dev") & names("test") == set()


def test_expected_calls_fit_the_tools():
    for row, call in calls():
        assert list(call) == ["name", "input"], row
        given = set(call["input"])
        assert REQUIRED[call["name"]] <= given, row
        assert given <= REQUIRED[call["name"]] | OPTIONAL.get(call["name"], set()), row


def test_accepted_values_are_allowed_and_null_only_beside_the_default():
    for row, call in calls():
        for key, values in call["input"].items():
            assert isinstance(values, list), row
            assert values, row
            said = [value for value in values if value is not None]
            if key == "amount":
                assert all(type(value) in (int, float) and value > 0 for value in said), row
            else:
                assert all(isinstance(value, str) and value for value in said), row
            if key == "day":
                assert set(said) <= DAYS, row
            if key == "unit":
                assert set(said) <= {"celsius", "fahrenheit"}, row
            if None in values:
                assert said == {"day": ["today"], "unit": ["celsius"], "amount": [1]}.get(key), row


def test_an_accepted_city_or_company_stands_in_the_question():
    for row, call in calls():
        for key in ("city", "symbol"):
            if key in call["input"]:
                text = row["question"].casefold()
                assert any(value.casefold() in text for value in call["input"][key]), row


def test_a_currency_is_an_iso_code_first():
    for row, call in calls():
        for key in ("from_currency", "to_currency"):
            if key in call["input"]:
                code = call["input"][key][0]
                assert re.fullmatch("[A-Z]{3}", code), row


def test_the_number_of_calls_fits_the_kind():
    for row in ROWS:
        tools = [call["name"] for call in row["calls"]]
        if row["kind"] in NO_CALL:
            assert tools == [], row
        elif row["kind"] == "both":
            assert len(tools) == len(set(tools)) == 2, row
        elif row["kind"] == "several":
            assert 2 <= len(tools) <= 4, row
            assert len(set(tools)) == 1, row
        else:
            assert tools, row


def test_lower_case_questions_have_no_capital():
    for row in ROWS:
        if row["kind"] == "lower_case":
            assert row["question"] == row["question"].lower(), row
