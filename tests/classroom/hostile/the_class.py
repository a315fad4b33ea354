"""Grades attackers as a class would be, in a sandbox, with canaries all around.

    python -m tests.classroom.hostile.the_class                         all, in the best sandbox that there is
    python -m tests.classroom.hostile.the_class --isolation rlimits equals_everything segfault

It is the grader, in a process of its own: whatever a submission could do to a grader is done to this one.
One submission holds a file of each attacker, and is graded once: each is an exercise of its own, and after
each an honest function has to get its point in what is left of the process.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classroom import isolation
from classroom.assignment.markers import Place
from classroom.assignment.rubric import Exercise, Mark, RubricTest, rubric_tests_in
from classroom.assignment.spec import Assignment, Task, places_of
from classroom.grading import grade as grading
from classroom.grading import remote
from classroom.grading.draw import Draw
from classroom.grading.remote import Remote
from classroom.grading.result import Item, Result
from classroom.intake.take import take
from classroom.isolation.box import Box, marked
from tests.classroom.hostile import packing, rubric  # noqa: F401  (packing fills the corpus)
from tests.classroom.hostile.corpus import ATTACKS, FILES, ROOT, At, Attack, reference, starter
from tests.classroom.hostile.whole import WHOLE

SECRET = "sk-ant-canary"
SEED = 4711
HINT = ("a", "b", "c")


@dataclass
class Graded:
    """What came of some attackers: what was wrong, in words, by their names; and what was made of it."""

    wrong: dict[str, list[str]]
    results: list[Result]

    def to_json(self) -> str:
        return json.dumps({"wrong": self.wrong, "results": [each.to_dict() for each in self.results]})


@dataclass
class World:
    """What there is around a submission, and what it must not touch."""

    top: Path  # of this grader: everything that it makes
    tcp: socket.socket
    udp: socket.socket
    abstract: socket.socket
    canaries: dict[str, Path]
    boxes: list[Box] = field(default_factory=list)
    token: str = field(default_factory=lambda: f"mark-{secrets.token_hex(6)}")

    def set_up(self, folder: Path) -> None:
        """Canaries, and another submission. They are for all to write to: only a sandbox protects them."""
        for path in (*self.canaries.values(), folder / "eve" / "fuse.py"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
            path.chmod(0o666)
            path.parent.chmod(0o777)
        folder.chmod(0o777)

    def facts(self, folder: Path, name: str) -> dict[str, Any]:
        """All that an attacker of this name could wish to know."""
        return {
            "canaries": [*map(str, self.canaries.values()), str(folder / "eve" / "fuse.py")],
            "grader": os.getpid(),
            "root": str(ROOT),
            "home": os.environ["HOME"],
            "eve": str(folder / "eve" / "fuse.py"),
            "port": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": self.abstract.getsockname()[1:].decode(),
            "token": f"{self.token}-{name}",
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
                if self.token.encode() in (line := path.read_bytes()):
                    found.append(f"process {path.parent.name}: {line[-100:]!r}")
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


# --- many in one submission ---------------------------------------------------------------------------------


def module_of(each: Attack) -> str:
    """Where an attacker's file stands among the step's."""
    return f"step3_rag.{'ingest' if each.of == 'chunk' else 'retrieve'}.{each.name}"


def laid(each: Attack, around: World, folder: Path, submission: Path) -> tuple[list[str], bool]:
    """Put an attacker's file into the submission; the notes of its intake, and whether its others came."""
    at = At(folder / each.name, around.facts(folder, each.name))
    at.folder.mkdir()
    made, notes, others = each.make(at), [], True
    if isinstance(made, str):
        content = made.encode("utf-8", "surrogatepass")
    else:
        intake = take(made or at.ada, list(FILES.values()))
        content = intake.files.get(FILES["fuse"], starter("fuse").encode())
        others = all(
            intake.files.get(FILES[each]) == reference(each).encode() for each in ("metrics", "chunk")
        )
        notes = intake.notes
    path = submission / f"{module_of(each).replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    of = "ingest.chunk" if each.of == "chunk" else "retrieve.fuse"
    sys.modules[module_of(each)] = importlib.import_module(f"step3_rag.{of}")  # the reference of it
    return notes, others


def tests_for(attacks: Sequence[Attack]) -> list[RubricTest]:
    """A test of each attacker, and one of an honest function after it."""
    checks: dict[str, Callable[..., None]] = {
        "rrf": rubric.check_rrf,
        "chunk": rubric.check_chunks,
        "min_max": rubric.check_min_max,
    }

    def attacked(submission: Any, draw: Draw, each: Attack) -> None:
        remote.IMPORT_SECONDS = each.imports
        try:
            checks[each.of](submission, draw, module_of(each))
        finally:
            remote.IMPORT_SECONDS = Attack.imports
            if each.spoils and isinstance(submission, Remote):
                submission.close()

    tests = []
    for number, each in enumerate(attacks, 1):
        mark = Mark(each.name, f"9.{number}", 10, each.timeout, "hidden", each.name, each.name, HINT)
        tests.append(RubricTest(mark, functools.partial(attacked, each=each)))
        mark = Mark(f"after {each.name}", f"9.{number}", 1, 15, "hidden", "An honest one.")
        tests.append(RubricTest(mark, rubric.check_min_max))
    return tests


