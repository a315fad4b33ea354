"""The steps of chapters 7, 8, 11 and 12 print what the pages show: by hand, then on the real model."""

import doctest
import re

import pytest

from tests.conftest import ROOT

LESSONS = ROOT / "step2_tools" / "lessons"
LOADS = ">>> from shared import models\n"  # how the first block begins that needs the real model


def run(name, blocks):
    parsed = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, str(LESSONS / name), 0)
    results = doctest.DocTestRunner().run(parsed)
    assert results.failed == 0
    return results.attempted


def blocks_of(name):
    return re.findall(r"^```pycon\n(.*?)^```$", (LESSONS / name).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def by_hand(name):
    """The blocks before the one that loads the real model."""
    blocks = blocks_of(name)
    loads = [i for i, block in enumerate(blocks) if block.startswith(LOADS)]
    return blocks[: loads[0]] if loads else blocks


@pytest.mark.parametrize("name", ["07-teaching-tool-calls.md", "08-mcp.md", "12-caching-and-cost.md"])
def test_the_steps_by_hand_print_what_the_chapter_shows(monkeypatch, name):
    monkeypatch.chdir(ROOT)  # chapter 8 starts `python -m step2_tools.own_tool`
    assert run(name, by_hand(name)) > 5


def test_the_steps_with_dspy_print_what_the_chapter_shows():
    pytest.importorskip("dspy")
    assert run("11-dspy.md", blocks_of("11-dspy.md")) > 5


@pytest.mark.real
@pytest.mark.parametrize("name", ["07-teaching-tool-calls.md", "12-caching-and-cost.md"])
def test_the_steps_on_the_real_model_print_what_the_chapter_shows(name):
    assert run(name, blocks_of(name)) > 10
