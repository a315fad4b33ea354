"""Searching again: the strategies, when one is used, and that none can make things worse."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step3_rag.evaluate import rewrites
from step3_rag.reflect import reflect as lesson
from step3_rag.reflect.reflect import MARGIN, THRESHOLD, Attempt, better, reflect
from step3_rag.reflect.rewrite import OFFLINE, STRATEGIES, correct_spelling, parts_of, rewrite
from step3_rag.retrieve.search import Options, SearchResult

QUESTION = "What is the notiice of the supply agrement?"


@pytest.fixture
def sure(monkeypatch):
    """Confidence by query, 0.1 for others: sure({"kettle": 0.9})."""

    def set_to(said, other=0.1):
        monkeypatch.setattr(lesson, "confidence", lambda found, _: said.get(found.query, other))

    return set_to


def scripted(*answers):
    """A chat function that gives those answers, and the turns that it got."""
    turns, left = [], list(answers)

    def chat(prompt, text):
        turns.append((prompt.id, text))
        return left.pop(0)

    return chat, turns


# --- the strategies ---------------------------------------------------------------------------------------


def test_spelling_correction_keeps_codes_short_words_and_other_words():
    known = dict.fromkeys(["notice", "contract", "contracts", "sensor"], 1)
    unknown = {"knows": lambda _stem: False}
    assert correct_spelling("Notiice: CONTRACTT-24, tis sensr zebra", known, **unknown) == (
        "notice: CONTRACTT-24, tis sensor zebra"
    )
    assert correct_spelling("unsensr sensr, sensr", known, **unknown) == "unsensr sensor, sensor"
    assert correct_spelling("botice", known, **unknown) == "botice"  # begins with another letter
    assert correct_spelling("renewals", known, lambda stem: stem == "renew") == "renewals"


def test_a_compound_question_has_parts():
    joined = "When are samples of the P45 planned, and how many watts does the F3 take?"
    assert parts_of(joined) == ["When are samples of the P45 planned", "how many watts does the F3 take?"]
    for one in ("Is bread and butter served?", "and"):
        assert parts_of(one) == [one]


def test_meaning_weighs_dense_search_more_where_both_were_run(retriever):
    query, options = rewrite("meaning", "kettle", retriever.search("kettle"), retriever, None)
    assert (query, options.dense_weight) == ("kettle", 0.85)
    dense = retriever.search("kettle", Options(use=("dense",)))
    assert rewrite("meaning", "kettle", dense, retriever, None) is None


def test_a_follow_up_is_searched_with_the_question_before_it(retriever):
    before = ("How long is the leave?", "How is the kettle mended?")
    found = retriever.search("And the lamp?", Options(before=before))
    query, options = rewrite("conversation", "And the lamp?", found, retriever, None)
    assert query == "How is the kettle mended? And the lamp?"
    assert options == found.options
    assert rewrite("conversation", "kettle", retriever.search("kettle"), retriever, None) is None


@pytest.mark.parametrize(
    ("strategy", "prompt", "query"),
    [("chat", "rewrite", "notice period"), ("hyde", "hyde", f"{QUESTION} notice period")],
)
def test_the_chat_model_writes_a_query(retriever, strategy, prompt, query):
    chat, turns = scripted(" notice\n period ", "", QUESTION)
    found = retriever.search(QUESTION)
    assert rewrite(strategy, QUESTION, found, retriever, chat) == (query, found.options)
    assert turns == [(prompt, QUESTION)]
    assert rewrite(strategy, QUESTION, found, retriever, chat) is None  # it wrote nothing
    if strategy != "hyde":
        assert rewrite(strategy, QUESTION, found, retriever, chat) is None  # it repeated the question


# --- the graph --------------------------------------------------------------------------------------------


def test_a_confident_search_is_the_only_one(retriever, sure):
    sure({QUESTION: 0.9})
    got = reflect(retriever, QUESTION, Options(), OFFLINE)
    assert got.path == ["retrieve (question)", "judge 0.90", "answer"]
    assert got.verdict == "answer"
    assert got.attempts == [got.best]


def test_a_better_attempt_is_kept_and_ends_the_search(retriever, sure):
    better_query = "What is the notice of the supply agreement?"
    sure({better_query: 0.9})
    got = reflect(retriever, QUESTION, Options(), ("spelling", "meaning"))
    assert got.path == [
        "retrieve (question)",
        "judge 0.10",
        "rewrite (spelling)",
        "retrieve (spelling)",
        "judge 0.90",
        "answer",
    ]
    assert (got.best.strategy, got.best.query) == ("spelling", better_query)


def test_a_bad_rewrite_can_not_replace_the_first_search(retriever, sure):
    sure({QUESTION: 0.4, "zebra": 0.05, f"{QUESTION} zebra": 0.45})
    chat, turns = scripted("zebra", "zebra")
    got = reflect(retriever, QUESTION, Options(), ("chat", "hyde"), chat=chat)
    assert [each.query for each in got.attempts] == [QUESTION, "zebra", f"{QUESTION} zebra"]
    assert got.best is got.attempts[0]  # 0.45 is not better by the margin
    assert got.verdict == "abstain"
    assert len(turns) == 2


def test_an_attempt_that_passes_the_threshold_counts_though_it_is_only_a_little_better(retriever, sure):
    sure({"What is the notice of the supply agreement?": 0.89}, other=0.8)
    got = reflect(retriever, QUESTION, Options(), ("spelling",), 0.85)
    assert (got.verdict, got.best.strategy) == ("answer", "spelling")
    low = reflect(retriever, QUESTION, Options(), ("spelling",), 0.95)
    assert (low.verdict, low.best.strategy) == ("abstain", "question")


def test_every_strategy_is_tried_once_at_most(retriever, sure):
    sure({})
    chat, turns = scripted("one", "two")
    got = reflect(retriever, QUESTION, Options(), (*STRATEGIES, *STRATEGIES[:3]), chat=chat)
    tried = [each.strategy for each in got.attempts]
    assert tried == ["question", "spelling", "meaning", "chat", "hyde"]
    assert got.path[-1] == "abstain"
    assert len(turns) == 2


@pytest.mark.parametrize(("said", "verdict"), [(THRESHOLD - 0.0001, "abstain"), (THRESHOLD, "answer")])
def test_it_abstains_below_the_threshold(retriever, sure, said, verdict):
    sure({"zebra": said})
    assert reflect(retriever, "zebra", Options()).verdict == verdict


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8))
def test_the_kept_attempt_is_never_less_confident_than_the_first(said):
    attempts = [Attempt(str(i), "q", SearchResult("q", Options()), each) for i, each in enumerate(said)]
    best = better(attempts)
    assert best.rank >= attempts[0].rank
    assert all(each.rank <= best.rank + MARGIN for each in attempts)


# --- the measurement --------------------------------------------------------------------------------------


def test_every_strategy_is_measured_where_the_first_search_was_low(beir, monkeypatch, command):
    said = {"kettle": 0.9, "notice supply": 0.8}
    monkeypatch.setattr(rewrites, "confidence", lambda found, _: said.get(found.query, 0.1))
    got = command("step3_rag", "reflect", "--dataset", str(beir), "--json")
    facts = json.loads(got.out)
    assert (facts["n"], facts["low"], facts["model"]) == (2, 1, None)
    assert facts["strategies"]["spelling"]["offered"] == 1
    for row in facts["strategies"].values():
        assert row["difference"]["worse"] == 0
        assert row["kept"] >= row["before"] or row["kept"] == pytest.approx(row["before"])
    shown = command("step3_rag", "reflect", "--dataset", str(beir)).out
    assert f"1 of 2 questions had a confidence under {THRESHOLD}" in shown
