"""The confidence of a search: its signals, the regression that weighs them, and its measurement."""

import json

import numpy as np
import pytest

from step3_rag.evaluate import calibrate
from step3_rag.evaluate.calibrate import fit
from step3_rag.evaluate.dataset import Question
from step3_rag.reflect import confidence
from step3_rag.reflect.confidence import Fitted, Weights, ranking_signals, signals
from step3_rag.retrieve.search import Options, SearchResult
from tests.step3.conftest import as_beir, bring_in, write

NAMES = ("overlap", "bm25_margin", "cosine_margin", "maxsim_margin", "lead", "rare_match")


def made_up(n, weights=(4.0, -0.5), bias=-4.5, seed=0):
    """Searches whose signals give, by those weights, the probability that they were good."""
    random = np.random.default_rng(seed)
    rows = random.normal(loc=(1, -2), scale=(0.5, 3), size=(n, 2))
    z = bias + rows @ np.array(weights)
    good = random.random(n) < 1 / (1 + np.exp(-z))
    return [{"a": a, "b": b} for a, b in rows.tolist()], good.tolist()


def test_the_signals_of_rankings():
    """Ten documents of one chunk each, and a second chunk of the first."""
    documents = {i: f"d{i}" for i in range(10)} | {10: "d0"}
    stages = {
        "bm25": {0: 10.0, 10: 9.0, 1: 8.0, 2: 6.0, 3: 5.0, 4: 4.0},
        "dense": {1: 0.9, 0: 0.8, 2: 0.7, 5: 0.6, 6: 0.5, 7: 0.4},
        "maxsim": {0: 0.9, 1: 0.8, 2: 0.7},
        "rerank": {0: 1.0, 1: 0.7, 10: 0.9},
    }
    given = signals(SearchResult("q", Options(), stages=stages, documents=documents, rare_match=0.5))
    assert tuple(given) == NAMES
    shared = [0, 2, 3, 3, 3, 3, 3, 3, 3, 3]  # documents in common among the first 1 to 10
    assert given["overlap"] == pytest.approx(np.mean([n / (i + 1) for i, n in enumerate(shared)]))
    assert given["bm25_margin"] == pytest.approx((10 - 4) / 10)  # the fifth document is d4
    assert given["cosine_margin"] == pytest.approx(0.9 - 0.5)
    assert given["maxsim_margin"] == pytest.approx(0.9 - 0.7)  # of three, the last
    assert given["lead"] == pytest.approx(1.0 - 0.7)
    assert given["rare_match"] == 0.5


@pytest.mark.parametrize("options", [{"rerank": "none"}, {"use": ("bm25",)}, {"use": ("dense",)}])
def test_a_search_without_a_stage_has_a_confidence_too(retriever, options):
    """Dense search alone, no reranking and cross-encoders had none, so nothing was refused there."""
    found = retriever.search("kettle", Options(**options))
    assert ranking_signals(found, retriever) == signals(retriever.search("kettle"))
    assert 0 < confidence.confidence(found, retriever) < 1


FITTED = Fitted(Weights({"lead": 0.0}, 0.0), Weights({"judge": 1.0}, 0.0))


def test_the_judge_is_asked_only_in_doubt(retriever, monkeypatch):
    asked = []

    def judge(question, passages):
        asked.append((question, len(passages)))
        return [0.1] * (len(passages) - 1) + [0.9]

    monkeypatch.setattr(retriever, "judge", judge)
    monkeypatch.setattr(confidence, "load", lambda: FITTED)
    found = retriever.search("kettle")
    assert confidence.confidence(found, retriever) == pytest.approx(0.9)  # that of the best passage
    assert asked == [("kettle", len(found.best))]
    sure = Fitted(Weights({"lead": 0.0}, 4.0), FITTED.judged)
    monkeypatch.setattr(confidence, "load", lambda: sure)
    assert confidence.confidence(found, retriever) > confidence.SURE
    assert len(asked) == 1


