"""Searching again: the strategies, when one is used, and that none can make things worse."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from step3_rag.reflect import loop as lesson
from step3_rag.reflect.loop import THRESHOLD, reflect
from step3_rag.reflect.rewrite import OFFLINE, STRATEGIES, WITH_CHAT, correct_spelling, parts_of, rewrite
from step3_rag.retrieve.search import SearchOptions

QUESTION = "What is the notiice of the supply agrement?"
CORRECTED = "What is the notice of the supply agreement?"
TWO = f"{QUESTION} two"


@pytest.fixture
def sure(monkeypatch):
    """Confidence by query, 0.1 for others: sure({"kettle": 0.9})."""

    def set_to(said, other=0.1):
        monkeypatch.setattr(lesson, "confidence", lambda found, *_: said.get(found.query, other))

    return set_to


def test_spelling_correction_keeps_codes_short_words_and_other_words():
    words = dict.fromkeys(["notice", "contract", "contracts", "sensor"], 1)
    known = SimpleNamespace(vocabulary=words, knows=lambda stem: stem == "renew")
    assert correct_spelling("Notiice: CONTRACTT-24, tis sensr zebra", known) == (
        "notice: CONTRACTT-24, tis sensor zebra"
    )
    assert correct_spelling("unsensr sensr, sensr", known) == "unsensr sensor, sensor"
    assert correct_spelling("botice", known) == "botice"  # begins with another letter
    assert correct_spelling("renewals", known) == "renewals"


def test_a_compound_question_has_parts():
    joined = "When are samples of the P45 planned, and how many watts does the F3 take?"
    assert parts_of(joined) == ["When are samples of the P45 planned", "how many watts does the F3 take?"]
    for one in ("Is bread and butter served?", "and"):
        assert parts_of(one) == [one]


def test_meaning_weighs_dense_search_more_where_both_were_run(retriever):
    query, options = rewrite("meaning", "kettle", retriever.search("kettle"), retriever, None)
    assert (query, options.dense_weight) == ("kettle", 0.85)
    dense = retriever.search("kettle", SearchOptions(use=("dense",)))
    assert rewrite("meaning", "kettle", dense, retriever, None) is None


def test_a_follow_up_is_searched_with_the_question_before_it(retriever):
    before = ("How long is the leave?", "How is the kettle mended?")
    found = retriever.search("And the lamp?", SearchOptions(before=before))
    query, options = rewrite("conversation", "And the lamp?", found, retriever, None)
    assert query == "How is the kettle mended? And the lamp?"
    assert options == found.options
    assert rewrite("conversation", "kettle", retriever.search("kettle"), retriever, None) is None


@pytest.mark.parametrize(
    ("strategy", "prompt", "query"),
    [("chat", "rewrite", "notice period"), ("hyde", "hyde", f"{QUESTION} notice period")],
)
def test_the_chat_model_writes_a_query(retriever, strategy, prompt, query):
    chat = Mock(side_effect=[" notice\n period ", "", QUESTION])
    found = retriever.search(QUESTION)
    assert rewrite(strategy, QUESTION, found, retriever, chat) == (query, found.options)
    used, turn = chat.call_args.args
    assert (used.id, turn) == (prompt, QUESTION)
    assert rewrite(strategy, QUESTION, found, retriever, chat) is None  # it wrote nothing
    if strategy != "hyde":
        assert rewrite(strategy, QUESTION, found, retriever, chat) is None  # it repeated the question


@pytest.mark.parametrize(
    ("said", "strategies", "tried", "best", "verdict"),
    [
        ({QUESTION: 0.9}, OFFLINE, (), "question", "answer"),  # the first is enough
        ({CORRECTED: 0.9}, ("spelling", "meaning"), ("spelling",), "spelling", "answer"),
        ({QUESTION: THRESHOLD - 0.0001}, (), (), "question", "abstain"),
        ({QUESTION: THRESHOLD}, (), (), "question", "answer"),
        # A rewrite that is worse, or better by less than the margin, does not replace the first search,
        ({QUESTION: 0.1, "one": 0.02, TWO: 0.15}, WITH_CHAT, WITH_CHAT, "question", "abstain"),
        ({QUESTION: 0.1, "one": 0.25, TWO: 0.2}, WITH_CHAT, WITH_CHAT, "chat", "abstain"),
        # but one that alone reaches the threshold does.
        ({QUESTION: 0.3, CORRECTED: 0.36}, ("spelling",), ("spelling",), "spelling", "answer"),
        # Each strategy once at most; "conversation" has nothing before the question.
        ({}, (*STRATEGIES, *OFFLINE), ("spelling", "meaning", *WITH_CHAT), "question", "abstain"),
    ],
)
def test_which_searches_are_made_and_which_is_kept(retriever, sure, said, strategies, tried, best, verdict):
    sure(said)
    chat = Mock(side_effect=["one", "two"])
    got = reflect(retriever, QUESTION, SearchOptions(), strategies, chat=chat)
    assert [each.strategy for each in got.attempts] == ["question", *tried]
    assert (got.best.strategy, got.verdict) == (best, verdict)
    assert chat.call_count == len({*WITH_CHAT} & {*tried})


def test_every_strategy_is_measured_where_the_first_search_was_low(beir, sure, command, refused):
    sure({"kettle": 0.9, "notice supply": 0.8})
    got = command("step3_rag", "reflect", "--dataset", str(beir), "--json")
    facts = json.loads(got.out)
    rows = facts["tables"]["strategy"]
    assert rows["spelling"]["new query"] == 1
    for row in rows.values():
        assert row["kept, over all questions"]["worse"] == 0
        assert row["kept"] >= row["before"] or row["kept"] == pytest.approx(row["before"])
    shown = command("step3_rag", "reflect", "--dataset", str(beir)).out
    assert f"1 of 2 questions had a confidence under {THRESHOLD}" in shown
    line = refused("step3_rag", "reflect", "--dataset", str(beir), "--strategies", "none")
    assert "--strategies none leaves nothing to measure" in line
