"""Step 3, the public tests: each draws its inputs, so that a class can have its own."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from classroom.grading.callbacks import Log
from classroom.protocol.wire import Record

RRF, SCALED, MIN_MAX = (f"step3_rag.retrieve.fuse:{name}" for name in ("rrf", "scaled", "min_max"))
NDCG, MAXSIM = "step3_rag.evaluate.metrics:ndcg", "step3_rag.retrieve.rerank:late_interaction"
CHUNK, CHECK = "step3_rag.ingest.chunk:chunk", "step3_rag.answer.read:check"
BETTER, REFLECT = "step3_rag.reflect.loop:better", "step3_rag.reflect.loop:reflect"


def ranking(draw, candidates: list[str], n: int) -> dict[str, float]:
    """n of the candidates, each with a different score."""
    scores = draw.sample(range(1, 200), n)
    return {name: score / 10 for name, score in zip(draw.sample(candidates, n), scores, strict=True)}


@pytest.mark.rubric("3.1", points=3, times=3, visibility="public")
def test_rrf_small(submission, draw):
    """Two short rankings are fused by rank."""
    candidates = draw.words(4)
    submission.check(RRF, [ranking(draw, candidates, 3) for _ in range(2)])


@pytest.mark.rubric("3.2", points=3, times=4, visibility="public")
def test_ndcg_small(submission, draw):
    """Binary relevance: a short ranking with all relevant documents."""
    docs = draw.words(6)
    submission.check(NDCG, docs, dict.fromkeys(draw.sample(docs, draw.randint(1, 3)), 1), k=10)


@pytest.mark.rubric("3.3", points=2, times=3, visibility="public")
def test_scaled_small(submission, draw):
    """Different scores are scaled to 0..1."""
    submission.check(SCALED, ranking(draw, draw.words(6), draw.randint(2, 6)))


@pytest.mark.rubric("3.3", points=3, times=3, visibility="public")
def test_min_max_small(submission, draw):
    """Two rankings of the same candidates become a weighted sum."""
    candidates, weight = draw.words(4), draw.randint(1, 9) / 10
    rankings = [ranking(draw, candidates, 4) for _ in range(2)]
    submission.check(MIN_MAX, rankings, [weight, 1 - weight])


def unit(rows: Any) -> Any:
    """The rows, of length 1, as the index keeps them."""
    rows = rows.astype(np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def vectors(draw, n: int, dim: int = 16) -> Any:
    """Token vectors of length 1, shape (n, dim)."""
    return unit(draw.array(n, dim))


def query_of(token_vectors: Any) -> Record:
    """A query with these token vectors."""
    ids = np.arange(len(token_vectors), dtype=np.int32)
    mean = np.zeros(token_vectors.shape[1], np.float32)
    fields = {"vector": mean, "token_ids": ids, "token_vectors": token_vectors}
    return Record("step3_rag.ingest.embed:Encoded", fields)


@pytest.mark.rubric("3.4", points=4, times=3, timeout=20, visibility="public")
def test_maxsim_small(submission, draw):
    """A few documents, and tokens that all have the same weight."""
    n = draw.randint(2, 5)
    documents = [vectors(draw, draw.randint(1, 6)) for _ in range(3)]
    submission.check(MAXSIM, query_of(vectors(draw, n)), documents, np.ones(n, np.float32), abs=2e-3)


def words(text: str) -> list[tuple[int, int]]:
    """Words and punctuation marks as tokens."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


@pytest.mark.rubric("3.5", points=3, times=3, visibility="public")
def test_chunks_are_whole_sentences(submission, draw):
    """As many whole sentences as fit make a chunk, without an overlap."""
    text = " ".join(draw.sentence(draw.randint(2, 7)) for _ in range(8))
    submission.check(CHUNK, text, words, size=draw.randint(10, 20), overlap=0)


