"""What measures the search and the answers: by hand on a few questions, and the reports that it leaves."""

import json
import statistics

import pytest

from shared.cli import plain_console
from shared.stats import share
from step3_rag.answer.context import Source
from step3_rag.answer.read import UNKNOWN, Answer, Cited
from step3_rag.cli import tables
from step3_rag.evaluate import answers, retrieval
from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.measurement import Measurement, difference
from step3_rag.evaluate.metrics import MEASURES
from step3_rag.pipeline import Outcome
from step3_rag.reflect.loop import Attempt, Reflection
from step3_rag.retrieve.search import SearchOptions, SearchResult

QUESTIONS = [
    Question("q1", "What is the notice of the supply contract?", {"contracts/supply.md": 1}, "one"),
    Question("q2", "the kettle and the leave", {"notes.md": 1, "handbook/leave.txt": 1}, "two"),
    Question("q3", "zebra", {"handbook/people.csv": 1}, "one"),
    Question("q4", "unicorn", {}, "none"),
]


def test_the_table_is_the_mean_of_the_questions_with_something_relevant(retriever):
    outcomes = retrieval.rank_questions(retriever, QUESTIONS, SearchOptions())
    table = retrieval.summary(outcomes)
    assert list(table) == ["bm25", "dense", "rrf", "fusion", "rerank"]
    for stage, row in table.items():
        for name, measure in MEASURES.items():
            by_hand = [measure(each.rankings[stage], each.question.qrels) for each in outcomes[:3]]
            assert row[name] == pytest.approx(statistics.mean(by_hand))
    before = [row["over"] for row in table.values()]
    assert before == [None, None, "bm25", "rrf", "fusion"]
    for row in list(table.values())[2:]:
        by_hand = row["nDCG@10"] - table[row["over"]]["nDCG@10"]
        assert row["nDCG@10, change"].mean == pytest.approx(by_hand)
    assert outcomes[3].measures == {}
    kinds = retrieval.by_kind(outcomes)
    assert {kind: row["n"] for kind, row in kinds.items()} == {"one": 2, "two": 1}


def test_without_reranking_the_ranking_by_ranks_is_still_its_own(retriever):
    """Each was first in one ranking and third in the other: by scores they are apart, by ranks they tie."""
    found = retriever.search("kettle", SearchOptions(rerank="none"))
    chunks = list(found.documents)[:3]
    found.stages["bm25"] = dict(zip(chunks, (9.0, 1.0, 0.5), strict=True))
    found.stages["dense"] = dict(zip(reversed(chunks), (0.9, 0.89, 0.1), strict=True))
    found.stages["fusion"] = dict(zip(chunks, (0.5, 0.49, 0.51), strict=True))
    found.order = sorted(chunks, key=lambda each: -found.stages["fusion"][each])
    rankings = retrieval.rank(QUESTIONS[0], found).rankings
    names = [found.documents[each] for each in chunks]
    assert list(rankings) == ["bm25", "dense", "rrf", "fusion"]
    assert rankings["rrf"] == [names[0], names[2], names[1]]
    assert rankings["fusion"] == [names[2], names[0], names[1]]


def test_failures_are_the_questions_without_a_relevant_document_in_the_first_five(retriever):
    outcomes = retrieval.rank_questions(retriever, QUESTIONS, SearchOptions())
    for each in outcomes[:3]:
        each.measures["rerank"]["hit@5"] = float(each.question.id != "q3")
    ((name, ranks),) = retrieval.failures(outcomes).items()
    assert (name, ranks["bm25"]) == ("q3: zebra", None)


def test_the_command_measures_a_folder_but_not_its_answers(beir, command, refused):
    args = ("step3_rag", "evaluate", "--dataset", str(beir))
    facts = json.loads(command(*args, "--json").out)
    assert facts["n"] == 2
    assert facts["note"].startswith("beir: 2 questions and 0 without an answer, 5 documents, ")
    assert "beir has no reference answers" in refused(*args, "--answers")


def judged(question, text, *, documents=(), cites=(), right=False, low=False, supported=True):
    """An answer from documents (in the order of their numbers) that cites some of the numbers."""
    sources = [Source(i, name, name, "x", (i,)) for i, name in enumerate(documents, 1)]
    cited = [Cited(text, (number,), float(supported)) for number in cites]
    attempt = Attempt("question", question.text, SearchResult(question.text, SearchOptions()), 0.5)
    reflection = Reflection([attempt], attempt, "abstain" if low else "answer")
    outcome = Outcome(reflection, sources, Answer(text, cited), {})
    return answers.Judged(question, outcome, right)


ASKED = [Question(f"q{i}", f"{i}?", {"a": 1, "b": 1} if i < 4 else {}) for i in range(6)]
JUDGED = [
    judged(ASKED[0], "right", documents="abx", cites=(1, 3), right=True),
    judged(ASKED[1], "wrong, from what is relevant", documents="ax", cites=(1,), supported=False),
    judged(ASKED[2], "wrong, from nothing relevant", documents="x", cites=(1,), low=True),
    judged(ASKED[3], UNKNOWN, documents="b"),
    judged(ASKED[4], "made up", documents="x", cites=(1,), low=True),
    judged(ASKED[5], "made up", documents="x"),
]


