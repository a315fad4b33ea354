"""Grades attackers as a class would be, in a sandbox, with canaries around; for test_hostile.py, or by hand:

    python -m tests.classroom.hostile.the_class sandlock                         all
    python -m tests.classroom.hostile.the_class rlimits equals_everything segfault

It is a grader in a process of its own, so that a submission can harm no other. One submission holds a file of
each attacker, and is graded once: each attacker is an exercise of its own, and after each one an honest
function has to get its point in the same process.
"""

import contextlib
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
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from classroom import isolation
from classroom.assignment.rubric import Exercise, Mark, RubricTest
from classroom.assignment.spec import Assignment
from classroom.grading import grade as grading
from classroom.grading import remote
from classroom.intake.take import take
from classroom.isolation.box import marked
from classroom.rubrics.step3_public import ranking, words
from tests.classroom.hostile import packing  # noqa: F401  (fills the corpus)
from tests.classroom.hostile.corpus import ATTACKS, FILES, ROOT, At, Attack, reference, starter
from tests.classroom.rubric_helpers import wait_for

SECRET = "sk-ant-canary"


@dataclass
class World:
    """The surroundings of a submission, which it must not touch."""

    top: Path  # of this grader: everything that it makes
    facts: dict  # all that an attacker may want to know
    boxes: list = field(default_factory=list)

    def state(self):
        """What must not change: canaries and the files beside them, the submission, the repository's step."""
        roots = [self.top / "work", *{Path(each).parent for each in self.facts["canaries"]}]
        paths = {each for root in roots for each in (root, *root.rglob("*"))}
        paths |= {*(ROOT / "step3_rag").glob("*.py"), *(ROOT / "classroom" / "rubrics").glob("*.py")}
        return {path: _told(path) for path in paths if os.path.lexists(path)}

    def left(self):
        """What is left: processes, by their users, their folders, and the mark of this case; folders."""
        found = [f"process {pid} of a sandbox" for box in self.boxes for pid in marked(box._place)]
        for each in psutil.process_iter(["cmdline"]):
            if self.facts["token"] in (line := " ".join(each.info["cmdline"] or ())):
                found.append(f"process {each.pid}: {line[-100:]!r}")
        return found + [f"folder {each.name}" for each in (self.top / "tmp").iterdir()]


def _told(path):
    """A file's mode, owner, time and contents."""
    facts = path.lstat()
    if stat.S_ISREG(facts.st_mode):
        return facts.st_mode, facts.st_uid, facts.st_mtime_ns, path.read_bytes()
    return facts.st_mode, facts.st_uid, path.readlink() if path.is_symlink() else None


@contextlib.contextmanager
def world():
    """Canaries in a home, in the repository, in /tmp, beside a submission; a listening socket; a key.

    All users may write to the canaries: only a sandbox stops that.
    """
    top = Path(tempfile.mkdtemp(prefix="hostile-"))
    home, in_repository = top / "home", ROOT / ".pytest_cache" / f"hostile-{os.getpid()}"  # which git ignores
    eve = top / "work" / "eve" / "fuse.py"
    canaries = [home / ".ssh" / "id_ed25519", in_repository / "canary", top / "beside" / "canary", eve]
    (top / "tmp").mkdir()
    with contextlib.ExitStack() as stack:
        for folder in (top, in_repository):
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for path in canaries:
            path.parent.mkdir(parents=True)
            path.write_text(SECRET)
            path.chmod(0o666)
        for folder in (top, home, top / "tmp", top / "work", *(path.parent for path in canaries)):
            folder.chmod(0o777)
        os.environ.update(HOME=str(home), TMPDIR=str(top / "tmp"), ANTHROPIC_API_KEY=SECRET)
        tempfile.tempdir = None
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        facts = {
            "canaries": [*map(str, canaries)],
            "grader": os.getpid(),
            "root": str(ROOT),
            "home": str(home),
            "eve": str(eve),
            "port": listening.getsockname()[1],
            "token": f"mark-{secrets.token_hex(6)}",
        }
        yield World(top, facts)


def module_of(each):
    """The module of an attacker's file among those of the step."""
    return f"step3_rag.{'ingest' if each.of == 'chunk' else 'retrieve'}.{each.name}"


