"""The exercises of step 3: what is right passes, and a mistake costs what it should."""

import math
from collections import defaultdict

import numpy as np
import pytest

from tests.classroom.rubric_helpers import (
    altered,
    assert_all_pass,
    not_attempted,
    of_wrong,
    points,
)

STEP = "step3"
RRF, SCALED, MIN_MAX = (f"step3_rag.retrieve.fuse:{name}" for name in ("rrf", "scaled", "min_max"))
NDCG, MAXSIM = "step3_rag.evaluate.metrics:ndcg", "step3_rag.retrieve.rerank:late_interaction"
CHUNK, BETTER, BUILD = (
    "step3_rag.ingest.chunk:chunk",
    "step3_rag.reflect.reflect:better",
    "step3_rag.reflect.reflect:build",
)
BY_CITATION, CITED = "step3_rag.answer.read:_by_citation", "step3_rag.answer.read:_cited"


# --- other ways -------------------------------------------------------------------------------------------


def rrf_with_defaultdict(rankings, k=60):
    fused = defaultdict(float)
    for scores in rankings:
        for i, (name, _) in enumerate(sorted(scores.items(), key=lambda pair: pair[1], reverse=True)):
            fused[name] += 1.0 / (i + 1 + k)
    return fused


def ndcg_by_loop(ranking, qrels, k=10):
    def total(grades):
        return sum(max(0, grade) / math.log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))

    best = total(sorted(qrels.values(), reverse=True))
    return total([qrels.get(doc, 0) for doc in ranking]) / best if best else 0.0


def min_max_by_candidate(rankings, weights):
    if len(rankings) != len(weights):
        raise ValueError("not one weight for each")
    fused = {}
    for name in {name for each in rankings for name in each}:
        fused[name] = 0.0
        for scores, weight in zip(rankings, weights, strict=True):
            if name in scores:
                spread = max(scores.values()) - min(scores.values())
                fused[name] += weight * ((scores[name] - min(scores.values())) / spread if spread else 1)
    return fused


def maxsim_with(best):
    """One document after the other, in the float16 of the index; `best` is of a token's cosines."""

    def of(query, documents, weights):
        scores = np.zeros(len(documents), np.float32)
        for i, document in enumerate(documents):
            if len(query.token_ids) and weights.sum() and len(document):
                cosines = query.token_vectors @ document.T
                scores[i] = np.average([float(best(row)) for row in cosines], weights=weights)
        return scores

    return of


def chunk_by_runs(text, tokens_of, size=128, overlap=32):
    """From the docstring: runs of units as lists."""
    from step3_rag.ingest.chunk import _narrow, _units

    if not 0 <= overlap < size:
        raise ValueError("no such chunks")
    tokens = list(_narrow(tokens_of(text)))
    runs = [[]]

    def length(run):
        return sum(unit.end - unit.first for unit in run)

    for unit in _units(text, tokens, size, overlap):
        last, own = runs[-1], unit.end - unit.first
        if unit.is_section and last and length(last) >= size // 2:
            runs.append([])
        elif length(last) + own > size:
            kept = []
            for one in reversed(last):
                if length([one, *kept]) > overlap or length([one, *kept]) + own > size:
                    break
                kept.insert(0, one)
            runs.append(kept)
        runs[-1].append(unit)
    return [(tokens[run[0].first][0], tokens[run[-1].end - 1][1]) for run in runs if run]


@pytest.mark.parametrize(
    ("id", "right"),
    [
        ("3.1", {RRF: rrf_with_defaultdict}),
        ("3.2", {NDCG: ndcg_by_loop}),
        ("3.3", {MIN_MAX: min_max_by_candidate}),
        ("3.4", {MAXSIM: maxsim_with(max)}),
        ("3.5", {CHUNK: chunk_by_runs}),
        ("3.6", (BETTER, "each.rank > best.rank + MARGIN", "each.rank - best.rank > MARGIN")),
        ("3.7", (CITED, "len(own & held) / len(own)", "sum(each in held for each in own) / len(own)")),
    ],
)
def test_other_ways_are_right(id, right):
    for seed in (1, 2):
        assert_all_pass(of_wrong(STEP, altered(*right) if isinstance(right, tuple) else right, id, seed))


# --- typical mistakes -------------------------------------------------------------------------------------


def only_candidates_in_all(rankings, weights):
    from step3_rag.retrieve.fuse import scaled

    fused = {}
    for name in rankings[0]:
        if all(name in each for each in rankings):
            pairs = zip(weights, rankings, strict=True)
            fused[name] = sum((weight * scaled(each)[name] for weight, each in pairs), 0.0)
    return fused


def whole_sentences(text, tokens_of, size=128, overlap=32):
    """However long, and no overlap."""
    from step3_rag.ingest.chunk import sentences

    if not 0 <= overlap < size:
        raise ValueError("no such chunks")
    spans, n = [], size
    for start, end in sentences(text):
        own = len(tokens_of(text[start:end]))
        if n + own > size:
            spans.append((start, end))
            n = 0
        spans[-1] = (spans[-1][0], end)
        n += own
    return spans


