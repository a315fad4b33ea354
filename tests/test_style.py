"""The lessons avoid the words of avoided_words.txt."""

import re

import pytest

from tests.conftest import ROOT
from tests.lessons import LESSONS

LINES = (ROOT / "tests" / "avoided_words.txt").read_text(encoding="utf-8").splitlines()
AVOIDED = dict(line.split(": ", 1) for line in LINES if not line.startswith("#"))
PAGES = [*LESSONS, ROOT / "CONTRIBUTING.md", ROOT / "GLOSSARY.md"]


def avoided_in(text):
    """Each avoided word in the prose of a page, with what to write in its place."""
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = " ".join(prose.split())
    return {word: advice for word, advice in AVOIDED.items() if re.search(rf"\b{word}\b", prose, re.I)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_lesson_avoids_these_words(path):
    assert avoided_in(path.read_text(encoding="utf-8")) == {}


def test_words_are_found_in_prose_across_lines_and_not_in_code():
    assert list(avoided_in("It works in\norder to, Whoever asks.")) == ["whoever", "in order to"]
    assert avoided_in("`whoever`\n```sh\nwhoever\n```\n") == {}
