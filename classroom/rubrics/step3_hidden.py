"""Step 3, the hidden tests."""

import re

import numpy as np
import pytest

from classroom.rubrics.step3_public import (
    BETTER,
    CHECK,
    CHUNK,
    MAXSIM,
    MIN_MAX,
    NDCG,
    RRF,
    SCALED,
    attempts,
    check_loop,
    query_of,
    ranking,
    sources,
    unit,
    vectors,
    words,
)


@pytest.mark.rubric("3.1", points=4)
def test_rrf_of_any_rankings(submission, draw):
    """Any number of rankings that share some candidates, with any k."""
    for n in (1, 3, 5):
        candidates = draw.words(12)
        rankings = [ranking(draw, candidates, draw.randint(1, 7)) for _ in range(n)]
        rankings.insert(draw.randint(0, n), {})
        submission.check(RRF, rankings, k=draw.randint(1, 50))


@pytest.mark.rubric("3.1", points=3, times=3)
def test_rrf_of_ties(submission, draw):
    """Equal scores are ranked in the order of the mapping, and scores may be negative."""
    candidates = draw.words(8)
    chosen = [draw.sample(candidates, 6) for _ in range(3)]
    submission.check(RRF, [{each: float(draw.randint(-1, 1)) for each in names} for names in chosen])


@pytest.mark.rubric("3.2", points=4)
def test_ndcg_of_grades_cut_at_k(submission, draw):
    """Grades of 1 to 3, more relevant documents than k, some of them not in the ranking."""
    for k in (2, 3, 5):
        first, *found = draw.words(8)
        missed = [each.upper() for each in draw.words(3)]
        qrels = dict.fromkeys(missed, 3)  # the best of all
        qrels |= {doc: draw.randint(1, 2) for doc in [first, *draw.sample(found, 4)]}
        submission.check(NDCG, [first, *found], qrels, k=k)


@pytest.mark.rubric("3.2", points=3, times=3)
def test_ndcg_of_what_is_not_relevant(submission, draw):
    """Grades of 0 and less are worth nothing, and neither is a ranking without anything relevant."""
    docs = draw.words(8)
    qrels = {docs[0]: 2, docs[1]: -1, docs[2]: 0, docs[3]: 1, docs[4]: -2}
    submission.check(NDCG, draw.sample(docs[:6], 6), qrels, k=draw.randint(4, 20))
    submission.check(NDCG, docs[:3], {docs[1]: -1, docs[2]: 0})
    submission.check(NDCG, [], qrels)
    submission.check(NDCG, docs, {})


@pytest.mark.rubric("3.3", points=3, times=3)
def test_scaled_of_special_scores(submission, draw):
    """Scores that are all the same, a single one, none, and negative ones."""
    names, score = draw.words(4), draw.randint(-50, 50) / 4
    negative = {name: -value for name, value in ranking(draw, names, 4).items()}
    for scores in (negative, dict.fromkeys(names, score), {names[0]: score}, {}):
        submission.check(SCALED, scores)


@pytest.mark.rubric("3.3", points=5)
def test_min_max_of_missing_candidates(submission, draw):
    """Any number of rankings with different candidates, with only one, or with none."""
    for n in (1, 3, 4):
        candidates = draw.words(9)
        rankings = [ranking(draw, candidates, draw.randint(3, 6)) for _ in range(n)]
        rankings += [ranking(draw, candidates, 1), {}]
        submission.check(MIN_MAX, rankings, [draw.randint(0, 30) / 10 for _ in rankings])


@pytest.mark.rubric("3.3", points=2)
def test_min_max_wants_a_weight_for_each(submission, draw):
    """One weight too few or too many raises ValueError."""
    for n in (1, 2, 3):
        candidates = draw.words(5)
        rankings = [ranking(draw, candidates, 3) for _ in range(n)]
        for weights in ([0.5] * n, [0.5] * (n - 1), [0.5] * (n + 1)):
            submission.check(MIN_MAX, rankings, weights)