SHARED = "(known.get(number, set()) for number in numbers)"
MISTAKES = [  # exercise, what is wrong, as a function or a place in the reference's source, points left
    ("3.1", "ranks from 0", (RRF, "ranked(scores), 1", "ranked(scores), 0"), 0),
    ("3.1", "k is always 60", (RRF, "+ 1 / (k + rank)", "+ 1 / (60 + rank)"), 6),
    ("3.1", "ties by name", (RRF, "ranked(scores)", "sorted(scores, key=lambda i: (-scores[i], i))"), 7),
    ("3.2", "an ideal that is not cut", (NDCG, "reverse=True)[:k]", "reverse=True)"), 6),
    (
        "3.2",
        "an ideal of what was found",
        (NDCG, "qrels.values()", "map(qrels.get, {*ranking} & {*qrels})"),
        6,
    ),
    ("3.2", "negative grades", (NDCG, "max(0, qrels.get(doc, 0))", "qrels.get(doc, 0)"), 7),
    ("3.2", "0 / 0", (NDCG, "gain / ideal if ideal else 0.0", "gain / ideal"), 7),
    ("3.3", "division by zero", (SCALED, " if high > low else 1.0", ""), 7),
    ("3.3", "missing candidates are skipped", {MIN_MAX: only_candidates_in_all}, 8),
    ("3.3", "weights that are too many", (MIN_MAX, "strict=True", "strict=False"), 13),
    ("3.4", "nothing below 0", {MAXSIM: maxsim_with(lambda row: max(0, *row))}, 0),
    ("3.4", "parts of no length", (MAXSIM, "if len(document)]", "]"), 8),
    ("3.4", "equal weights", (MAXSIM, "weights @ best / weights.sum()", "best.mean(0)"), 4),
    ("3.5", "no overlap", (CHUNK, "first - units[begin].first > room", "begin < i"), 3),
    ("3.5", "an overlap without room", (CHUNK, "min(overlap, size - (end - first))", "overlap"), 13),
    (
        "3.5",
        "an overlap over headings",
        (CHUNK, "while begin < i and (starts_section or ", "while begin < i and ("),
        16,
    ),
    ("3.5", "each heading begins a chunk", (CHUNK, "first - units[begin].first >= size // 2", "True"), 16),
    ("3.5", "long sentences stay whole", {CHUNK: whole_sentences}, 3),
    ("3.6", "the margin is enough", (BETTER, "> best.rank", ">= best.rank"), 12),
    ("3.6", "better by whatever", (BETTER, " + MARGIN", ""), 9),
    (
        "3.6",
        "a confidence of None",
        (BETTER, "each.rank > best.rank", "each.confidence > best.confidence"),
        12,
    ),
    ("3.6", "confident, and yet asked again", (BUILD, "and sure < threshold ", ""), 12),
    (
        "3.6",
        "rewritten from the latest",
        (BUILD, 'left = state["attempts"][0]', 'left = state["attempts"][-1]'),
        8,
    ),
    ("3.6", "searched twice", (BUILD, "if other and other not in tried:", "if other:"), 11),
    ("3.6", "endless", (BUILD, '"left": left,', '"left": state["left"],'), 8),
    ("3.7", "nothing after the full stop", (BY_CITATION, "if not in_front:", "if False:"), 10),
    ("3.7", "numbers twice", (BY_CITATION, "numbers = tuple(dict.fromkeys(", "numbers = tuple(list("), 12),
    (
        "3.7",
        "one number a bracket",
        (BY_CITATION, r're.findall(r"\d+", mark)', r're.findall(r"\d+", mark)[:1]'),
        9,
    ),
    ("3.7", "every number exists", (CITED, "if each not in known", "if False"), 12),
    ("3.7", "any source supports", (CITED, SHARED, "known.values()"), 5),
    ("3.7", "no words", (CITED, " if own else 0.0", ""), 13),
]


@pytest.mark.parametrize(
    ("id", "wrong", "left"),
    [pytest.param(id, wrong, left, id=f"{id} {name}") for id, name, wrong, left in MISTAKES],
)
def test_typical_mistakes_cost_points(id, wrong, left):
    got = of_wrong(STEP, altered(*wrong) if isinstance(wrong, tuple) else wrong, id)
    assert points(got) == left, {test: each.cause for test, each in got.items()}


@pytest.mark.parametrize(
    ("id", "places", "left"),
    [
        ("3.1", [RRF], 0),
        ("3.2", [NDCG], 0),
        ("3.3", [SCALED, MIN_MAX], 0),
        ("3.3", [MIN_MAX], 5),
        ("3.4", [MAXSIM], 0),
        ("3.5", [CHUNK], 0),
        ("3.6", [BETTER, BUILD], 0),
        ("3.6", [BUILD], 5),
        ("3.7", [BY_CITATION, CITED], 0),
        ("3.7", [CITED], 0),
    ],
)
def test_what_is_not_attempted_has_no_points_and_what_is_has_its_own(id, places, left):
    got = of_wrong(STEP, dict.fromkeys(places, not_attempted(id)), id)
    assert points(got) == left
    assert {each.status for each in got.values()} == {"not attempted", *(["passed"] if left else [])}
