"""Drivers live in the submission's process, which can replace them: nothing that they say is believed."""

from tests.classroom.hostile.kit import case, reference

OTHER = "3.3"
NO_LOOP = """
def better(attempts): return attempts[0]
"""


def handed_in(at, code, more=""):
    """reflect.py does this to the driver when it is called."""
    attack = f"""
_reflect = reflect
def reflect(*args):
    import classroom.drivers.step3 as driver
    {code}
    return _reflect(*args)
"""
    at.honest().write("step3_rag/reflect/reflect.py", reference("reflect") + more + attack)


@case("3.3 3.6", "^$", rubric="rubric_driver", more=True)
def a_right_loop(at):
    at.honest().write("step3_rag/reflect/reflect.py", reference("reflect"))


@case(OTHER, r"items|at \[|'answer'|'abstain'", rubric="rubric_driver")
def a_search_that_nobody_hears_of(at):
    """The stand-in finds something without asking."""
    finds = "driver.Scripted.search = lambda self, query, options: driver.Found(query, options)"
    handed_in(at, finds, NO_LOOP)


@case(OTHER, r"items|at \[|'answer'|'abstain'|confidence", rubric="rubric_driver")
def a_script_that_is_always_sure(at):
    """Every search is the best there is."""
    handed_in(at, "driver.Scripted.confidence = lambda self, found: 0.99")
