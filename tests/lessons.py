"""The commands in the lessons and their sample output: found, run, and written back.

    make docs       runs every command of every README again and puts its output in its place
    python -m tests.lessons step2_tools/README.md evaluate     only that lesson's, with that word in them

A block that starts with ```console holds commands after `$ ` and, below each, what it printed. In a README
`...` stands for lines left out: `make docs` keeps the first lines of such a block (as many as there were).
Each command runs in an empty folder; only what a lesson's commands leave in `runs/` is there for later ones.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("step*/README.md")), ROOT / "classroom" / "README.md"]
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
        words = self.words
        slow = {"bench", "optimize", "calibrate", "quantize", "reflect", "route", "sweep", "likelihood"}
        trained = any(word.startswith("runs/") for word in words)
        on_all = ("evaluate" in words and "--limit" not in words) or (
            "demo" in words and "--smoke" not in words
        )
        return trained or bool(slow & set(words)) or on_all

    def run(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it as a reader would, in `folder`; `python` is this interpreter."""
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
        environment.pop("ROADMAP_DEVICE", None)  # set for the tests only
        assignments = [word for word in self.words if re.match(r"[A-Z_]+=", word)]
        environment |= dict(word.split("=", 1) for word in assignments)
        words = [word for word in self.words if word not in assignments]
        assert words[:2] == ["python", "-m"], f"lessons run modules: {self.command}"
        # The paths of a lesson are those of the repository.
        words = [str(ROOT / word) if word.startswith("step") and "/" in word else word for word in words]
        return subprocess.run(
            [sys.executable, *words[1:]],
            stdin=subprocess.DEVNULL,  # a chat ends at once
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
        )


def examples(text: str) -> list[Example]:
    """Every command of the console blocks of a lesson, in order."""
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


def renew(path: Path, word: str = "") -> None:
    """Run the commands of the lesson (those with `word`); write their output into it, pictures beside it."""
    text = path.read_text(encoding="utf-8")

    def block(match: re.Match[str]) -> str:
        parts = []
        for example in examples(match[0]):
            if word not in example.command:
                parts.append(f"$ {example.command}\n{example.output}")
                continue
            print(f"{path.parent.name}: {example.command}", flush=True)
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
    for readme in chosen or READMES:
        renew(readme, next((each for each in sys.argv[1:] if not each.endswith(".md")), ""))
