"""Grades cases of the corpus as a class would be, each in its own sandbox, with canaries all around.

    python -m tests.classroom.hostile.the_class                         all, in the best sandbox that there is
    python -m tests.classroom.hostile.the_class --isolation other-uid equals_everything segfault
    python -m tests.classroom.hostile.the_class --real                  with step 3's own tests: minutes

It is the grader, in a process of its own: whatever a submission could do to a grader is done to this one.
For each case it writes a line of JSON: the result, what was touched outside, and what still runs.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import importlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classroom import isolation
from classroom.assignment.quiet import quietly
from classroom.assignment.rubric import Exercise
from classroom.assignment.spec import Assignment, Task, places_of
from classroom.grading import grade as grading
from classroom.grading import remote
from classroom.grading.plugin import RubricPlugin
from classroom.grading.result import Result
from classroom.isolation.box import Box, marked
from tests.classroom.hostile.kit import CASES, ROOT, At, Case

KINDS = (
    "honest",
    "values",
    "replies",
    "answers",
    "drivers",
    "endings",
    "greed",
    "outside",
    "packing",
    "words",
)
SECONDS = 60.0  # for all tests of a submission
SECRET = "sk-ant-canary"
SEED = 4711

for kind in KINDS:
    importlib.import_module(f"tests.classroom.hostile.{kind}")


@dataclass
class Graded:
    """What came of a case."""

    name: str
    result: Result | None
    seconds: float
    error: str = ""  # the grader's own
    touched: list[str] = field(default_factory=list)  # outside
    left: list[str] = field(default_factory=list)  # processes and folders

    def to_line(self) -> str:
        told = {**self.__dict__, "result": self.result and self.result.to_dict()}
        return json.dumps(told) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Graded:
        told = json.loads(line)
        result = told.pop("result")
        return cls(result=result and Result.from_dict(result), **told)


@dataclass
class World:
    """What there is around a submission, and what it must not touch."""

    top: Path  # of this grader: everything that it makes
    tcp: socket.socket
    udp: socket.socket
    abstract: socket.socket
    canaries: dict[str, Path]
    boxes: list[Box] = field(default_factory=list)
    token: str = ""

    def set_up(self, folder: Path) -> None:
        """Canaries, and another submission. They are for all to write to: only a sandbox protects them."""
        self.token = f"mark-{secrets.token_hex(6)}"
        for path in (*self.canaries.values(), folder / "eve" / "fuse.py"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
            path.chmod(0o666)
            path.parent.chmod(0o777)
        folder.chmod(0o777)

    def facts(self, folder: Path) -> dict[str, Any]:
        """All that an attacker could wish to know."""
        return {
            "canaries": [*map(str, self.canaries.values()), str(folder / "eve" / "fuse.py")],
            "grader": os.getpid(),
            "root": str(ROOT),
            "home": os.environ["HOME"],
            "eve": str(folder / "eve" / "fuse.py"),
            "port": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": self.abstract.getsockname()[1:].decode(),
            "token": self.token,
            "libraries": str(Path(json.__file__).parents[1]),
        }

    def state(self, folder: Path) -> dict[str, str]:
        """What must stay: canaries with what lies beside them, the submission, the repository's step."""
        roots = [folder, *{path.parent for path in self.canaries.values()}]
        paths = {each for root in roots for each in (root, *root.rglob("*"))}
        paths |= {*(ROOT / "step3_rag").glob("*.py"), *(ROOT / "classroom" / "rubrics").glob("*.py")}
        return {str(path): _told(path) for path in paths}

    def visitors(self) -> list[str]:
        """Who came by the network."""
        found = []
        for name in ("tcp", "udp", "abstract"):
            with contextlib.suppress(BlockingIOError):
                listening: socket.socket = getattr(self, name)
                listening.recv(10) if name == "udp" else listening.accept()
                found.append(f"somebody came by {name}")
        return found

    def left(self) -> list[str]:
        """What stays behind, though it was given a moment to go."""
        deadline = time.monotonic() + 5
        while (found := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _left(self) -> list[str]:
        """Processes, by their users, their folders, and the mark of this case; folders."""
        found = [f"process {pid} of a sandbox" for box in self.boxes for pid in marked(box._place)]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if self.token.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                    found.append(f"process {path.parent.name} with the mark")
        found += [f"folder {each.name}" for each in (self.top / "tmp").iterdir() if each not in self.kept]
        return found

    @functools.cached_property
    def kept(self) -> set[Path]:
        """What was in the folder for temporary files before."""
        return set((self.top / "tmp").iterdir())


def _told(path: Path) -> str:
    """A file's kind, mode, times and contents, in a word."""
    try:
        facts = path.lstat()
    except OSError as error:
        return type(error).__name__
    content = b""
    if stat.S_ISREG(facts.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(facts.st_mode):
        content = os.fsencode(os.readlink(path))  # noqa: PTH115
    changed = facts.st_mtime_ns if stat.S_ISREG(facts.st_mode) else 0
    return f"{facts.st_mode:o} {facts.st_uid} {changed} {hashlib.sha256(content).hexdigest()[:16]}"


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Canaries in a home, in the repository, in /tmp; somebody who listens; a key in the environment."""
    top = Path(tempfile.mkdtemp(prefix="hostile-"))
    home, in_repository = top / "home", ROOT / ".pytest_cache" / f"hostile-{os.getpid()}"  # which git ignores
    before = dict(os.environ)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top, ignore_errors=True)
        stack.callback(shutil.rmtree, in_repository, ignore_errors=True)
        for folder in (home / ".ssh", in_repository, top / "tmp", top / "work", top / "beside"):
            folder.mkdir(parents=True)
        canaries = {
            "home": home / ".ssh" / "id_ed25519",
            "repository": in_repository / "canary",
            "tmp": top / "beside" / "canary",
        }
        for folder in (top, home, top / "tmp", top / "work"):
            folder.chmod(0o777)
        os.environ.update(HOME=str(home), TMPDIR=str(top / "tmp"), ANTHROPIC_API_KEY=SECRET)
        stack.callback(os.environ.update, before)
        tempfile.tempdir = None
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0hostile-{os.getpid()}")
        abstract.listen()
        for each in (tcp, udp, abstract):
            each.setblocking(False)
        yield World(top, tcp, udp, abstract, canaries)


@functools.cache
def small(rubric: str, timeout: float, folder: Path) -> tuple[Assignment, Path]:
    """An assignment of a few exercises, and its tests."""
    tests = folder / f"{rubric}_{timeout:g}".replace(".", "_") / "rubric.py"
    tests.parent.mkdir()
    source = Path(__file__).with_name(f"{rubric}.py").read_text("utf-8")
    tests.write_text(source.replace("TIMEOUT = 15", f"TIMEOUT = {timeout:g}"), "utf-8")
    found = RubricPlugin(lambda _mark: None, 0, 0)  # type: ignore[arg-type,return-value]
    quietly([str(tests), "--collect-only"], [found])
    places = places_of(["step3_rag"])
    ids = sorted({mark.id for mark in found.marks})
    exercises = [Exercise(id, [mark for mark in found.marks if mark.id == id]) for id in ids]
    tasks = tuple(Task(each, tuple(places[each.id])) for each in exercises)
    return Assignment("step3_rag", "Step 3", (), "", tasks, ()), tests


def graded(each: Case, around: World, level: str | None, real: bool) -> Graded:
    """Have a case grade itself."""
    folder = around.top / "work" / each.name
    around.set_up(folder)
    at = At(folder, around.facts(folder))
    submission = each.make(at) or at.ada
    if not real:
        made, tests = small(each.rubric, each.timeout, around.top)
        grading.PRELOAD = {}
        grading.assignment_of = lambda _step: made  # type: ignore[assignment]
        grading.files_of = lambda _step: [tests]  # type: ignore[assignment]
    remote.IMPORT_SECONDS = each.imports
    around.boxes.clear()

    def opened(tree: Path) -> Box:
        around.boxes.append(isolation.open_worker(tree, level))
        return around.boxes[-1]

    _ = around.kept
    before, began = around.state(folder), time.monotonic()
    done = Graded(each.name, None, 0.0)
    try:
        done.result = grading.grade(submission, "step3", seed=SEED, seconds=SECONDS, open_worker=opened)
    except BaseException as error:
        done.error = f"{type(error).__name__}: {error}"
    done.seconds = round(time.monotonic() - began, 2)
    after = around.state(folder)
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    done.touched = [
        f"{path}: {before.get(path)} -> {after.get(path)}" for path in changed
    ] + around.visitors()
    done.left = around.left()
    shutil.rmtree(folder, ignore_errors=True)
    return done


def wrong(each: Case, done: Graded, real: bool = False) -> list[str]:
    """What did not go as it should, in words; nothing: the grader held."""
    if done.result is None:
        return [f"the grader crashed: {done.error}"]
    found = [f"touched: {what}" for what in done.touched] + [f"left behind: {what}" for what in done.left]
    due = each.points or sum(item.points for item in done.result.items if item.id in each.earns)
    if done.result.score != due and not (real and (each.points is not None or each.rubric != "rubric")):
        told = "; ".join(
            f"{item.id} {item.score} of {item.points} {item.cause}" for item in done.result.items
        )
        found.append(f"{done.result.score} points, where it deserves {due}: {told}")
    told = causes(done.result)
    nothing = each.cause == "^$" and not real  # is to be said
    if told if nothing else not re.search(each.cause, told, re.DOTALL | re.MULTILINE):
        found.append(f"no cause like {each.cause!r} in: {told[:1500]}")
    status = done.result.items[0].tests[0].status
    if each.status and status != each.status:
        found.append(f"3.1 is {status!r}, not {each.status!r}")
    if done.seconds > SECONDS:
        found.append(f"it took {done.seconds} s")
    return found


def causes(result: Result) -> str:
    """All that a result says of what went wrong."""
    tests = [test for item in result.items for test in item.tests]
    calls = [call.verdict for test in tests for call in test.calls]
    return "\n".join([*(test.cause for test in tests), *calls, *result.notes, result.output]).strip()


def main() -> None:
    """Grade cases, and say what went wrong; or write lines to a file, for the tests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--isolation", default=None)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--lines", type=Path)
    parser.add_argument("names", nargs="*", help="of cases, or of the files that they stand in")
    asked = parser.parse_args()
    known = {*CASES, *KINDS}
    assert known.issuperset(asked.names), f"known are {sorted(known)}"
    names = [name for name, each in CASES.items() if not asked.names or {name, each.kind} & set(asked.names)]
    failed, began = 0, time.monotonic()
    with world() as around, asked.lines.open("w") if asked.lines else contextlib.nullcontext() as lines:
        for name in names:
            done = graded(CASES[name], around, asked.isolation, asked.real)
            if lines:
                lines.write(done.to_line())
                lines.flush()
                continue
            problems = wrong(CASES[name], done, asked.real)
            failed += bool(problems)
            score = done.result.score if done.result else "no"
            print(f"{name}: {score} points, {done.seconds} s", *problems, sep="\n    ", flush=True)
    print(f"{len(names)} cases, {failed} wrong, {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
