"""Drivers live in the submission's process, which can replace them: only a right transcript scores."""

from tests.classroom.hostile.kit import case, reference

OTHER = "3.3"
DRIVER = "import classroom.drivers.step3 as driver\n"


def handed_in(at, code, reflect=None):
    """fuse.py does this to the driver before it is used; there is no right loop."""
    at.first(code, wrong=False)
    at.write("step3_rag/reflect/reflect.py", reflect or reference("reflect") + NO_LOOP)


NO_LOOP = """
def better(attempts): return attempts[0]
"""


@case("3.3 3.6", "^$", rubric="rubric_driver", more=True)
def a_right_loop(at):
    at.honest().write("step3_rag/reflect/reflect.py", reference("reflect"))


@case(OTHER, r"at \['(searched|rewritten|attempts|best|verdict)'\]|a key is missing", rubric="rubric_driver")
def an_empty_transcript(at):
    handed_in(
        at,
        f"""{DRIVER}
driver.loop = lambda *args: dict(searched=[], rewritten=[], attempts=[], best=None, verdict="answer")
""",
    )


@case(OTHER, r"at \[", rubric="rubric_driver")
def a_transcript_that_was_recorded(at):
    """Of the right loop, on other inputs."""
    from classroom.drivers.step3 import loop

    offers = {"spelling": ("b", 5), "feedback": ("c", 5)}
    told = loop("a", ["spelling", "feedback"], 0.85, {("a", 5): 0.3, ("b", 5): 0.9}, offers)
    handed_in(at, f"{DRIVER}driver.loop = lambda *args: {told!r}\n")


@case(OTHER, r"at \[|raised", rubric="rubric_driver", more=True)
def a_transcript_by_a_shorter_way(at):
    """The question as it was asked, the best that the scenario knows: not what the loop would have kept."""
    handed_in(
        at,
        f"""{DRIVER}
def loop(question, strategies, threshold, sure, offers):
    tries = [("question", question, sure.get((question, 5), 0.0))]
    tries += [(name, offers[name][0], sure.get(offers[name], 0.0)) for name in strategies]
    best = max(tries, key=lambda each: each[2])
    verdict = "answer" if best[2] >= threshold else "abstain"
    return dict(searched=[], rewritten=[], attempts=tries, best=best, verdict=verdict)
driver.loop = loop
""",
    )


@case(OTHER, r"at \[|raised", rubric="rubric_driver", more=True)
def a_script_that_is_always_sure(at):
    """What the driver puts in the place of the search: every search is the best there is."""
    handed_in(
        at,
        f"""{DRIVER}
import contextlib
stand_in = driver._standing_in
driver._standing_in = lambda **functions: stand_in(**functions | {{"confidence": lambda found: 0.99}})
""",
        reference("reflect"),
    )
