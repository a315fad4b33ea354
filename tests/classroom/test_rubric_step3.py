"""The rubric of step 3: other right ways get all points, and a mistake costs what it should."""

from collections import defaultdict

import numpy as np
import pytest

from tests.classroom.rubric_helpers import lost, not_attempted, of_wrong, points

STEP = "step3"
RRF, SCALED, MIN_MAX = (f"step3_rag.retrieve.fuse:{name}" for name in ("rrf", "scaled", "min_max"))
NDCG, MAXSIM = "step3_rag.evaluate.metrics:ndcg", "step3_rag.retrieve.rerank:late_interaction"
CHUNK = "step3_rag.ingest.chunk:chunk"
BETTER, BUILD = (f"step3_rag.reflect.reflect:{name}" for name in ("better", "build"))
BY_CITATION, CITED = "step3_rag.answer.read:_by_citation", "step3_rag.answer.read:_cited"


# --- right in another way ---------------------------------------------------------------------------------


def rrf_with_defaultdict(rankings, k=60):
    fused = defaultdict(float)
    for scores in rankings:
        for i, (name, _) in enumerate(sorted(scores.items(), key=lambda pair: pair[1], reverse=True)):
            fused[name] += 1.0 / (i + 1 + k)
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


RIGHT = [
    {RRF: rrf_with_defaultdict},
    {MAXSIM: maxsim_with(max)},
    {CHUNK: chunk_by_runs},
    (BETTER, "each.rank > best.rank + MARGIN", "each.rank - best.rank > MARGIN"),
    (CITED, "len(own & held) / len(own)", "sum(each in held for each in own) / len(own)"),
]


@pytest.mark.parametrize("right", RIGHT)
def test_another_right_way_costs_nothing(right):
    assert lost(STEP, right) == 0


# --- wrong: what stands there instead, and the points that it costs ----------------------------------------


SKIPPED = "return {name: fused[name] for name in fused if all(name in each for each in rankings)}"
SHARED = "(known.get(number, set()) for number in numbers)"
BY_NAME = "sorted(scores, key=lambda i: (-scores[i], i))"
OVER_HEADINGS = "while begin < i and (starts_section or ", "while begin < i and ("
MISTAKES = {
    "ranks from 0": ((RRF, "ranked(scores), 1", "ranked(scores), 0"), 10),
    "k is always 60": ((RRF, "+ 1 / (k + rank)", "+ 1 / (60 + rank)"), 4),
    "ties by name": ((RRF, "ranked(scores)", BY_NAME), 3),
    "an ideal that is not cut": ((NDCG, "reverse=True)[:k]", "reverse=True)"), 4),
    "negative grades": ((NDCG, "max(0, qrels.get(doc, 0))", "qrels.get(doc, 0)"), 3),
    "division by zero": ((SCALED, " if high > low else 1.0", ""), 8),
    "missing candidates are skipped": ((MIN_MAX, "return fused", SKIPPED), 7),
    "weights that are too many": ((MIN_MAX, "strict=True", "strict=False"), 2),
    "nothing below 0": ({MAXSIM: maxsim_with(lambda row: max(0, *row))}, 15),
    "parts of no length": ((MAXSIM, "if len(document)]", "]"), 7),
    "equal weights": ((MAXSIM, "weights @ best / weights.sum()", "best.mean(0)"), 11),
    "no overlap": ((CHUNK, "first - units[begin].first > room", "begin < i"), 17),
    "an overlap without room": ((CHUNK, "min(overlap, size - (end - first))", "overlap"), 7),
    "an overlap over headings": ((CHUNK, *OVER_HEADINGS), 4),
    "each heading begins a chunk": ((CHUNK, "first - units[begin].first >= size // 2", "True"), 4),
    "the margin is enough": ((BETTER, "> best.rank", ">= best.rank"), 3),
    "better by whatever": ((BETTER, " + MARGIN", ""), 6),
    "a confidence of None": ((BETTER, "each.rank > best.rank", "each.confidence > best.confidence"), 3),
    "confident, and yet asked again": ((BUILD, "and sure < threshold ", ""), 3),
    "rewritten from the latest": ((BUILD, 'left = state["attempts"][0]', 'left = state["attempts"][-1]'), 7),
    "searched twice": ((BUILD, "if other and other not in tried:", "if other:"), 4),
    "nothing after the full stop": ((BY_CITATION, "if not in_front:", "if False:"), 5),
    "numbers twice": ((BY_CITATION, "numbers = tuple(dict.fromkeys(", "numbers = tuple(list("), 3),
    "one number a bracket": ((BY_CITATION, r're.findall(r"\d+", mark)', r're.findall(r"\d+", mark)[:1]'), 6),
    "every number exists": ((CITED, "if each not in known", "if False"), 3),
    "any source supports": ((CITED, SHARED, "known.values()"), 10),
    "no words": ((CITED, " if own else 0.0", ""), 2),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_its_points(mistake):
    change, less = MISTAKES[mistake]
    assert lost(STEP, change) == less


@pytest.mark.parametrize(
    ("id", "places", "left"), [("3.3", [MIN_MAX], 5), ("3.6", [BUILD], 5), ("3.7", [CITED], 0)]
)
def test_an_exercise_that_is_half_done_has_the_points_of_its_half(id, places, left):
    got = of_wrong(STEP, dict.fromkeys(places, not_attempted(id)), id)
    assert points(got) == left
    assert {each.status for each in got.values()} == {"not attempted", *(["passed"] if left else [])}