def laid(each, facts, submission):
    """Put an attacker's file into the submission; its intake's notes, and whether its other files came."""
    at = At(submission.parent / each.name, {**facts, "token": f"{facts['token']}-{each.name}"})
    at.folder.mkdir()
    made, notes, others = each.make(at), [], True
    if isinstance(made, str):
        content = made.encode("utf-8", "surrogatepass")
    else:
        intake = take(made or at.ada, list(FILES.values()))
        content = intake.files.get(FILES["fuse"], starter("fuse").encode())
        others = all(
            intake.files.get(FILES[name]) == reference(name).encode() for name in ("metrics", "chunk")
        )
        notes = intake.notes
    path = submission / f"{module_of(each).replace('.', '/')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    of = "ingest.chunk" if each.of == "chunk" else "retrieve.fuse"
    sys.modules[module_of(each)] = importlib.import_module(f"step3_rag.{of}")  # the reference of it
    return notes, others


def check_rrf(submission, draw, module):
    """Any rankings."""
    for n in (2, 3, 4):
        candidates = draw.words(9)
        rankings = [ranking(draw, candidates, draw.randint(2, 7)) for _ in range(n)]
        submission.check(f"{module}:rrf", rankings, k=draw.randint(1, 60))


def check_min_max(submission, draw, module="step3_rag.retrieve.fuse"):
    """Weighted sums, and a weight for each."""
    for n in (1, 2, 3):
        rankings = [ranking(draw, draw.words(9), 5) for _ in range(n)]
        for weights in ([draw.random() for _ in rankings], [0.5] * (n + 1)):
            submission.check(f"{module}:min_max", rankings, weights)


def check_chunks(submission, draw, module):
    """A text, and a function of the grader's that cuts it into tokens."""
    for _ in range(3):
        text = " ".join(draw.sentence(draw.randint(2, 7)) for _ in range(8))
        submission.check(f"{module}:chunk", text, words, size=draw.randint(10, 20), overlap=4)


CHECKS = {"rrf": check_rrf, "chunk": check_chunks, "min_max": check_min_max}


def tests_for(number, each):
    """A test of an attacker, and one of an honest function after it."""

    def attacked(submission, draw):
        remote.IMPORT_SECONDS = each.imports
        try:
            CHECKS[each.of](submission, draw, module_of(each))
        finally:
            remote.IMPORT_SECONDS = Attack.imports
            if each.spoils:
                submission.close()

    mark = Mark(each.name, f"9.{number}", 10, each.timeout, "hidden", each.name)
    after = Mark(f"after {each.name}", f"9.{number}", 1, 15, "hidden", "An honest one.")
    return [RubricTest(mark, attacked), RubricTest(after, check_min_max)]


def grade_together(attacks, around, level):
    """Grade all of them in one run: what was wrong, and the result."""
    submission = around.top / "work" / "all"
    for name, path in FILES.items():
        (submission / path).parent.mkdir(parents=True, exist_ok=True)
        (submission / path).write_text(reference(name), "utf-8")
    told = [laid(each, around.facts, submission) for each in attacks]
    tests, exercises = [], [Exercise("1.1", "", [], [*FILES.values()], [], [])]
    for number, each in enumerate(attacks, 1):
        own = tests_for(number, each)
        tests += own
        file, marks = f"{module_of(each).replace('.', '/')}.py", [test.mark for test in own]
        exercises.append(Exercise(f"9.{number}", each.name, [], [file], ["rrf"], marks))
    made = Assignment("step3_rag", "", (), "", tuple(exercises))
    grading.PRELOAD = {}
    grading.assignment_of = lambda _step: made
    grading.rubric_tests = lambda _step: tests

    def opened(tree, _level):
        around.boxes.append(isolation.open_worker(tree, level))
        return around.boxes[-1]

    grading.open_worker = opened
    before, result, found = around.state(), None, []
    try:
        result = grading.grade(submission, "step3", 4711, seconds=900)
    except BaseException as error:
        found.append(f"the grader crashed: {type(error).__name__}: {error}")
    after = around.state()
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    found += [f"touched: {path}: {before.get(path)} -> {after.get(path)}"[:300] for path in changed]
    wait_for(lambda: not around.left(), 5)
    found += [f"left behind: {what}" for what in around.left()]
    wrong = {"all": found}
    for each, item, facts in zip(attacks, result.items[1:] if result else (), told, strict=bool(result)):
        wrong[each.name] = problems(each, item, *facts)
    return wrong, result


def problems(each, item, notes, others):
    """What went wrong with one attacker, as texts."""
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


def main():
    """Grade attackers, and print what went wrong, and the result, as JSON."""
    level, *names = sys.argv[1:]
    with world() as around:
        wrong, result = grade_together([ATTACKS[name] for name in names or ATTACKS], around, level)
    print(json.dumps({"wrong": wrong, "result": result and result.to_dict()}))


if __name__ == "__main__":
    main()
