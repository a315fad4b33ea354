"""The labelled questions: every kind in each split, no question twice, no city or company in both."""

from collections import Counter

from step2_tools.evaluate.questions import read

FRESH, ROWS = read("fresh"), [*read("dev"), *read("test")]
NO_CALL = {"neither", "unsafe", "impossible"}
KINDS = NO_CALL | {"weather", "stock", "currency", "time", "both", "several"}
KINDS |= {"misspelt", "lower_case", "word_order"}


def names(split):
    """Every accepted name of a city or a company in one split, casefolded."""
    calls = [call for row in read(split) for call in row["calls"]]
    return {
        value.casefold()
        for call in calls
        for key in ("city", "symbol")
        for value in call["input"].get(key, [])
    }


def test_each_split_has_every_kind_and_enough_questions():
    assert len(ROWS) >= 120
    for split in ("dev", "test"):
        assert {row["kind"] for row in read(split)} == KINDS
    assert len(FRESH) == 60
    assert sum(not row["calls"] for row in FRESH) == 14


def test_no_id_and_no_question_comes_twice_and_the_splits_share_no_name():
    assert len({row["id"] for row in [*ROWS, *FRESH]}) == len(ROWS) + len(FRESH)
    assert len({" ".join(row["question"].casefold().split()) for row in [*ROWS, *FRESH]}) == len(ROWS) + 60
    assert names("dev") & names("test") == set()


def test_the_number_of_calls_fits_the_kind():
    allowed = {"both": ([1, 1],), "several": ([2], [3], [4]), **dict.fromkeys(NO_CALL, ([],))}
    for row in ROWS:
        kind, per_tool = row["kind"], [*Counter(call["name"] for call in row["calls"]).values()]
        assert per_tool in allowed[kind] if kind in allowed else per_tool, row