def test_the_judge_is_asked_the_parts_of_a_question_in_right_spelling(retriever, monkeypatch):
    said = {"how long is the notice": 0.2, "who mends the kettle?": 0.7}
    monkeypatch.setattr(retriever, "judge", lambda question, passages: [said[question]] * len(passages))
    found = retriever.search("how long is the notiice, and who mends the kettle?")
    monkeypatch.setattr(confidence, "load", lambda: FITTED)
    assert confidence.confidence(found, retriever) == pytest.approx(0.7)


def test_a_search_without_superseded_documents_has_a_confidence_among_many_too(
    built, own_retriever, tmp_path
):
    """It raised a KeyError: the stages had chunks of a document that the search then left out."""
    files = {f"new-{i}.md": f"The kettle {i} boils.\n" for i in range(confidence.FEW)}
    bring_in(
        built, write(tmp_path / "more", {**files, "old.md": "---\nsuperseded: true\n---\nThe kettle.\n"})
    )
    found = own_retriever.search("kettle", Options(versions="current"))
    assert "old.md" not in found.ranking()
    assert 0 < confidence.confidence(found, own_retriever) < 1


def test_a_search_that_finds_nothing_has_its_own_low_confidence(own_retriever, built):
    nothing = own_retriever.search("zorkle", Options(use=("bm25",)))
    assert set(ranking_signals(nothing, own_retriever).values()) == {0.0}  # not those of a hybrid search
    assert 0 < confidence.confidence(nothing, own_retriever) < 0.2
    for query in ("???", "\u200b"):
        assert 0 < confidence.confidence(own_retriever.search(query), own_retriever) < 1
    built.remove([row["id"] for row in built.documents()])
    assert 0 < confidence.confidence(own_retriever.search("kettle"), own_retriever) < 0.2


def test_a_fit_finds_the_weights_that_made_the_data():
    weights = fit([made_up(20_000)])
    assert weights.weight == pytest.approx({"a": 4, "b": -0.5}, rel=0.1)
    assert weights.bias == pytest.approx(-4.5, rel=0.1)


def a_collection(name, seed, **weights):
    given, good = made_up(300, seed=seed, **weights)
    return calibrate.Collection(name, given, [0.0] * 300, good)


def test_each_collection_is_judged_by_weights_that_have_not_seen_it():
    """For a collection with opposite weights, those of the others are wrong."""
    there = [a_collection(str(i), i) for i in range(3)]
    other = a_collection("odd", 3, weights=(-4.0, 0.5), bias=5.5)
    rows = {each.name: calibrate.judge(each, [*there, other]) for each in (*there, other)}
    assert rows["odd"]["judged"] < 0.3
    assert rows["0"]["judged"] > 0.5
    assert calibrate.judge(there[0], [there[0]])["judged"] > 0.8  # alone, it is judged by its own


QUESTIONS = {
    "q1": ("notice of the supply contract", ["contracts/supply.md"]),
    "q2": ("the kettle is broken", ["notes.md"]),
    "q3": ("zebra", ["notes.md"]),
    "q4": ("days of leave", ["handbook/leave.txt"]),
}


def test_the_command_fits_measures_and_writes(tmp_path, fake, command, monkeypatch):
    monkeypatch.setattr(Question, "supported", lambda question, _found: [question.text != "zebra", False])
    folder = as_beir(tmp_path / "beir", QUESTIONS)
    args = ("calibrate", str(folder), "--weights", "w.json")
    facts = json.loads(command("step3_rag", *args, "--json").out)
    row = facts["tables"]["AUROC"]["beir"]
    assert (row["n"], row["good"]) == (4, 3)
    fitted = confidence.load(tmp_path / "w.json")
    assert (set(fitted.rankings.weight), set(fitted.judged.weight)) == ({*NAMES}, {"rankings", "judge"})
    shown = command("step3_rag", *args).out
    assert "fitted on the same questions" in shown
    assert "written: w.json" in shown


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--weights", "."), "cannot write .: Is a directory; choose another file"),
        ((), "the searches all succeeded, or all failed"),
        (("beir",), "two collections have the name beir"),
    ],
)
def test_errors_of_calibrate_are_one_line(beir, command, flags, line):
    got = command("step3_rag", "calibrate", str(beir), *flags)
    assert got.code == 2
    assert line in got.err.splitlines()[-1]
    assert not got.out
