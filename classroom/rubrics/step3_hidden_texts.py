"""Step 3, what learners don't see: chunks, reflection and citations."""

from __future__ import annotations

import re

import pytest

from classroom.rubrics.step3_public import attempts, sentence, sources, words
from classroom.rubrics.step3_scenes import check_loop

# --- 3.5 --------------------------------------------------------------------------------------------------

CHUNK = "step3_rag.ingest.chunk:chunk"


def pieces(text):
    """Tokens of at most four characters: several a word, as those of a model."""
    return [found.span() for found in re.finditer(r"\w{1,4}|[^\w\s]", text)]


@pytest.mark.rubric("3.5", points=5)
def test_chunks_of_any_sentences(submission, draw):
    """Sentences of any length, several tokens a word; the overlap leaves room for the sentence after it."""
    for _ in range(4):
        text = " ".join(sentence(draw, draw.choice([2, 2, 3, 4, 6])) for _ in range(25))
        longest = max(len(pieces(each)) for each in text.split(". "))
        size = longest + draw.randint(1, 8)
        submission.check(CHUNK, text, pieces, size=size, overlap=draw.randint(size // 2, size - 1))


@pytest.mark.rubric("3.5", points=4)
def test_chunks_begin_at_headings(submission, draw):
    """A heading begins a chunk that repeats nothing, once the one before is half full."""
    for _ in range(4):
        parts = []
        for _ in range(8):
            parts.append(f"{'#' * draw.randint(1, 3)} {draw.text(2).capitalize()}")
            parts.append(" ".join(sentence(draw, draw.randint(3, 6)) for _ in range(draw.randint(1, 4))))
        submission.check(
            CHUNK, "\n\n".join(parts), words, size=draw.randint(16, 24), overlap=draw.randint(6, 9)
        )


@pytest.mark.rubric("3.5", points=3)
def test_chunks_of_long_sentences(submission, draw):
    """A sentence longer than a chunk is cut: no token is lost, no chunk too long, no overlap too large."""
    for overlap in (0, 2, 4, 7):
        lengths = [draw.randint(3, 9), draw.randint(30, 60), draw.randint(3, 9), draw.randint(20, 40)]
        text, size = " ".join(sentence(draw, each) for each in lengths), draw.randint(8, 16)
        submission.check(CHUNK, text, words, size=size, overlap=overlap)


@pytest.mark.rubric("3.5", points=2)
def test_chunks_of_the_smallest_texts(submission, draw):
    """One chunk for a short text, none for one without tokens, and the smallest and largest of sizes."""
    for _ in range(3):
        text = " ".join(sentence(draw, draw.randint(2, 4)) for _ in range(5))
        submission.check(CHUNK, text, words)
        submission.check(CHUNK, draw.choice(["", " ", "\n\n \t"]), words)
        submission.check(CHUNK, text, words, size=8, overlap=7)
        submission.check(CHUNK, draw.words(1)[0], words, size=1, overlap=0)
        submission.check(CHUNK, text, words, size=8, overlap=8)


# --- 3.6 --------------------------------------------------------------------------------------------------

EXACTLY_MARGIN = [  # apart, however it is computed
    (a / 100, b / 100)
    for a, b in zip(range(90), range(10, 100), strict=True)
    if a / 100 + 0.1 == b / 100 and b / 100 - a / 100 == 0.1 and b / 100 - 0.1 == a / 100
]


@pytest.mark.rubric("3.6", points=3, timeout=20)
def test_better_by_the_margin(submission, draw):
    """Small steps up, exactly the margin, equal ones, and attempts without a confidence."""
    for _ in range(4):
        steps = [round(0.03 * draw.randint(0, 30), 2) for _ in range(6)]
        low, high = draw.choice(EXACTLY_MARGIN)
        unknown = [*steps[:2], None, None]
        draw.shuffle(unknown)
        start = round(draw.uniform(0.1, 0.5), 2)
        small = [round(start + 0.06 * i, 2) for i in range(6)]
        for said in (steps, [low, high], [None], [None, *unknown], small, [steps[0]] * 3):
            submission.check("step3_rag.reflect.reflect:better", attempts(said))


@pytest.mark.rubric("3.6", points=3, timeout=30)
def test_reflection_survives_bad_rewrites(submission, draw):
    """No rewrite that is worse, or better by little, takes the place of the first search."""
    for _ in range(3):
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
    """Every strategy is asked once, about the first search; no search is made twice; the path names them."""
    for unknown in (False, False, True):
        question, other, last = (draw.text(4) for _ in range(3))
        names = draw.words(6)
        offered = [None, (question, 5), (question, 20), (other, 5), (other, 5), (last, 5)]
        draw.shuffle(offered)
        sure = {(question, 5): None if unknown else 0.2, (other, 5): 0.5, (question, 20): 0.7, (last, 5): 0.1}
        offers = dict(zip(names, offered, strict=True))
        check_loop(submission, question, [*names, *names[:3]], sure, offers).check_get("path")


# --- 3.7 --------------------------------------------------------------------------------------------------

CHECK = "step3_rag.answer.read:check"


@pytest.mark.rubric("3.7", points=3, timeout=20)
def test_citations_in_a_row(submission, draw):
    """Several citations of one sentence, in one bracket or in several, some of them twice."""
    for _ in range(2):
        (a, b, c), said, given = sources(draw)
        for marks in (f" [{a}][{b}].", f" [{b}, {a}].", f". [{c}] [{a},{b}]", f".[{b}][{c}][{b}]"):
            text = f"{said[0][:-1]}{marks} {said[1][:-1]} [{c}] and {said[2][4:-1]} [{b}][{c}]."
            submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=3, timeout=20)
def test_citations_of_sources_that_do_not_exist(submission, draw):
    """Numbers that no source has are unknown, and support nothing."""
    for _ in range(3):
        numbers, said, given = sources(draw)
        none, other = draw.sample(range(12, 99), 2)
        marks = (f" [{none}]", f" [0][{numbers[1]}]", f" [{numbers[2]}, {other}, {none}]")
        text = " ".join(f"{each[:-1]}{mark}." for each, mark in zip(said, marks, strict=True))
        submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=2, timeout=20)
def test_support_is_a_share_of_words(submission, draw):
    """Support by no citation, by the wrong one, by two together, by a source's title; of no words."""
    for _ in range(3):
        (a, b, c), said, given = sources(draw)
        title = given[2].fields["document"].removesuffix(".md")
        made_up, more = draw.words(2)
        text = f"{said[0]} {said[1][:-1]} [{a}]. {said[0][:-1]} and {said[1][4:-1]} [{a}][{b}]."
        text += f" The {made_up} of {title} is about {more} {more} [{c}]. It is what it was [{b}]."
        submission.check(CHECK, text, given)


@pytest.mark.rubric("3.7", points=2, timeout=20)
def test_citations_in_other_places(submission, draw):
    """In front of all sentences, or of one that goes on in lower case; alone on a line; without a text."""
    for _ in range(3):
        (a, b, c), said, given = sources(draw)
        one, two, three = said
        going_on = f"{two[0].lower()}{two[1:]}"
        texts = (
            f"[{a}] {one} [{b}] {two} [{c}] {three}",
            f"{one} [{b}] says that {going_on} {three} [{c}]",
            f"- {one[:-1]} [{a}]\n- {two[:-1]} [{b}]\n\n[{c}]",
            f"[{a}]",
            "",
        )
        for text in texts:
            submission.check(CHECK, text, given)
