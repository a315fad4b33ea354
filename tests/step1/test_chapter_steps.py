"""The small steps of a chapter, on numbers and on the real model, print what the chapter shows."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step1_foundations" / "lessons"


@pytest.mark.real
@pytest.mark.parametrize("name", ["01-tokens", "02-embeddings", "06-next-token", "07-generation", "08-speed"])
def test_the_steps_of_a_chapter_print_what_it_shows(name):
    path = LESSONS / f"{name}.md"
    steps = "\n".join(re.findall(r"^```pycon\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.M))
    parsed = doctest.DocTestParser().get_doctest(steps, {}, path.name, str(path), 0)
    results = doctest.DocTestRunner().run(parsed)
    assert (results.failed, results.attempted > 5) == (0, True)
