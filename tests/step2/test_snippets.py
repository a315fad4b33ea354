"""The steps of chapters 7 to 12 print what the pages show: by hand, then on the real model."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step2_tools" / "lessons"
ON_THE_MODEL = ("07-teaching-tool-calls.md",)
BY_HAND = ("09-approval-and-injection.md",)


def run_steps(name):
    """Run the `pycon` blocks of a chapter as one session."""
    blocks = re.findall(r"^```pycon\n(.*?)^```$", (LESSONS / name).read_text("utf-8"), re.DOTALL | re.M)
    session = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, name, 0)
    results = doctest.DocTestRunner().run(session)
    assert (results.failed, results.attempted > 3) == (0, True)


@pytest.mark.real
@pytest.mark.parametrize("name", ON_THE_MODEL)
def test_the_steps_on_the_real_model_print_what_the_chapter_shows(name, monkeypatch):
    monkeypatch.setenv("ROADMAP_DTYPE", "float32")  # bfloat16 may change a word
    run_steps(name)


@pytest.mark.parametrize("name", BY_HAND)
def test_the_steps_print_what_the_chapter_shows(name):
    run_steps(name)