@pytest.mark.rubric("3.5", points=3, times=3, visibility="public")
def test_chunks_repeat_sentences(submission, draw):
    """A chunk begins with the last sentences of the one before, as many as the overlap allows."""
    n = draw.randint(3, 6)  # tokens of every sentence, its full stop among them
    text = " ".join(draw.sentence(n - 1) for _ in range(9))
    submission.check(CHUNK, text, words, size=4 * n, overlap=draw.randint(n, 2 * n + 1))


def attempts(said: Sequence[float]) -> list[Record]:
    """Attempts with these confidences."""
    fields = {"query": "when", "found": None}
    return [
        Record("step3_rag.reflect.loop:Attempt", {"strategy": f"way {i}", **fields, "confidence": each})
        for i, each in enumerate(said)
    ]


def check_loop(
    submission, question: str, strategies: Sequence[str], sure: dict[Any, Any], offers: dict[str, Any]
) -> None:
    """Run `reflect` on a scripted search.

    sure: the confidence of each search (query, k); offers: what each strategy rewrites the question to.
    Compares which searches and rewrites are asked for, then the attempts, the best one and the verdict.
    """
    log = Log()
    search = log.hears("search", lambda query, k: None)  # finds nothing
    rewrite = log.hears("rewrite", lambda strategy, asked, found: offers.get(strategy))
    sure_of = lambda query, k: sure.get((query, k), 0.0)  # noqa: E731
    retriever = submission.make("classroom.drivers.step3:Scripted", search, sure_of, rewrite)
    options = Record("step3_rag.retrieve.search:SearchOptions", {"k": 5})
    got = submission.make(REFLECT, retriever, question, options, strategies, 0.85, asked=log)
    for name in ("attempts", "best", "verdict"):
        got.check_get(name)


@pytest.mark.rubric("3.6", points=2, times=3, timeout=20, visibility="public")
def test_better_small(submission, draw):
    """The most confident attempt is kept if it is clearly better."""
    shift, steps = draw.randint(0, 99) / 1000, draw.sample(range(5), 4)
    submission.check(BETTER, attempts([round(0.21 * each + shift, 3) for each in steps]))


@pytest.mark.rubric("3.6", points=3, timeout=30, visibility="public")
def test_reflection_asks_again(submission, draw):
    """A search that is not confident is rewritten until one is; a confident one is not."""
    for first in (0.3, 0.95):
        question, other, third = (draw.text(4) for _ in range(3))
        sure = {(question, 5): first, (other, 5): round(draw.uniform(0.86, 0.99), 2)}
        offers = {"spelling": (other, 5), "feedback": (third, 5)}
        check_loop(submission, question, ["spelling", "feedback"], sure, offers)


def sources(draw, n: int = 3) -> tuple[list[int], list[str], list[Record]]:
    """n sources: their numbers, a sentence that each of them says, and the sources."""
    numbers, chosen = draw.sample(range(1, 12), n), draw.words(4 * n)
    said, made = [], []
    for i, number in enumerate(numbers):
        thing, one, other, place = chosen[4 * i : 4 * i + 4]
        said.append(f"The {thing} has {draw.randint(2, 90)} {one} in the {other}.")
        fields = {"number": number, "document": f"{place}.md", "place": f"{place}.md, About"}
        text = f"{said[-1]} It is old."
        made.append(Record("step3_rag.answer.context:Source", {**fields, "text": text, "chunks": (i,)}))
    return numbers, said, made


@pytest.mark.rubric("3.7", points=3, times=3, timeout=20, visibility="public")
def test_citations_before_the_full_stop(submission, draw):
    """Each sentence cites its own source, before the full stop."""
    numbers, said, given = sources(draw)
    text = " ".join(f"{each[:-1]} [{number}]." for each, number in zip(said, numbers, strict=True))
    submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=2, timeout=20, visibility="public")
def test_citations_after_the_full_stop(submission, draw):
    """Each sentence cites its own source, after the full stop."""
    for between in (" ", "", "\n"):
        numbers, said, given = sources(draw)
        text = " ".join(f"{each}{between}[{number}]" for each, number in zip(said, numbers, strict=True))
        submission.check(CHECK, text, given)
