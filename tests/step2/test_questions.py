"""The labelled questions: a tool call can match every label, and no split leaks into the other."""

import json
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
# fmt: on
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
