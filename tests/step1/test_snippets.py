"""The steps of chapters 3 to 5 print what the pages show: by hand, then on the real model."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step1_foundations" / "lessons"
CHAPTERS = ["03-attention.md", "04-positions.md", "05-block.md"]
LOADS = ">>> from shared import models\n"  # how the first block begins that needs the real model


def run(name, blocks):
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, str(LESSONS / name), 0)
    results = doctest.DocTestRunner().run(parsed)
    assert results.failed == 0
    return results.attempted


def blocks_of(name):
    return re.findall(r"^```pycon\n(.*?)^```$", (LESSONS / name).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_steps_by_hand_print_what_the_chapter_shows(name):
    blocks = blocks_of(name)
    loads = [i for i, block in enumerate(blocks) if block.startswith(LOADS)]
    assert run(name, blocks[: loads[0]]) > 5


@pytest.mark.real
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_steps_on_the_real_model_print_what_the_chapter_shows(name):
    assert run(name, blocks_of(name)) > 10
