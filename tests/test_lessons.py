"""Every command in a README works, and what the README shows is what the command prints."""

import re
import shutil
import subprocess

import pytest

from tests.lessons import READMES, ROOT, Example, examples, renew, shorten, tidy

EXAMPLES = [
    pytest.param(example, id=f"{path.parent.name}: {example.command}")
    for path in READMES
    for example in examples(path.read_text(encoding="utf-8"))
    if not example.is_long  # the tests of the step run the same on less
]
# Commands that print the same on every machine.
EXACT = {"shared", "tokens", "tools", "schema", "prompts", "evaluator"}


def shape(text):
    """An output without its numbers, paddings and ids: speeds differ from run to run."""
    text = re.sub(r"\b(toolu|msg|req)_\w+", r"\1", text)
    return [re.sub(r"[\W\d_]+", " ", line).strip() for line in text.splitlines()]


@pytest.mark.real
@pytest.mark.parametrize("example", EXAMPLES)
def test_commands_of_the_lessons_run_and_print_what_is_shown(example, tmp_path):
    got = example.run(tmp_path)
    assert got.returncode == 0, got.stderr
    printed = shorten(tidy(got.stdout), example.output)
    assert len(printed.splitlines()) == len(example.output.splitlines()), printed
    if EXACT & set(example.words):
        assert printed == example.output
        return
    # Another processor (also one of the same name), or another number of threads, rounds in other places and
    # may choose other words.
    same = sum(a == b for a, b in zip(shape(printed), shape(example.output), strict=True))
    assert same >= 0.5 * len(shape(printed)), printed


def test_what_a_lesson_trains_is_there_for_its_next_commands(tmp_path, monkeypatch):
    def run(self, folder):
        word = self.words[-1]
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
        (folder / word).parent.mkdir(exist_ok=True)
        (folder / word).write_text(word)
        return subprocess.CompletedProcess([], 0, stdout=f"{found}\n", stderr="")

    monkeypatch.setattr(Example, "run", run)
    lesson = tmp_path / "README.md"
    commands = ("runs/a.png", "b.txt", "runs/c.txt")
    blocks = [f"```console\n$ python -m step {each}\n```\n" for each in commands]
    lesson.write_text("\n".join(["![a](pictures/a.png)\n", *blocks]))
    renew(lesson)
    shown = [example.output for example in examples(lesson.read_text())]
    assert shown == ["[]\n", "['runs/a.png']\n", "['runs/a.png']\n"]
    assert (tmp_path / "pictures" / "a.png").exists()
    assert [example.is_long for example in examples(lesson.read_text())] == [True, False, True]


def inline(text):
    """Commands in `code` within the text, and those of sh blocks."""
    found = re.findall(r"`(python -m [^`]+)`", text)
    found += re.findall(r"^\.venv/bin/(python -m [^#\n]+)", text, flags=re.MULTILINE)
    commands = {" ".join(command.split()) for command in found}
    elsewhere = "python -m classroom"  # tests/classroom runs these, in a starter where they belong
    return {
        each
        for each in commands
        if "..." not in each and not each.endswith("--help") and not each.startswith(elsewhere)
    }


INLINE = sorted(
    command
    for command in set().union(*(inline(path.read_text(encoding="utf-8")) for path in READMES))
    if not Example(command, "").is_long
)


@pytest.mark.real
@pytest.mark.parametrize("command", INLINE)
def test_commands_within_the_text_of_the_lessons_run(command, tmp_path):
    got = Example(command, "").run(tmp_path)
    assert got.returncode == 0, got.stderr
    assert got.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_make_knows_every_target_that_the_lessons_name():
    """A dry run: CI runs `test` and `lint` for real, tests of their own what `demo` and `bench` run."""
    text = "".join(path.read_text(encoding="utf-8") for path in READMES)
    targets = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)?)\b(?=[`\s]*(?:`|#|  ))", text))
    assert {"demo", "classroom-demo", "test", "lint", "docs", "bench"} <= targets
    learners = (ROOT / "classroom" / "templates" / "Makefile.jinja").read_text(encoding="utf-8")
    for target in targets - set(re.findall(r"^([a-z-]+):", learners, flags=re.MULTILINE)):
        got = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert got.returncode == 0, got.stderr


def test_links_and_pictures_of_the_lessons_exist():
    for path in READMES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"