def grade_together(attacks: Sequence[Attack], around: World, level: str | None) -> Graded:
    """Grade all of them in one run."""
    folder = around.top / "work" / "together"
    around.set_up(folder)
    submission = folder / "all"
    for path in FILES.values():
        (submission / path).parent.mkdir(parents=True, exist_ok=True)
        (submission / path).write_text(reference(Path(path).stem), "utf-8")
    told = {each.name: laid(each, around, folder, submission) for each in attacks}
    tests = tests_for(attacks)
    files = {each.name: f"{module_of(each).replace('.', '/')}.py" for each in attacks}
    tasks = [Task(Exercise("1.1"), tuple((path, Place("1.1", "", "f", 1, 2, "")) for path in FILES.values()))]
    for number, each in enumerate(attacks, 1):
        marks = [test.mark for test in tests if test.mark.id == f"9.{number}"]
        place = Place(f"9.{number}", each.name, "rrf", 1, 2, "")
        tasks.append(Task(Exercise(f"9.{number}", marks), ((files[each.name], place),)))
    tasks[0].exercise.marks.append(Mark("honest", "1.1", 7, 15, "hidden", "Honest.", "Honest", HINT))
    tests.append(RubricTest(tasks[0].exercise.marks[0], rubric.check_min_max))
    result, found = graded(
        submission, folder, Assignment("step3_rag", "", (), "", tuple(tasks)), tests, around, level
    )
    wrong = {"all": found}
    for each, item in zip(attacks, result.items[1:] if result else (), strict=bool(result)):
        wrong[each.name] = problems(each, item, *told[each.name])
    return Graded(wrong, [result] if result else [])


def problems(each: Attack, item: Item, notes: list[str], others: bool) -> list[str]:
    """What did not go as it should with one attacker, in words."""
    attack, after = item.tests
    found = []
    if attack.score != (10 if each.right else 0):
        found.append(f"{attack.score} points")
    if not after.score:
        found.append(f"an honest function after it is {after.status}: {after.cause}")
    if others != each.others:
        found.append("its other files were taken" if others else "its other files were not taken")
    told = "\n".join([attack.cause, *(call.verdict for call in attack.calls), *notes])
    if not re.search(each.cause, told, re.DOTALL | re.MULTILINE):
        found.append(f"no cause like {each.cause!r} in: {told[:1500]}")
    if each.status and attack.status != each.status:
        found.append(f"it is {attack.status!r}, not {each.status!r}")
    return found


# --- one by one ---------------------------------------------------------------------------------------------


def grade_whole(name: str, around: World, level: str | None) -> Graded:
    """Grade a submission by itself."""
    folder, each = around.top / "work" / name, WHOLE[name]
    around.set_up(folder)
    at = At(folder, around.facts(folder, name))
    each.make(at)
    tests, places = rubric_tests_in(Path(rubric.__file__)), places_of(["step3_rag"])
    ids = dict.fromkeys(test.mark.id for test in tests)
    exercises = [Exercise(id, [test.mark for test in tests if test.mark.id == id]) for id in ids]
    tasks = tuple(Task(each, tuple(places[each.id])) for each in exercises)
    made = Assignment("step3_rag", "Step 3", (), "", tasks)
    remote.IMPORT_SECONDS = each.imports
    result, found = graded(at.ada, folder, made, tests, around, level)
    remote.IMPORT_SECONDS = Attack.imports
    if result is None:
        return Graded({name: found}, [])
    told = [test.cause for item in result.items for test in item.tests]
    told += [call.verdict for item in result.items for test in item.tests for call in test.calls]
    if result.score != each.points:
        found.append(f"{result.score} points, where it deserves {each.points}: {told}")
    if not re.search(each.cause, "\n".join(told).strip(), re.DOTALL | re.MULTILINE):
        found.append(f"no cause like {each.cause!r} in: {told}")
    return Graded({name: found}, [result])


def graded(
    submission: Path,
    folder: Path,
    made: Assignment,
    tests: Sequence[RubricTest],
    around: World,
    level: str | None,
) -> tuple[Result | None, list[str]]:
    """Grade a submission; the result, and what it touched or left behind, in words."""
    grading.PRELOAD = {}
    grading.assignment_of = lambda _step: made  # type: ignore[assignment]
    grading.rubric_tests = lambda _step: list(tests)  # type: ignore[assignment]
    around.boxes.clear()

    def opened(tree: Path) -> Box:
        around.boxes.append(isolation.open_worker(tree, level))
        return around.boxes[-1]

    _ = around.kept
    before, result, found = around.state(folder), None, list[str]()
    try:
        result = grading.grade(submission, "step3", SEED, seconds=900, open_worker=opened)
    except BaseException as error:
        found.append(f"the grader crashed: {type(error).__name__}: {error}")
    after = around.state(folder)
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    found += [f"touched: {path}: {before.get(path)} -> {after.get(path)}" for path in changed]
    found += around.visitors() + [f"left behind: {what}" for what in around.left()]
    shutil.rmtree(folder, ignore_errors=True)
    return result, found


def main() -> None:
    """Grade attackers, and say what went wrong; or write it to a file, for the tests."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--isolation", default=None)
    parser.add_argument("--out", type=Path)
    parser.add_argument("names", nargs="*", help="of attackers")
    asked = parser.parse_args()
    names = asked.names or [*ATTACKS, *WHOLE]
    began, wrong, results = time.monotonic(), dict[str, list[str]](), list[Result]()
    with world() as around:
        together = [ATTACKS[name] for name in names if name in ATTACKS]
        done = [grade_together(together, around, asked.isolation)] if together else []
        done += [grade_whole(name, around, asked.isolation) for name in names if name in WHOLE]
    for each in done:
        wrong |= each.wrong
        results += each.results
    if asked.out:
        asked.out.write_text(Graded(wrong, results).to_json())
        return
    for item in (item for each in results for item in each.items):
        print(f"{item.title}: {item.tests[0].score} points, {sum(test.seconds for test in item.tests):.1f} s")
    for name, found in wrong.items():
        print(*(f"WRONG {name}: {each}" for each in found), sep="\n", end="\n" if found else "")
    print(f"{len(names)} attackers, {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