@pytest.mark.rubric("3.4", points=4, timeout=20)
def test_maxsim_of_weights(submission, draw):
    """Rare tokens count more, and the highest cosine may be negative."""
    for sign in (1, -1, -1):
        n = draw.randint(3, 6)
        direction = 3 * vectors(draw, 1)  # of all documents; the query looks that way or against it
        near = [unit(direction + vectors(draw, draw.randint(1, 7))) for _ in range(5)]
        query, weights = query_of(unit(sign * direction + vectors(draw, n))), np.abs(draw.array(n, scale=3))
        submission.check(MAXSIM, query, near, weights, abs=2e-3)


@pytest.mark.rubric("3.4", points=7, timeout=20)
def test_maxsim_of_documents_without_tokens(submission, draw):
    """A document without tokens scores 0, as do all if the weights are 0; no documents give no scores."""
    empty = np.zeros((0, 16), np.float16)
    for places in ((0,), (2, 3), (5,), (0, 2, 5)):
        n = draw.randint(2, 5)
        documents = [empty if i in places else vectors(draw, draw.randint(1, 5)) for i in range(6)]
        weights = np.abs(draw.array(n)) + np.float32(0.1)
        submission.check(MAXSIM, query_of(vectors(draw, n)), documents, weights, abs=2e-3)
    for n in (2, 3, 4):
        query, documents = query_of(vectors(draw, n)), [vectors(draw, draw.randint(1, 5)) for _ in range(n)]
        ones = np.ones(n, np.float32)
        submission.check(MAXSIM, query, documents, ones, abs=2e-3)
        submission.check(MAXSIM, query, documents, 0 * ones)
        submission.check(MAXSIM, query_of(empty), documents, ones[:0])
        submission.check(MAXSIM, query, [], ones)
        submission.check(MAXSIM, query, [empty] * n, ones)


def pieces(text):
    """Tokens of at most four characters: several a word, as those of a model."""
    return [found.span() for found in re.finditer(r"\w{1,4}|[^\w\s]", text)]


