"""An exercise on a stand-in of a driver, and one beside it. the_class.py puts in another TIMEOUT."""

import pytest

from classroom.rubrics.step3_public import ranking
from classroom.rubrics.step3_scenes import check_loop

HINT = ("a", "b", "c")
TIMEOUT = 15


@pytest.mark.rubric("3.3", points=7, timeout=TIMEOUT, title="Fusion by scores", hint=HINT)
def test_scaled(submission, draw):
    """Scores of a ranking."""
    for n in (2, 3, 4):
        submission.check("step3_rag.retrieve.fuse:scaled", ranking(draw, draw.words(5), n))


@pytest.mark.rubric("3.6", points=10, timeout=30, title="Keep the better attempt", hint=HINT)
def test_loop(submission, draw):
    """A search that is not confident is asked again."""
    for first in (0.3, 0.95, 0.5):
        question, other, third = (draw.text(4) for _ in range(3))
        sure = {(question, 5): first, (other, 5): round(draw.uniform(0.3, 0.99), 2)}
        offers = {"spelling": (other, 5), "feedback": (third, 5)}
        check_loop(submission, question, ["spelling", "feedback"], sure, offers)
