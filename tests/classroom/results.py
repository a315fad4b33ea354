"""Sample results, one of each kind that grading gives.

`SECRET` stands where learners may see nothing: as what hidden tests expected (which a real result leaves out)
and in what the submission printed while they ran.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from classroom.grading.calls import CallRecord
from classroom.grading.result import Item, Result, Test

SECRET = "s3cr3t-42"
NASTY = (
    "\x1b[31mred\x00\ud800\uffff\u202e</pre></details><script>alert(1)</script><img src=x onerror=alert(2)>\n"
    "::set-output name=score::100\n##[command]rm\n````\n~~~\n]]> <!-- -- & &lt; &#60; \"'\n"
    "| a | b | **bold** [link](javascript:alert(3)) ![](http://evil.example/x.png) @everyone #1 https://evil.example\n"
    "{{7*7}} ${7*7} <% %> \\`\\` `` `\n\n# heading\n\n- item\n\n<details open>\n" + "x" * 3_000
)


def ended(test: Test, status: str, cause: str, *calls: CallRecord) -> Test:
    """The test, with another end."""
    return replace(test, status=status, score=0, cause=cause, calls=calls)


def item(id: str, title: str, *tests: Test) -> Item:
    """An exercise of these tests."""
    points, score = sum(test.points for test in tests), sum(test.score for test in tests)
    return Item(id, title, points, score, tests)


fusion = partial(item, "3.1", "Fusion by ranks")
ndcg = partial(item, "3.2", "nDCG")
SMALL = Test("test_rrf_small", "Two short rankings are fused by rank.", 3, 3, "public", "passed", "", 0.012)
RRF = Test("test_rrf", "Any number of rankings, with any k.", 7, 7, "hidden", "passed", "", 0.034)
NDCG_SMALL = Test("test_ndcg_small", "Three documents: nDCG@3.", 4, 4, "public", "passed", "", 0.01)
NDCG = Test("test_ndcg", "Any ranking | any *k*, also <empty> ones.", 6, 6, "hidden", "passed", "", 0.02)

CAUSE = "at ['rub']: 0.0322 instead of 0.0317"
CALL = CallRecord("rrf([{'rub': 0.12}], k=60)", "{'rub': 0.0322}", "{'rub': 0.0317}", CAUSE)
WRONG_SMALL = ended(SMALL, "failed", CAUSE, CALL)
HIDDEN_CALL = CallRecord("rrf([{'sun': 0.4}], k=3)", "{'sun': 0.25}", SECRET, "at ['sun']: 0.25")
WRONG = ended(RRF, "failed", "at ['sun']: 0.25", HIDDEN_CALL)

FULL = Result(
    step="step3_rag",
    submission="ada",
    items=(fusion(SMALL, RRF), ndcg(NDCG_SMALL, NDCG)),
    seed=471_108,
    variant=0,
    isolation="sandlock",
    safe=True,
    started="2026-11-27T10:00:05+00:00",
    seconds=4.2,
)
PRINTED = f"debug: {SECRET}\n"
PARTIAL = replace(FULL, submission="bob", items=(fusion(SMALL, WRONG), FULL.items[1]), output=PRINTED)
STUBS = [ended(each, "not attempted", "exercise 3.1: X") for each in (SMALL, RRF, NDCG_SMALL, NDCG)]
NOT_ATTEMPTED = replace(FULL, submission="dan", items=(fusion(*STUBS[:2]), ndcg(*STUBS[2:])))
NASTY_CALLS = [CallRecord(NASTY, NASTY, None, NASTY)] * 5
HOSTILE = replace(
    FULL,
    submission=f"`<b>`{NASTY}",
    items=(
        fusion(*(ended(each, "failed", NASTY, *NASTY_CALLS) for each in (SMALL, RRF))),
        ndcg(NDCG_SMALL, ended(NDCG, "crashed", NASTY)),
    ),
    notes=(NASTY,),
    output=NASTY + SECRET,
)
UNSAFE = replace(PARTIAL, isolation="rlimits", safe=False, notes=("conftest.py was not taken over",))
FAULT = ended(RRF, "broken", f"KeyError: {SECRET}")
BROKEN = replace(FULL, submission="gus", items=(fusion(SMALL, FAULT), FULL.items[1]))
PUBLIC = replace(
    FULL,
    submission="hal",
    items=(fusion(WRONG_SMALL), ndcg(NDCG_SMALL)),
    output="a line of a loop\n" * 200 + NASTY.rstrip("x"),
)
NOTHING = replace(FULL, submission="", items=(), output=SECRET)  # the grader found no test

SAMPLES = {name: each for name, each in [*vars().items()] if isinstance(each, Result)}
