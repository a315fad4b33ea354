"""Step 3, what learners see: each test draws its inputs, so that a class can have its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from classroom.protocol.wire import Record
from classroom.rubrics.step3_scenes import check_loop

# --- inputs -----------------------------------------------------------------------------------------------


def ranking(draw, candidates: list[str], n: int) -> dict[str, float]:
    """n of the candidates with scores that are all different."""
    scores = draw.sample(range(1, 200), n)
    return {name: score / 10 for name, score in zip(draw.sample(candidates, n), scores, strict=True)}


def vectors(draw, n: int, dim: int = 16) -> Any:
    """Token vectors of length 1, shape (n, dim), as the index keeps them."""
    import numpy as np

    drawn = draw.array(n, dim)
    lengths = np.linalg.norm(drawn, axis=1, keepdims=True)  # (n, 1)
    return (drawn / lengths).astype(np.float16)


def query_of(token_vectors: Any) -> Record:
    """A query with these token vectors."""
    import numpy as np

    ids = np.arange(len(token_vectors), dtype=np.int32)
    mean = np.zeros(token_vectors.shape[1], np.float32)
    fields = {"vector": mean, "token_ids": ids, "token_vectors": token_vectors}
    return Record("step3_rag.ingest.embed:Encoded", fields)


def words(text: str) -> list[tuple[int, int]]:
    """Words and punctuation marks as tokens."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


def sentence(draw, n: int) -> str:
    """A sentence of n such tokens, its full stop among them."""
    return f"{draw.text(n - 1).capitalize()}."


def attempts(said: Sequence[float | None]) -> list[Record]:
    """Attempts with these confidences."""
    fields = {"query": "when", "found": None}
    return [
        Record("step3_rag.reflect.reflect:Attempt", {"strategy": f"way {i}", **fields, "confidence": each})
        for i, each in enumerate(said)
    ]


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


# --- tests ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "3.1",
    points=3,
    visibility="public",
    title="Fusion by ranks",
    hint=(
        "The first rank is 1. What a ranking doesn't hold gets nothing from it.",
        "Walk through each ranking, best first, and add 1 / (k + rank) to what its candidates have so far.",
        "`for rank, name in enumerate(ranked(scores), start=1)` walks through one ranking, and "
        "`fused.get(name, 0.0)` is what a candidate has from those before.",
    ),
)
def test_rrf_small(submission, draw):
    """Two short rankings are fused by rank."""
    for _ in range(3):
        candidates = draw.words(4)
        submission.check("step3_rag.retrieve.fuse:rrf", [ranking(draw, candidates, 3) for _ in range(2)])


@pytest.mark.rubric(
    "3.2",
    points=3,
    visibility="public",
    title="nDCG",
    hint=(
        "The ideal ranking is the judgements, sorted, cut at k: three relevant documents can't gain ten.",
        "One sum twice: over the grades of the ranking's first k, and over the k highest grades of `qrels`.",
        "`sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))`, once for each; then "
        "the quotient, and what if the second one is 0?",
    ),
)
def test_ndcg_small(submission, draw):
    """Relevant or not: a short ranking that holds all relevant documents."""
    for _ in range(4):
        docs = draw.words(6)
        qrels = dict.fromkeys(draw.sample(docs, draw.randint(1, 3)), 1)
        submission.check("step3_rag.evaluate.metrics:ndcg", docs, qrels, k=10)


@pytest.mark.rubric(
    "3.3",
    points=2,
    visibility="public",
    title="Fusion by scores",
    hint=(
        "What if all scores are the same? What does a candidate get that only one ranking knows?",
        "`scaled`: subtract the lowest, divide by highest minus lowest. `min_max`: scale each ranking, then "
        "sum up weight times score for each candidate, from 0.",
        "`(score - low) / (high - low) if high > low else 1.0` for each score, and `zip` with `strict=True` "
        "over the rankings and their weights.",
    ),
)
def test_scaled_small(submission, draw):
    """Different scores are scaled to 0..1."""
    for _ in range(3):
        submission.check("step3_rag.retrieve.fuse:scaled", ranking(draw, draw.words(6), draw.randint(2, 6)))


@pytest.mark.rubric("3.3", points=3, visibility="public")
def test_min_max_small(submission, draw):
    """Two rankings of the same candidates become a weighted sum."""
    for _ in range(3):
        candidates, weight = draw.words(4), draw.randint(1, 9) / 10
        rankings = [ranking(draw, candidates, 4) for _ in range(2)]
        submission.check("step3_rag.retrieve.fuse:min_max", rankings, [weight, 1 - weight])


@pytest.mark.rubric(
    "3.4",
    points=4,
    timeout=20,
    visibility="public",
    title="MaxSim",
    hint=(
        "First for one document: which table of cosines does one matrix product give, and over which of its "
        "axes is the maximum?",
        "`query.token_vectors @ document.T` is (n, tokens); its maximum over the tokens is (n,); the weights "
        "make one number of it. Leave out what has no tokens. For speed, join all documents in one matrix.",
        "`(query.token_vectors.astype(np.float32) @ document.astype(np.float32).T).max(1) @ weights / "
        "weights.sum()`, into `scores[i]` of an array of zeros. Where all documents are joined, "
        "`np.maximum.reduceat(cosines, starts, axis=1)` takes the maximum of each one's part.",
    ),
)
def test_maxsim_small(submission, draw):
    """A few documents, and tokens that all have the same weight."""
    import numpy as np

    for _ in range(3):
        n = draw.randint(2, 5)
        documents = [vectors(draw, draw.randint(1, 6)) for _ in range(3)]
        query, weights = query_of(vectors(draw, n)), np.ones(n, np.float32)
        submission.check("step3_rag.retrieve.rerank:late_interaction", query, documents, weights, abs=2e-3)


