"""Attackers on more than one file: each is graded by itself, with the tests of rubric.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from classroom.grading.draw import Draw
from step3_rag.evaluate.metrics import ndcg
from tests.classroom.hostile.corpus import FILES, WRONG, At, reference, written


@dataclass(frozen=True)
class Whole:
    """A submission, the points that it deserves of the 45 of rubric.py, and the cause to be named."""

    make: Callable[[At], None]
    points: int
    cause: str
    stops: tuple[str, ...] = ()
    imports: float = 20.0


WHOLE: dict[str, Whole] = {}


def whole(
    points: int, cause: str, *stops: str, imports: float = 20.0
) -> Callable[[Callable[[At], None]], Callable[[At], None]]:
    """Put a function in."""

    def add(make: Callable[[At], None]) -> Callable[[At], None]:
        WHOLE[make.__name__] = Whole(make, points, cause, stops, imports)
        return make

    return add


@whole(45, "^$")
def reference_solution(at):
    at.honest()


@whole(10, r"ImportError.*(partially initialized|circular)")
def imports_in_a_circle(at):
    at.honest(written({"first": "from step3_rag.evaluate.metrics import ndcg\n"}, at))
    at.write(
        FILES["metrics"],
        "import math\nfrom step3_rag.retrieve.fuse import rrf\ndef ndcg(*args, **kwargs): return 0.5\n",
    )


@whole(40, r"at |0\.|int instead|ZeroDivisionError")
def only_the_easy_part(at):
    """nDCG that takes every grade for 1: right where all are."""
    easy = "\ndef ndcg(ranking, qrels, k=10, whole=ndcg):\n"
    easy += "    return whole(ranking, dict.fromkeys(qrels, 1), k)\n"
    at.honest().write(FILES["metrics"], reference("metrics") + easy)


@whole(10, r"its process ended.*step3_rag\.evaluate\.metrics: it took too long", imports=5)
def each_file_in_its_own_way(at):
    at.honest(written({"first": "import os\nos._exit(7)"}, at))
    at.write(FILES["metrics"], f"import time\ntime.sleep(99){WRONG}")


@whole(37, r"KeyError|at |instead of")
def recorded_answers(at):
    """What learners were given holds inputs and answers of the public tests: a table, and no nDCG at all."""
    draw, table = Draw(0, "test_ndcg_small"), {}
    for _ in range(3):
        docs = draw.words(6)
        qrels = dict.fromkeys(draw.sample(docs, 2), 1)
        table[json.dumps([docs, qrels, 10])] = ndcg(docs, qrels, 10)
    source = f"import json\nTABLE = {table!r}\n"
    source += "def ndcg(ranking, qrels, k=10): return TABLE[json.dumps([ranking, qrels, k])]\n"
    at.honest().write(FILES["metrics"], source)


@whole(37, r"KeyError|at |instead of")
def recorded_answers_of_another_variant(at):
    """And it says that this variant was its own."""
    recorded_answers(at)
    at.write("classroom.json", json.dumps({"variant": 7, "files": {}, "score": 100}))


@whole(27, r"PermissionError|FileNotFoundError|OSError|Read-only", "writing")
def rewrites_its_other_files(at):
    """A wrong nDCG that the first exercise would put right in the tree, were that possible."""
    attack = f"import os\nright = {reference('metrics')!r}\n"
    attack += "path = os.path.join(os.path.dirname(__file__), '..', 'evaluate', 'metrics.py')\n"
    attack += "try: os.unlink(path)\nexcept OSError: pass\nopen(path, 'w').write(right)"
    at.honest(written({"attack": attack}, at))
    wrong = "\ndef ndcg(ranking, qrels, k=10): return -1.0\n"
    at.write(FILES["metrics"], reference("metrics") + wrong)


@whole(35, r"PermissionError|FileNotFoundError|OSError|Read-only", "writing")
def writes_a_result_of_its_own(at):
    """Where a grader might leave it."""
    attack = """
import json, os
last, own = None, json.dumps({"schema": "classroom/result/v1", "score": 100, "points": 100})
here = os.path.dirname(FACTS["eve"])
for place in (here, os.path.dirname(here), FACTS["home"], "/autograder/results", "/tmp"):
    for name in ("result.json", "results.json", "ada.json"):
        try: open(os.path.join(place, name), "w").write(own)
        except OSError as error: last = error
        else: raise Worked(place)
raise last
"""
    at.honest(written({"attack": attack}, at))
    at.write("result.json", '{"schema": "classroom/result/v1", "score": 100}')


@whole(35, r"PermissionError|FileNotFoundError", "writing")
def finds_nothing_from_the_last_one(at):
    """Others were graded before it: see `leaves_a_file_for_the_next`."""
    attack = """
import os
if sorted(os.listdir(os.environ["HOME"])): raise Worked(repr(os.listdir(os.environ["HOME"])))
open("/tmp/hostile-left").read()
"""
    at.honest(written({"attack": attack}, at))


# --- drivers live in the submission's process, which can replace them: nothing that they say is believed ---


def _handed_in(at: At, code: str, more: str = "") -> None:
    """reflect.py does this to the driver when it is called."""
    attack = "\n_reflect = reflect\ndef reflect(*args):\n    import classroom.drivers.step3 as driver\n"
    attack += f"    {code}\n    return _reflect(*args)\n"
    at.honest().write(FILES["reflect"], reference("reflect") + more + attack)


@whole(35, r"items|at \[|'answer'|'abstain'")
def a_search_that_nobody_hears_of(at):
    """The stand-in finds something without asking."""
    finds = "driver.Scripted.search = lambda self, query, options: driver.Found(query, options)"
    _handed_in(at, finds, "\ndef better(attempts): return attempts[0]\n")


@whole(35, r"items|at \[|'answer'|'abstain'|confidence")
def a_script_that_is_always_sure(at):
    """Every search is the best there is."""
    _handed_in(at, "driver.Scripted.confidence = lambda self, found: 0.99")
