"""The labelled questions: every kind in each split, no question twice, no city or company in both."""

from collections import Counter

from step2_tools.evaluate.questions import read

FRESH = read("fresh")
ROWS = [*read("dev"), *read("test")]
NO_CALL = {"neither", "unsafe", "impossible"}
KINDS = NO_CALL | {"weather", "stock", "currency", "time", "both", "several"}
KINDS |= {"misspelt", "lower_case", "word_order"}


def names(split):
    """Every accepted name of a city or a company in one split, casefolded."""
    names = set()
    for question in read(split):
        for label in question.calls:
            for argument in ("city", "symbol"):
                names.update(name.casefold() for name in label["input"].get(argument, []))
    return names


def test_each_split_has_every_kind_and_enough_questions():
    assert len(ROWS) >= 120
    for split in ("dev", "test"):
        assert {question.kind for question in read(split)} == KINDS
    assert len(FRESH) == 60
    assert sum(not question.calls for question in FRESH) == 14


def test_no_id_and_no_question_comes_twice_and_the_splits_share_no_name():
    assert len({question.id for question in [*ROWS, *FRESH]}) == len(ROWS) + len(FRESH)
    assert len({" ".join(question.text.casefold().split()) for question in [*ROWS, *FRESH]}) == len(ROWS) + 60
    assert names("dev") & names("test") == set()


def test_the_number_of_calls_fits_the_kind():
    allowed = {"both": ([1, 1],), "several": ([2], [3], [4]), **dict.fromkeys(NO_CALL, ([],))}
    for question in ROWS:
        per_tool = [*Counter(label["name"] for label in question.calls).values()]
        if question.kind in allowed:
            assert per_tool in allowed[question.kind], question
        else:
            assert per_tool, question