@pytest.mark.parametrize(
    ("abstain", "expected"),
    [
        # Without abstaining, all are wrong but the right one and "I don't know".
        (False, {"right": (1, 4), "wrong": (4, 6), "grounded": (4, 5), "refused": (0, 2)}),
        (True, {"right": (1, 4), "wrong": (2, 6), "grounded": (2, 3), "refused": (1, 2)}),
    ],
)
def test_the_figures_of_answers_with_and_without_abstaining(abstain, expected):
    shares = answers.figures(JUDGED, abstain=abstain).values()
    assert [(share.hits, share.n) for share in shares] == list(expected.values())


def test_answers_are_counted_by_kind():
    sure = judged(ASKED[2], "from both", documents="xb", cites=(1, 2))
    counts = {"n": 7, "relevant found": 4, "right": 1, "silent": 3, "relevant cited": 3}
    assert answers.by_kind([*JUDGED, sure]) == {"": counts}


def test_a_table_shows_what_is_missing_as_a_dash_and_no_control_characters(capsys):
    """A question of a folder could write to the terminal."""
    change = difference([0.5], [0.25])
    rows = {"\x1b[31mred": {"n": 2, "mean": 0.5, "share": share(3, 4), "change": change}}
    rows["none"] = {"n": None, "mean": None, "share": share(0, 0), "change": None}
    shown = {"kind": rows, "empty": {}}
    report = Measurement(command="step3_rag x", headline="", tables=shown, note="x", machine="y")
    tables.show(report, plain_console())
    head, first, second, *rest = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["kind", "n", "mean", "share", "change"]
    shown = "[31mred 2 0.500 3/4 75% (30-95) +0.250 (+0.250 to +0.250), 1 up 0 down"
    assert " ".join(first) == shown
    assert second == ["none", "-", "-", "-", "-"]
    assert rest == [[], ["x;", "y"]]


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("Notice is 60 days, and liability ends at EUR 40,000.", "60 days and EUR 40,000", True),
        ("Notice is 60 days.", "60 days and EUR 40,000", False),
        ("Notice is 160 days.", "60 days", False),
        ("the  OSLO,office", "an Oslo office.", True),
        ("EUR 40", "EUR 40,000", False),
        ("25 days", "A", False),  # nothing is left of the reference
    ],
)
def test_an_answer_has_a_reference_word_by_word(answer, reference, right):
    assert answers.has_reference(answer, reference) is right


def test_passages_support_an_answer_by_their_quotes_or_without_quotes_by_their_document():
    asked = Question("q", "?", {"d": 1}, quotes=("Notice is 60 days", "EUR 412 | a | piece"))
    texts = ["The notice is 60 days.", "A piece is EUR 412, a bargain.", "Notice is sixty days in another"]
    one, two, other = (Source(1, name, name, text, ()) for name, text in zip("dex", texts, strict=True))
    assert asked.supported([one, two]) == [True, True]
    assert asked.supported([one, other]) == [True, False]
    assert asked.supported([other]) == [False, False]
    plain = Question("q", "?", {"d": 1, "x": 0})  # x was judged: it is not relevant
    assert plain.supported([other, one]) == [True]
    assert plain.supported([other]) == [False]
    assert Question("q", "?", {}).supported([one]) == [False]  # unanswerable


def test_a_sweep_counts_the_questions_whose_passages_have_all_quotes(beir, command, monkeypatch):
    monkeypatch.setattr(Question, "supported", lambda question, _found: [True, question.id == "q1"])
    args = ("--dataset", str(beir), "--split", "test", "--sizes", "128/32", "--smoke", "--json")
    facts = json.loads(command("step3_rag", "sweep", *args).out)
    assert facts["tables"]["size/overlap"]["128/32"]["in 1024 tokens"]["hits"] == 1


@pytest.mark.real
def test_the_default_pipeline_is_not_worse_than_fusion_on_the_sample(command):
    facts = json.loads(command("step3_rag", "evaluate", "--split", "dev", "--limit", "25", "--json").out)
    rows = {name: row["nDCG@10"] for name, row in facts["tables"]["stage"].items()}
    assert rows["rerank"] >= rows["fusion"] > rows["bm25"]
    assert rows["rerank"] > 0.7


@pytest.mark.parametrize("check", ["citations", "injections"])
def test_what_the_checks_find_is_counted_by_kind(command, check):
    facts = json.loads(command("step3_rag", check, "--json").out)
    *kinds, total, others = (row["found"] for row in facts["tables"]["kind"].values())
    assert (len(kinds), total["n"], others["n"]) == (5, 60, 60)
    for count in ("n", "hits"):
        assert sum(each[count] for each in kinds) == total[count]
