"""The `pycon` steps of a chapter, run as one session, print what the chapter shows."""

import doctest
import re

import pytest

from docs.lessons import CHAPTERS, ROOT

# How a step begins that needs the real model.
LOADS = (
    "shared.models",
    "shared.embedded",
    "shared import models",
    "chat_client",
    "load_causal_lm",
    "load_embedder",
    "Reader.load",
    "Embedder(",
    "open_retriever",
    "dspy",
)
SESSIONS = []


def steps_of(chapter):
    text = chapter.read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


for chapter in CHAPTERS:
    steps = steps_of(chapter)
    if steps:
        needs_model = any(name in steps for name in LOADS)
        marks = [pytest.mark.real] if needs_model else []
        SESSIONS.append(pytest.param(chapter, marks=marks, id=f"{chapter.parts[-3]}/{chapter.stem}"))


@pytest.mark.parametrize("chapter", SESSIONS)
def test_the_steps_of_a_chapter_print_what_it_shows(chapter, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ROADMAP_DTYPE", "float32")  # as the README says; bfloat16 may change a word
    monkeypatch.setenv("ROADMAP_HUB", "false")
    space = {"__name__": "__main__"}  # as in `python`; create_model reads it
    session = doctest.DocTestParser().get_doctest(steps_of(chapter), space, chapter.name, str(chapter), 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session)
    assert results.attempted > 1
    assert results.failed == 0
