"""Lessons: every command works, what they show is what commands, modules and rubrics say, in plain words."""

import io
import re
import runpy
import shutil
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from classroom.assignment.spec import assignment
from classroom.handout import excerpts
from docs.drawings import coverage
from docs.lessons import BLOCK, CHAPTERS, LESSONS, ROOT, TIMING, Example, examples, fill_in, shorten, tidy
from shared.report import demo
from tests import avoided_words

TEXTS = {path: path.read_text(encoding="utf-8") for path in LESSONS}
EXAMPLES = []
for lesson, content in TEXTS.items():
    for shown in examples(content):
        if not shown.is_long:  # the tests of the step run the same on less
            EXAMPLES.append(pytest.param(shown, id=f"{lesson.parent.name}: {shown.command}"))
SHOWN = {example.values[0].command for example in EXAMPLES}
ID = re.compile(r"\b(toolu|msg|req)_\w+")  # drawn anew for each message


def lines_of(text):
    """The lines of an output without ids; those with timings or the machine are all alike."""
    return ["..." if TIMING.search(line) else ID.sub(r"\1", line) for line in text.splitlines()]


@pytest.mark.real
@pytest.mark.parametrize("example", EXAMPLES)
def test_commands_of_the_lessons_run_and_print_what_is_shown(example, tmp_path):
    result = example.run(tmp_path)
    assert result.returncode == 0, result.stderr
    printed = shorten(tidy(result.stdout), example.output)
    # Which sandboxes there are depends on the machine.
    if "levels" not in example.words or "sandlock    safe" in printed:
        assert lines_of(printed) == lines_of(example.output)


def test_each_command_has_the_environment_of_its_start(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "PRELOAD", [])  # the command needs no large library
    for seed in ("71", "82"):
        monkeypatch.setenv("ROADMAP_SEED", seed)
        settings = Example("python -m shared config", "").run(tmp_path).stdout
        assert re.search(rf"^seed +{seed} ", settings, re.M)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_code_and_goals_are_those_of_the_modules_and_rubrics(path):
    assert fill_in(path, TEXTS[path]) == TEXTS[path], "run make docs"


def test_an_excerpt_is_a_function_or_method_with_the_first_line_of_its_docstring():
    docstring = '"""One.\n\n        More.\n        """'
    source = f"class A:\n    def f(self) -> int:\n        {docstring}\n        return 1  # noqa: X\n"
    assert excerpts.excerpt(source, "A.f") == 'def f(self) -> int:\n    """One."""\n    return 1'
    with pytest.raises(ValueError, match="which is not in the file"):
        excerpts.excerpt(source, "A.g")


def test_a_picture_shows_the_results_of_the_table_beside_it():
    """A picture carries its results: the table that they give must be the one in the chapter."""
    Image = pytest.importorskip("PIL.Image")
    from step1_foundations.cli import attention, embeddings, logit_lens  # only this test needs step 1

    commands: dict[str, tuple[Any, Any]] = {  # by the name of the picture: its report, and what prints it
        "attention": (attention.AttentionReport, attention.show),
        "embeddings": (embeddings.EmbeddingsReport, embeddings.show),
        "logit-lens": (logit_lens.LensReport, logit_lens.show),
    }
    outputs = set()
    for path in CHAPTERS:
        outputs |= {example.output for example in examples(TEXTS[path])}
    pictures = 0
    for path in (ROOT / "step1_foundations" / "lessons" / "pictures").glob("*.png"):
        report_type, show = commands[path.stem]
        report = TypeAdapter(report_type).validate_json(Image.open(path).text["Description"])
        console = Console(width=100, highlight=False, markup=False, no_color=True)
        with console.capture() as capture:
            show(report, console)
        assert tidy(capture.get()) in outputs, path.name
        pictures += 1
    assert pictures == 3


def test_the_picture_of_coverage_has_the_numbers_of_its_table(tmp_path, monkeypatch):
    drawn = coverage.FILE.read_text(encoding="utf-8")
    monkeypatch.setattr(coverage, "FILE", tmp_path / coverage.FILE.name)
    coverage.main()
    assert coverage.FILE.read_text(encoding="utf-8") == drawn, "run make docs"


def test_each_exercise_stands_in_one_chapter_with_its_points():
    """Of the steps that are written as chapters."""
    for step in sorted({path.parents[1].name for path in CHAPTERS}):
        text = "".join(TEXTS[path] for path in CHAPTERS if path.parents[1].name == step)
        headings = [line for line in text.splitlines() if line.startswith("## Exercise")]
        named = re.findall(r"(\d\.\d+) \((\d+) points\)", "".join(headings))
        expected = [(exercise.id, str(exercise.points)) for exercise in assignment(step).exercises]
        assert sorted(named) == sorted(expected)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.name)
