"""The corpus against the grader: points as deserved, the cause named, nothing touched, nobody dead."""

import os
import re
import subprocess
import sys
import unicodedata

import pytest

from classroom import isolation
from classroom.isolation.stops import STOPS
from classroom.upload.formats import FORMATS, render
from tests.classroom.hostile.kit import CASES
from tests.classroom.hostile.the_class import KINDS, Graded, wrong
from tests.conftest import ROOT, for_long

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made on Linux")

AT_ONCE = 2
PATIENCE = 900  # seconds for a grader with its half of the corpus, on a busy machine
COMMAND = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)


@pytest.fixture(scope="module")
def level():
    """The best sandbox here."""
    return isolation.best()


def harmful(name, level):
    """What this level does not stop, and this case does."""
    return [row for row in CASES[name].stops if level not in STOPS[row]]


@pytest.fixture(scope="module")
def graded(request, level, tmp_path_factory):
    """What two graders, each a process of its own, made of the cases that were asked for."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = dict.fromkeys(each["name"] for each in params if each.get("name") in CASES)
    long = os.environ.get("TESTS_FOR_LONG")
    names = [name for name in asked if not harmful(name, level) and (long or not CASES[name].more)]
    folder, graders = tmp_path_factory.mktemp("hostile"), []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ROADMAP_HUB": "false"}
    for number in range(AT_ONCE):
        command = [sys.executable, "-m", "tests.classroom.hostile.the_class", "--isolation", level]
        command += ["--lines", str(folder / f"{number}.jsonl"), *names[number::AT_ONCE]]
        log = (folder / f"{number}.txt").open("wb")
        if names[number::AT_ONCE]:
            graders.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    try:
        codes = [each.wait(PATIENCE) for each in graders]
    finally:
        for each in graders:
            each.kill()
    told = "".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.txt"))
    assert codes == [0] * len(graders), f"a grader died: {told}"
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return {each.name: each for each in map(Graded.from_line, lines)}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=for_long("it is like another of the corpus") if each.more else ())
        for name, each in CASES.items()
    ],
)
def test_a_submission_gets_what_it_deserves(name, graded, level):
    if through := harmful(name, level):
        pytest.skip(f"{level} does not stop {', '.join(through)}")
    done = graded[name]
    assert not wrong(CASES[name], done)
    for format in FORMATS:
        text = render(done.result, format)
        assert not COMMAND.search(text), format
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Cf") and c not in "\n\t"], (
            format
        )


def test_the_corpus_is_large_enough():
    assert len(CASES) >= 75
    assert {each.kind for each in CASES.values()} == set(KINDS)
