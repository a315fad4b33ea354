"""The steps of chapters 3, 5, 6 and 9 print what the pages show: by hand, then on the real model."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step2_tools" / "lessons"
CHAPTERS = ["03-structured-output.md", "05-your-own-tool.md", "06-errors.md", "09-approval-and-injection.md"]
WITH_MODEL = ["03-structured-output.md"]
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
    blocks = []
    for block in blocks_of(name):
        if block.startswith(LOADS):
            break
        blocks.append(block)
    assert run(name, blocks) > 5


@pytest.mark.real
@pytest.mark.parametrize("name", WITH_MODEL)
def test_the_steps_on_the_real_model_print_what_the_chapter_shows(name):
    assert run(name, blocks_of(name)) > 10
