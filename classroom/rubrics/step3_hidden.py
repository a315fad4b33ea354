"""Step 3, what learners don't see: rankings, from fusion to MaxSim."""

from __future__ import annotations

import pytest

from classroom.rubrics.step3_public import query_of, ranking, vectors

# --- 3.1 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("3.1", points=4)
def test_rrf_of_any_rankings(submission, draw):
    """Any number of rankings that share some candidates, with any k."""
    for n in (1, 3, 5):
        candidates = draw.words(12)
        rankings = [ranking(draw, candidates, draw.randint(1, 7)) for _ in range(n)]
        rankings.insert(draw.randint(0, n), {})
        submission.check("step3_rag.retrieve.fuse:rrf", rankings, k=draw.randint(1, 50))


@pytest.mark.rubric("3.1", points=3)
def test_rrf_of_ties(submission, draw):
    """Equal scores are ranked in the order of the mapping, and scores may be negative."""
    for _ in range(3):
        candidates = draw.words(8)
        rankings = [
            {each: float(draw.randint(-1, 1)) for each in draw.sample(candidates, 6)} for _ in range(3)
        ]
        submission.check("step3_rag.retrieve.fuse:rrf", rankings)


# --- 3.2 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("3.2", points=4)
def test_ndcg_of_grades_cut_at_k(submission, draw):
    """Grades of 1 to 3, more relevant documents than k, some of them not in the ranking."""
    for k in (2, 3, 5):
        first, *found = draw.words(8)
        missed = [each.upper() for each in draw.words(3)]
        qrels = dict.fromkeys(missed, 3)  # the best of all
        qrels |= {doc: draw.randint(1, 2) for doc in [first, *draw.sample(found, 4)]}
        submission.check("step3_rag.evaluate.metrics:ndcg", [first, *found], qrels, k=k)


@pytest.mark.rubric("3.2", points=3)
def test_ndcg_of_what_is_not_relevant(submission, draw):
    """Grades of 0 and less are worth nothing, and neither is a ranking without anything relevant."""
    for _ in range(3):
        docs = draw.words(8)
        qrels = {docs[0]: 2, docs[1]: -1, docs[2]: 0, docs[3]: 1, docs[4]: -2}
        submission.check(
            "step3_rag.evaluate.metrics:ndcg", draw.sample(docs[:6], 6), qrels, k=draw.randint(4, 20)
        )
        submission.check("step3_rag.evaluate.metrics:ndcg", docs[:3], {docs[1]: -1, docs[2]: 0})
    submission.check("step3_rag.evaluate.metrics:ndcg", [], qrels)
    submission.check("step3_rag.evaluate.metrics:ndcg", docs, {})


# --- 3.3 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric("3.3", points=3)
def test_scaled_of_special_scores(submission, draw):
    """Scores that are all the same, a single one, none, and negative ones."""
    for _ in range(3):
        names, score = draw.words(4), draw.randint(-50, 50) / 4
        negative = {name: -value for name, value in ranking(draw, names, 4).items()}
        for scores in (negative, dict.fromkeys(names, score), {names[0]: score}, {}):
            submission.check("step3_rag.retrieve.fuse:scaled", scores)


@pytest.mark.rubric("3.3", points=5)
def test_min_max_of_missing_candidates(submission, draw):
    """Any number of rankings that lack candidates of each other, hold a single one, or none."""
    for n in (1, 3, 4):
        candidates = draw.words(9)
        rankings = [ranking(draw, candidates, draw.randint(3, 6)) for _ in range(n)]
        rankings += [ranking(draw, candidates, 1), {}]
        weights = [draw.randint(0, 30) / 10 for _ in rankings]
        submission.check("step3_rag.retrieve.fuse:min_max", rankings, weights)


@pytest.mark.rubric("3.3", points=2)
def test_min_max_wants_a_weight_for_each(submission, draw):
    """One weight too few or too many raises ValueError."""
    for n in (1, 2, 3):
        candidates = draw.words(5)
        rankings = [ranking(draw, candidates, 3) for _ in range(n)]
        for weights in ([0.5] * n, [0.5] * (n - 1), [0.5] * (n + 1)):
            submission.check("step3_rag.retrieve.fuse:min_max", rankings, weights)


# --- 3.4 --------------------------------------------------------------------------------------------------

MAXSIM = "step3_rag.retrieve.rerank:late_interaction"


@pytest.mark.rubric("3.4", points=4, timeout=20)
def test_maxsim_of_weights(submission, draw):
    """Rare tokens count more, and the highest cosine may be negative."""
    import numpy as np

    for sign in (1, -1, -1):
        n = draw.randint(3, 6)
        direction = 3 * vectors(
            draw, 1
        )  # all of the documents look this way, the query that way or against it
        near = [_unit(direction + vectors(draw, draw.randint(1, 7))) for _ in range(5)]
        query, weights = query_of(_unit(sign * direction + vectors(draw, n))), np.abs(draw.array(n, scale=3))
        submission.check(MAXSIM, query, near, weights, abs=2e-3)


@pytest.mark.rubric("3.4", points=7, timeout=20)
def test_maxsim_of_documents_without_tokens(submission, draw):
    """What has no tokens or weight scores 0 and takes nothing from others; no documents have no scores."""
    import numpy as np

    for places in ((0,), (2, 3), (5,), (0, 2, 5)):
        n, empty = draw.randint(2, 5), vectors(draw, 1)[:0]
        documents = [empty if i in places else vectors(draw, draw.randint(1, 5)) for i in range(6)]
        weights = np.abs(draw.array(n)) + np.float32(0.1)
        submission.check(MAXSIM, query_of(vectors(draw, n)), documents, weights, abs=2e-3)
    for n in (2, 3, 4):
        query, documents = query_of(vectors(draw, n)), [vectors(draw, draw.randint(1, 5)) for _ in range(n)]
        ones, empty = np.ones(n, np.float32), vectors(draw, 1)[:0]
        submission.check(MAXSIM, query, documents, ones, abs=2e-3)
        submission.check(MAXSIM, query, documents, 0 * ones)
        submission.check(MAXSIM, query_of(empty), documents, ones[:0])
        submission.check(MAXSIM, query, [], ones)
        submission.check(MAXSIM, query, [empty] * n, ones)


def _unit(rows):
    import numpy as np

    rows = rows.astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
