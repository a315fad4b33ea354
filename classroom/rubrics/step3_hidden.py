"""Step 3, what learners don't see."""

import pytest


@pytest.mark.rubric("3.1", points=7)
def test_rrf(submission, draw):
    """Any number of rankings that share candidates, with any k."""
    for _ in range(3):
        words = draw.words(12)
        rankings = [
            {name: draw.random() for name in draw.sample(words, 6)} for _ in range(draw.randint(0, 5))
        ]
        submission.check("step3_rag.fuse:rrf", rankings, k=draw.randint(1, 100))