@pytest.mark.rubric(
    "3.5",
    points=3,
    visibility="public",
    title="A chunker",
    hint=(
        "Think in units and their numbers of tokens. Which two things end a chunk? What ends the last one?",
        "Keep `begin`, the first unit of the chunk that grows. When unit i has no place in it, the chunk is "
        "`begin` to i - 1; then move `begin` on until what is left may be repeated: `min(overlap, size - "
        "tokens of unit i)` tokens, or nothing where a section begins.",
        "At unit i the chunk is done if it holds anything (`i > begin`) and a section starts, or the unit "
        "would end more than `size` tokens after `units[begin].first`. Then, while `begin < i`: `begin += 1` "
        "if a section starts, or if more than `room` tokens would be repeated. Last comes the last chunk. "
        "Tokens give the characters: `tokens[first][0]`, `tokens[end - 1][1]`.",
    ),
)
def test_chunks_are_whole_sentences(submission, draw):
    """As many whole sentences as fit make a chunk, without an overlap."""
    for _ in range(3):
        text = " ".join(sentence(draw, draw.randint(3, 8)) for _ in range(8))
        submission.check("step3_rag.ingest.chunk:chunk", text, words, size=draw.randint(10, 20), overlap=0)


@pytest.mark.rubric("3.5", points=3, visibility="public")
def test_chunks_repeat_sentences(submission, draw):
    """A chunk begins with the last sentences of the one before, as many as the overlap allows."""
    for _ in range(3):
        n = draw.randint(3, 6)  # tokens of every sentence
        text = " ".join(sentence(draw, n) for _ in range(9))
        submission.check(
            "step3_rag.ingest.chunk:chunk", text, words, size=4 * n, overlap=draw.randint(n, 2 * n + 1)
        )


@pytest.mark.rubric(
    "3.6",
    points=2,
    visibility="public",
    timeout=20,
    title="Keep the better attempt",
    hint=(
        "Equal confidence is no reason to change, and a little more is noise. What is the confidence of a "
        "search that has none?",
        "`better`: keep the best so far; a later one replaces it only if its `rank` is above that one's plus "
        "MARGIN. `propose`: take strategies off the list until one gives what was not searched yet. "
        "`after_judge` asks `better`, not the last attempt.",
        "`better` is a loop with `if later.rank > best.rank + MARGIN`. `propose`: while anything is `left`, "
        'take the first of it off, `rewrite` with it and with `state["attempts"][0].found`, and once what '
        "comes is none of those that were tried, return a dict with `proposal`, `left` and `path`.",
    ),
)
def test_better_small(submission, draw):
    """The most confident of a few attempts is kept, if it is clearly better."""
    for _ in range(3):
        shift, steps = draw.randint(0, 99) / 1000, draw.sample(range(5), 4)
        submission.check(
            "step3_rag.reflect.reflect:better", attempts([round(0.21 * each + shift, 3) for each in steps])
        )


@pytest.mark.rubric("3.6", points=3, visibility="public", timeout=30)
def test_reflection_asks_again(submission, draw):
    """A search that is not confident is rewritten until one is; a confident one is the only one."""
    for first in (0.3, 0.95):
        question, other, third = (draw.text(4) for _ in range(3))
        sure = {(question, 5): first, (other, 5): round(draw.uniform(0.86, 0.99), 2)}
        offers = {"spelling": (other, 5), "feedback": (third, 5)}
        check_loop(submission, question, ["spelling", "feedback"], sure, offers)


@pytest.mark.rubric(
    "3.7",
    points=3,
    visibility="public",
    timeout=20,
    title="Check the citations",
    hint=(
        "Models put citations before the full stop, after it, several in a row, and with numbers that don't "
        "exist.",
        "Move what AFTER finds in front of its full stop, unless all citations are in front; then cut into "
        "`sentences`, and take the numbers of each and its text without them. In `_cited` think in sets: its "
        "own stems, and those of all sources that it cites.",
        '`AFTER.sub(lambda found: f" {found[3].strip()}{found[1]}{found[2]}", text)`, '
        "`CITATION.findall(text[start:end])`, `dict.fromkeys` for each number once; "
        "`len(own & held) / len(own) if own else 0.0`.",
    ),
)
def test_citations_before_the_full_stop(submission, draw):
    """Each sentence cites its own source, before the full stop."""
    for _ in range(3):
        numbers, said, given = sources(draw)
        text = " ".join(f"{each[:-1]} [{number}]." for each, number in zip(said, numbers, strict=True))
        submission.check("step3_rag.answer.read:check", text, given)


@pytest.mark.rubric("3.7", points=2, visibility="public", timeout=20)
def test_citations_after_the_full_stop(submission, draw):
    """Each sentence cites its own source, after the full stop."""
    for between in (" ", "", "\n"):
        numbers, said, given = sources(draw)
        text = " ".join(f"{each}{between}[{number}]" for each, number in zip(said, numbers, strict=True))
        submission.check("step3_rag.answer.read:check", text, given)
