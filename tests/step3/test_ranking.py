"""Fusion, measures, late interaction and BM25, each against an independent computation."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from step3_rag.evaluate import metrics
from step3_rag.ingest.embed import Encoded
from step3_rag.retrieve import rerank
from step3_rag.retrieve.fuse import min_max, rrf, scaled


def test_rrf_by_hand():
    fused = rrf([{"a": 9.1, "b": 3.0}, {"b": 0.8, "c": 0.7}])
    assert fused == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62})
    assert rrf([{"a": 1.0}, {}], k=1) == {"a": 0.5}
    assert rrf([]) == {}


def test_min_max_by_hand():
    assert min_max([{"a": 9.0, "b": 3.0}, {"b": 0.8, "c": 0.6}], [0.5, 0.5]) == {"a": 0.5, "b": 0.5, "c": 0.0}
    fused = min_max([{"a": 10.0, "b": 5.0, "c": 0.0}, {"c": 1.0, "a": 0.0}], [0.25, 0.75])
    assert fused == pytest.approx({"a": 0.25, "b": 0.125, "c": 0.75})
    assert min_max([{"a": 7.0, "b": 7.0}, {}], [0.5, 0.5]) == {"a": 0.5, "b": 0.5}
    assert scaled({}) == {}
    with pytest.raises(ValueError, match="zip"):
        min_max([{"a": 1.0}], [0.5, 0.5])


DOCS = [f"d{number}" for number in range(150)]


@hypothesis_settings(max_examples=100)
@given(
    st.lists(st.sampled_from(DOCS), unique=True, min_size=1),
    st.dictionaries(st.sampled_from(DOCS), st.integers(-1, 3), min_size=1, max_size=40),
)
def test_the_measures_equal_those_of_trec_eval(ranking, qrels):
    run = {doc: float(-rank) for rank, doc in enumerate(ranking)}
    first_ten = {doc: score for doc, score in run.items() if score > -10}
    judge = pytrec_eval.RelevanceEvaluator(
        {"q": qrels}, {"ndcg_cut_10", "recall_10,100", "recip_rank", "success_5"}
    )
    theirs = judge.evaluate({"q": run})["q"]
    theirs["recip_rank"] = judge.evaluate({"q": first_ten})["q"]["recip_rank"]
    ours = {name: measure(ranking, qrels) for name, measure in metrics.MEASURES.items()}
    assert ours["nDCG@10"] == pytest.approx(theirs["ndcg_cut_10"], abs=1e-9)
    assert ours["Recall@10"] == pytest.approx(theirs["recall_10"], abs=1e-9)
    assert ours["Recall@100"] == pytest.approx(theirs["recall_100"], abs=1e-9)
    assert ours["MRR@10"] == pytest.approx(theirs["recip_rank"], abs=1e-9)
    assert ours["hit@5"] == theirs["success_5"]
    assert all(0 <= value <= 1 for value in ours.values())


def unit(rng, n, dim=8):
    drawn = rng.normal(size=(n, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


def query_of(vectors):
    return Encoded(np.zeros(vectors.shape[1], np.float32), np.arange(len(vectors), dtype=np.int32), vectors)


@hypothesis_settings(max_examples=100)
@given(st.integers(0, 9), st.lists(st.integers(0, 7), max_size=8), st.integers(0, 2**32 - 1))
def test_late_interaction_equals_a_naive_loop(n, lengths, seed):
    rng = np.random.default_rng(seed)
    query, documents = unit(rng, n), [unit(rng, length) for length in lengths]
    weights = rng.uniform(0.01, 5, n).astype(np.float32)
    expected = []
    for document in documents:
        total = 0.0
        for i in range(n):
            if len(document):
                total += weights[i] * max(float(np.dot(query[i].astype(float), token)) for token in document)
        expected.append(total / weights.sum() if n else 0.0)
    assert not rerank.late_interaction(query_of(query), documents, 0 * weights).any()
    found = rerank.late_interaction(query_of(query), documents, weights)
    assert found.shape == (len(documents),)
    assert found.tolist() == pytest.approx(expected, abs=1e-4)
