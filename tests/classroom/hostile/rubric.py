"""Five of step 3's exercises in tests of milliseconds, 45 points."""

import pytest

from classroom.rubrics.step3_public import ranking, sentence, words
from classroom.rubrics.step3_scenes import check_loop

HINT = ("a", "b", "c")


def check_rrf(submission, draw, module="step3_rag.retrieve.fuse"):
    """Any rankings."""
    for n in (2, 3, 4):
        candidates = draw.words(9)
        rankings = [ranking(draw, candidates, draw.randint(2, 7)) for _ in range(n)]
        submission.check(f"{module}:rrf", rankings, k=draw.randint(1, 60))


def check_min_max(submission, draw, module="step3_rag.retrieve.fuse"):
    """Weighted sums, and a weight for each."""
    for n in (1, 2, 3):
        rankings = [ranking(draw, draw.words(9), 5) for _ in range(n)]
        for weights in ([draw.random() for _ in rankings], [0.5] * (n + 1)):
            submission.check(f"{module}:min_max", rankings, weights)


def check_chunks(submission, draw, module="step3_rag.ingest.chunk"):
    """A text, and a function of the grader's that cuts it into tokens."""
    for _ in range(3):
        text = " ".join(sentence(draw, draw.randint(3, 8)) for _ in range(8))
        submission.check(f"{module}:chunk", text, words, size=draw.randint(10, 20), overlap=4)


@pytest.mark.rubric("3.1", points=10, title="Fusion by ranks", hint=HINT)
def test_rrf(submission, draw):
    """Any rankings."""
    check_rrf(submission, draw)


@pytest.mark.rubric("3.2", points=3, visibility="public", title="nDCG", hint=HINT)
def test_ndcg_small(submission, draw):
    """Relevant or not."""
    for _ in range(3):
        docs = draw.words(6)
        qrels = dict.fromkeys(draw.sample(docs, 2), 1)
        submission.check("step3_rag.evaluate.metrics:ndcg", docs, qrels, k=10)


@pytest.mark.rubric("3.2", points=5)
def test_ndcg(submission, draw):
    """Grades."""
    for k in (2, 3, 5):
        docs = draw.words(8)
        qrels = {each: draw.randint(1, 3) for each in draw.sample(docs, 5)}
        submission.check("step3_rag.evaluate.metrics:ndcg", docs, qrels, k=k)


@pytest.mark.rubric("3.3", points=7, title="Fusion by scores", hint=HINT)
def test_min_max(submission, draw):
    """Weighted sums, and a weight for each."""
    check_min_max(submission, draw)


@pytest.mark.rubric("3.5", points=10, title="A chunker", hint=HINT)
def test_chunks(submission, draw):
    """A text, and a function of the grader's that cuts it into tokens."""
    check_chunks(submission, draw)


@pytest.mark.rubric("3.6", points=10, timeout=30, title="Keep the better attempt", hint=HINT)
def test_loop(submission, draw):
    """A search that is not confident is asked again."""
    for first in (0.3, 0.95, 0.5):
        question, other, third = (draw.text(4) for _ in range(3))
        sure = {(question, 5): first, (other, 5): round(draw.uniform(0.3, 0.99), 2)}
        offers = {"spelling": (other, 5), "feedback": (third, 5)}
        check_loop(submission, question, ["spelling", "feedback"], sure, offers)