def test_a_chapter_has_its_parts(path):
    headings = re.findall(r"^## (.+)$", TEXTS[path], flags=re.MULTILINE)
    assert headings[0] in ("By hand", "The picture")
    parts = ["The code", "Run it", "Change one thing", "Check yourself"]
    assert [heading for heading in headings if heading in parts] == parts


def test_the_glossary_is_sorted_and_each_term_is_explained_in_its_chapter():
    glossary = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- \*\*(.+?)\*\*: .+ \[.+\]\((.+)\)$", glossary, re.MULTILINE)
    names = [name for name, _ in entries]
    assert names == sorted(names, key=str.lower)
    for name, chapter in entries:
        text = TEXTS[ROOT / chapter]
        assert re.search(rf"\*\*{re.escape(name)}s?\*\*", text, re.IGNORECASE), f"{name} in {chapter}"
    known = {name.lower() for name in names}
    for path in CHAPTERS:
        prose = re.sub(r"^```.*?^```$", "", TEXTS[path], flags=re.DOTALL | re.MULTILINE)
        for term in re.findall(r"\*\*([^*]+)\*\*", prose):
            assert term.lower() in known or term.lower().removesuffix("s") in known, f"{term} in {path.name}"


PAGES = [*LESSONS, ROOT / "CONTRIBUTING.md", ROOT / "GLOSSARY.md", ROOT / "docs" / "site" / "home.md"]


def avoided_in(text):
    """Each avoided word in the prose of a page, with what to write in its place."""
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = " ".join(prose.split())
    advice = avoided_words.TEXTS
    return {word: advice[word] for word in advice if re.search(rf"\b{word}\b", prose, re.I)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_page_avoids_the_words_of_avoided_words(path):
    assert avoided_in(path.read_text(encoding="utf-8")) == {}


def test_words_are_found_in_prose_across_lines_and_not_in_code():
    assert list(avoided_in("It works in\norder to, Whoever asks.")) == ["whoever", "in order to"]
    assert avoided_in("`whoever`\n```sh\nwhoever\n```\n") == {}


def inline(path, text):
    """Commands in `code` within the text, and those of a README's sh blocks; not those of an output."""
    text = BLOCK.sub("", text)
    commands = re.findall(r"`(python -m [^`]+)`", text)
    if path.name == "README.md":
        commands += re.findall(r"^(python -m (?:shared|step)[^#\n]+)", text, flags=re.MULTILINE)
    # Other tests run these: in a starter where they belong, or on services that are not the real ones.
    elsewhere = re.compile(
        r"python -m (classroom|step2_tools\.minimal|step2_tools mcp|step5_serving serve)|.*(\.\.\.|--help$)"
        r"|python -m step3_rag\.minimal$"  # chapter 2 shows its output
    )
    commands = [" ".join(command.split()) for command in commands]
    return {command for command in commands if not elsewhere.match(command)}


NAMED = set().union(*[inline(path, text) for path, text in TEXTS.items()]) - SHOWN
INLINE = sorted(command for command in NAMED if not Example(command, "").is_long)


@pytest.mark.real
@pytest.mark.parametrize("command", INLINE)
def test_commands_within_the_text_of_the_lessons_run(command, monkeypatch, capfd):
    """In this process: what one has imported and loaded, the next need not."""
    example = Example(command, "")
    for name, value in example.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", example.arguments)
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # a chat ends at once
    code: object = None
    try:
        runpy.run_module(example.arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    out, err = capfd.readouterr()
    assert not code, err
    assert out


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_make_knows_every_target_that_the_lessons_name():
    """A dry run: CI runs `test` and `lint` for real, tests of their own what `demo` and `bench` run."""
    texts = [*LESSONS, ROOT / "CONTRIBUTING.md"]
    text = "".join(path.read_text(encoding="utf-8") for path in texts)
    targets = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)?)\b(?=[`\s]*(?:`|#|  ))", text))
    assert {"demo", "classroom-demo", "test", "lint", "docs", "bench"} <= targets
    learners = (ROOT / "classroom" / "handout" / "templates" / "Makefile.jinja").read_text(encoding="utf-8")
    ours = targets - set(re.findall(r"^([a-z-]+):", learners, flags=re.MULTILINE))
    result = subprocess.run(["make", "-n", *ours], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
