"""Step 3, what learners see: each test draws its inputs, so that a class can have its own."""

import pytest


@pytest.mark.rubric(
    "3.1",
    points=3,
    timeout=5,
    visibility="public",
    title="Fusion by ranks",
    hint=(
        "The first rank is 1. What a ranking doesn't hold gets nothing from it.",
        "Walk through each ranking, best first, and add 1 / (k + rank) to what its candidates have.",
        "`for rank, each in enumerate(ranked(scores), 1): fused[each] = fused.get(each, 0.0) + ...`",
    ),
)
def test_rrf_small(submission, draw):
    """Two short rankings are fused by rank."""
    for _ in range(3):
        rankings = [{name: draw.random() for name in draw.words(3)} for _ in range(2)]
        submission.check("step3_rag.fuse:rrf", rankings)