@pytest.mark.rubric("3.5", points=7, times=4)
def test_chunks_of_any_sentences(submission, draw):
    """Sentences of any length, several tokens a word; texts of one chunk or none; any size and overlap."""
    text = " ".join(draw.sentence(draw.choice([1, 1, 2, 3, 5])) for _ in range(25))
    longest = max(len(pieces(each)) for each in text.split(". "))
    size = longest + draw.randint(1, 8)  # the overlap leaves room for the sentence after it
    submission.check(CHUNK, text, pieces, size=size, overlap=draw.randint(size // 2, size - 1))
    text = " ".join(draw.sentence(draw.randint(1, 3)) for _ in range(5))
    submission.check(CHUNK, text, words)
    submission.check(CHUNK, draw.choice(["", " ", "\n\n \t"]), words)
    submission.check(CHUNK, draw.words(1)[0], words, size=1, overlap=0)
    for overlap in (7, 8):  # the largest, and one that is too large
        submission.check(CHUNK, text, words, size=8, overlap=overlap)


@pytest.mark.rubric("3.5", points=4, times=4)
def test_chunks_begin_at_headings(submission, draw):
    """A heading begins a new chunk without overlap once the chunk before it is half full."""
    parts = []
    for _ in range(8):
        parts.append(f"{'#' * draw.randint(1, 3)} {draw.text(2).capitalize()}")
        parts.append(" ".join(draw.sentence(draw.randint(2, 5)) for _ in range(draw.randint(1, 4))))
    size, overlap = draw.randint(16, 24), draw.randint(6, 9)
    submission.check(CHUNK, "\n\n".join(parts), words, size=size, overlap=overlap)


@pytest.mark.rubric("3.5", points=3)
def test_chunks_of_long_sentences(submission, draw):
    """A sentence longer than a chunk is cut: no token is lost, no chunk too long, no overlap too large."""
    for overlap in (0, 2, 4, 7):
        lengths = [draw.randint(3, 9), draw.randint(30, 60), draw.randint(3, 9), draw.randint(20, 40)]
        text, size = " ".join(draw.sentence(each - 1) for each in lengths), draw.randint(8, 16)
        submission.check(CHUNK, text, words, size=size, overlap=overlap)


EXACTLY_MARGIN = [  # apart, however it is computed
    (a / 100, b / 100)
    for a, b in zip(range(90), range(10, 100), strict=True)
    if a / 100 + 0.1 == b / 100 and b / 100 - a / 100 == 0.1 and b / 100 - 0.1 == a / 100
]


@pytest.mark.rubric("3.6", points=3, times=4, timeout=20)
def test_better_by_the_margin(submission, draw):
    """Small steps up, exactly the margin, and equal ones."""
    steps = [round(0.03 * draw.randint(0, 30), 2) for _ in range(6)]
    low, high = draw.choice(EXACTLY_MARGIN)
    start = round(draw.uniform(0.1, 0.5), 2)
    small = [round(start + 0.06 * i, 2) for i in range(6)]
    for said in (steps, [low, high], small, [steps[0]] * 3):
        submission.check(BETTER, attempts(said))


@pytest.mark.rubric("3.6", points=3, times=3, timeout=30)
def test_reflection_survives_bad_rewrites(submission, draw):
    """A rewrite that is worse, or only a little better, does not replace the first search."""
    question, *others = (draw.text(4) for _ in range(4))
    first = round(draw.uniform(0.3, 0.7), 2)
    sure = {(question, 5): first}
    changes = draw.sample([-0.2, 0.04, 0.08], 3)
    sure |= {(each, 5): round(first + by, 2) for each, by in zip(others, changes, strict=True)}
    names = draw.words(3)
    offers = {name: (other, 5) for name, other in zip(names, others, strict=True)}
    check_loop(submission, question, names, sure, offers)


@pytest.mark.rubric("3.6", points=4, timeout=30)
def test_reflection_takes_each_strategy_once(submission, draw):
    """Each strategy rewrites the first search once, and no search is made twice."""
    for _ in range(3):
        question, other, last = (draw.text(4) for _ in range(3))
        names = draw.words(6)
        offered = [None, (question, 5), (question, 20), (other, 5), (other, 5), (last, 5)]
        draw.shuffle(offered)
        sure = {(question, 5): 0.2, (other, 5): 0.5, (question, 20): 0.7, (last, 5): 0.1}
        offers = dict(zip(names, offered, strict=True))
        check_loop(submission, question, [*names, *names[:3]], sure, offers)


@pytest.mark.rubric("3.7", points=3, times=2, timeout=20)
def test_citations_in_a_row(submission, draw):
    """Several citations of one sentence, in one bracket or in several, some of them twice."""
    (a, b, c), said, given = sources(draw)
    for marks in (f" [{a}][{b}].", f" [{b}, {a}].", f". [{c}] [{a},{b}]", f".[{b}][{c}][{b}]"):
        text = f"{said[0][:-1]}{marks} {said[1][:-1]} [{c}] and {said[2][4:-1]} [{b}][{c}]."
        submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=3, times=3, timeout=20)
def test_citations_of_sources_that_do_not_exist(submission, draw):
    """Numbers that no source has are unknown, and support nothing."""
    numbers, said, given = sources(draw)
    none, other = draw.sample(range(12, 99), 2)
    marks = (f" [{none}]", f" [0][{numbers[1]}]", f" [{numbers[2]}, {other}, {none}]")
    text = " ".join(f"{each[:-1]}{mark}." for each, mark in zip(said, marks, strict=True))
    submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=2, times=3, timeout=20)
def test_support_is_a_share_of_words(submission, draw):
    """A sentence without a citation, with a wrong one, with two, supported by a title, or without words."""
    (a, b, c), said, given = sources(draw)
    title = given[2].fields["document"].removesuffix(".md")
    made_up, more = draw.words(2)
    text = f"{said[0]} {said[1][:-1]} [{a}]. {said[0][:-1]} and {said[1][4:-1]} [{a}][{b}]."
    text += f" The {made_up} of {title} is about {more} {more} [{c}]. It is what it was [{b}]."
    submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=2, times=3, timeout=20)
def test_citations_in_other_places(submission, draw):
    """Citations before the sentence, alone on a line, or without any text."""
    (a, b, c), (one, two, three), given = sources(draw)
    for text in (
        f"[{a}] {one} [{b}] {two} [{c}] {three}",
        f"{one} [{b}] says that {two[0].lower()}{two[1:]} {three} [{c}]",
        f"- {one[:-1]} [{a}]\n- {two[:-1]} [{b}]\n\n[{c}]",
        f"[{a}]",
        "",
    ):
        submission.check(CHECK, text, given)
