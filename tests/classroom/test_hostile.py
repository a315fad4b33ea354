"""The corpus against the grader: the points it deserves, the right cause, nothing touched, no grader dead."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from classroom import isolation
from classroom.gradebook.feedback import render
from classroom.grading.result import Result
from classroom.isolation.stops import STOPS
from tests.classroom.hostile import packing  # noqa: F401  (fills the corpus)
from tests.classroom.hostile.corpus import ATTACKS
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made on Linux")

AT_ONCE = 2
PATIENCE = 900  # seconds for a grader with its half of the corpus, on a busy machine
COMMAND = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)


def test_every_attacker_gets_what_it_deserves():
    """Two graders, each a process of its own, share the corpus, without what this sandbox can't stop."""
    level, _ = isolation.chosen(None)
    assert len(ATTACKS) >= 150
    names = [name for name, each in ATTACKS.items() if all(level in STOPS[row] for row in each.stops)]
    how = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1", "ROADMAP_HUB": "false"}}

    def graded(number):
        command = [sys.executable, "-m", "tests.classroom.hostile.the_class", level, *names[number::AT_ONCE]]
        ran = subprocess.run(command, **how, capture_output=True, text=True, timeout=PATIENCE)
        assert ran.returncode == 0, f"a grader died: {ran.stderr[-2000:]}"
        return json.loads(ran.stdout)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = [*pool.map(graded, range(AT_ONCE))]
    assert {name for each in done for name in each["wrong"]} == {"all", *names}
    assert not [(name, found) for each in done for name, found in each["wrong"].items() if found]
    for result in (Result.from_dict(each["result"]) for each in done):
        for text in (render(result), result.to_json()):
            assert not COMMAND.search(text)
            odd = [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Cf") and c not in "\n\t"]
            assert not odd
