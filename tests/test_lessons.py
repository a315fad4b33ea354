"""Every command in a README works, and what the README shows is what the command prints."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.lessons import READMES, ROOT, examples, shorten, tidy

EXAMPLES = [
    pytest.param(example, id=f"{path.parent.name}: {example.command}")
    for path in READMES
    for example in examples(path.read_text(encoding="utf-8"))
    if "bench" not in example.words  # long: tests/step1/test_bench.py runs it, and looks at its figures
]


def shape(text):
    """An output without its numbers and paddings: they differ from machine to machine."""
    return [re.sub(r"[\W\d_]+", " ", line).strip() for line in text.splitlines()]


@pytest.mark.real
@pytest.mark.parametrize("example", EXAMPLES)
def test_commands_of_the_lessons_run_and_print_what_is_shown(example, tmp_path):
    got = example.run(tmp_path)
    assert got.returncode == 0, got.stderr
    printed = shorten(tidy(got.stdout), example.output)
    assert len(printed.splitlines()) == len(example.output.splitlines()), printed
    if "tokens" in example.words:  # the same on every machine
        assert printed == example.output
    same = sum(a == b for a, b in zip(shape(printed), shape(example.output), strict=True))
    assert same >= 0.5 * len(shape(printed)), printed  # another processor may choose other words


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_other_commands_in_the_text_are_well_formed(path):
    """Commands in `code` and in sh blocks: make targets and modules that exist, options that they know."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines() if line.strip()]
    lines += re.findall(r"`((?:make|python -m) [^`]+)`", text)
    assert lines
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    modules = {}
    for line in lines:
        words = [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)]
        if words[0] == "make":
            assert all(word in targets for word in words[1:]), line
        elif words[:2] == ["python", "-m"] and words[2] in ("shared", "step1_foundations"):
            command = words[2:4] if len(words) > 3 and re.fullmatch(r"[a-z-]+", words[3]) else [words[2]]
            key = " ".join(command)
            if key not in modules:
                helped = subprocess.run(
                    [sys.executable, "-m", *command, "--help"], capture_output=True, text=True
                )
                assert helped.returncode == 0, line
                modules[key] = helped.stdout
            if len(command) == 2:
                assert all(word.split("=")[0] in modules[key] for word in words if word.startswith("--")), (
                    line
                )


def test_links_and_pictures_of_the_lessons_exist():
    for path in READMES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"
