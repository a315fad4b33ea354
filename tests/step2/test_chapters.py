"""The steps of chapters 1 to 6 print what the chapters show."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step2_tools" / "lessons"
ON_THE_MODEL = ("01-messages-and-roles.md", "02-few-shot.md")


def run_steps(name):
    """Run the `pycon` blocks of a chapter as one session; `...` in an output stands for any text."""
    blocks = re.findall(r"^```pycon\n(.*?)^```$", (LESSONS / name).read_text("utf-8"), re.DOTALL | re.M)
    session = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, name, 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session)
    assert (results.failed, results.attempted > 3) == (0, True)


@pytest.mark.real
@pytest.mark.parametrize("name", ON_THE_MODEL)
def test_the_steps_on_the_model_print_what_the_chapter_shows(name, monkeypatch):
    monkeypatch.setenv("ROADMAP_DTYPE", "float32")  # as the README says; bfloat16 may change a word
    run_steps(name)
