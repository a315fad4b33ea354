"""Grade a class: keep the results that still hold, and grade what changed or is missing with the same seed.

    graded = run(ClassOptions(folder=Path("submissions"), step="step3", home=Path("graded")))

A result is kept under results/ with a hash of all that it depends on: the files that were taken from the
submission, the grader and the reference, the seed, the variants, the isolation. It is written when its
submission is done, so a run may be stopped at any time. What timed out beside other submissions is graded
again alone, at the end or in the next run. A submission whose grading fails gets a result that says so (every
test `broken`), no score, and another try in the next run.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from classroom.assignment.spec import Assignment, classroom_files, sources
from classroom.gradebook import deadline as deadlines
from classroom.gradebook import roster as rosters
from classroom.gradebook.attempts import MOST, Attempt, find
from classroom.gradebook.jobs import run as run_jobs
from classroom.gradebook.roster import Person
from classroom.gradebook.table import Graded
from classroom.grading.draw import new_seed
from classroom.grading.grade import GRACE, assignment_of
from classroom.grading.result import Result, items_of, write_whole
from classroom.grading.runner import TestOutcome
from classroom.intake.harmless import harmless
from classroom.intake.take import take
from classroom.isolation import chosen
from shared.errors import UserError, reason
from shared.hardware import cores
from shared.progress import count_bar, spinner

AGAIN = "a test timed out beside other submissions: this is the second grading, alone"
PER_JOB = 3 << 30  # bytes: a sandbox may hold 2 GiB, and its grader needs the rest
OVERHEAD = 60.0  # seconds for a grading process to start and to end, on a busy machine


@dataclass(frozen=True)
class ClassOptions:
    """What is to be graded, and how."""

    folder: Path
    step: str
    home: Path  # where everything goes
    jobs: int | None = 1  # at a time, where they fit into memory; None: as many as there are cores
    seed: int | None = None
    variants: tuple[int, ...] = (0,)
    deadline: str | None = None
    extensions: Path | None = None  # CSV file: learner, step, new deadline
    isolation: str | None = None
    seconds: float = 240.0
    attempts: int = MOST  # of a learner: the last ones
    roster: Path | None = None  # CSV file: who can have a grade


@dataclass
class Class:
    """A graded class."""

    options: ClassOptions
    assignment: Assignment
    seed: int
    isolation: str
    safe: bool
    graded: list[Graded] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)  # names in the folder that are no submissions
    unknown_extensions: list[str] = field(default_factory=list)  # learners who handed nothing in
    unknown: list[str] = field(default_factory=list)  # submissions of nobody on the roster
    missing: list[Person] = field(default_factory=list)  # people on the roster who handed nothing in


def run(options: ClassOptions) -> Class:
    """Grade what has to be graded.

    Raises:
        UserError: no such folder, step, isolation or time; another run is at work in the same place.
    """
    import filelock

    assignment = assignment_of(options.step)
    if options.extensions and options.deadline is None:
        raise UserError("--extensions moves a deadline: name that with --deadline")
    deadline = None if options.deadline is None else deadlines.parse(options.deadline)
    own = deadlines.extended(options.extensions, assignment.number) if options.extensions else {}
    if options.home.resolve() == options.folder.resolve():
        raise UserError(f"{options.home} holds the submissions: name another --out")
    people = rosters.read(options.roster) if options.roster else None
    found = find(options.folder, [options.home], options.attempts, people)
    if not found.attempts:
        raise UserError(f"no submission belongs to anybody on the roster, for example {found.unknown[0]}")
    with spinner("trying the sandbox"):
        level, safe = chosen(options.isolation)
    try:
        (options.home / "results").mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(options.home / ".lock", timeout=0):
            seed = _seed(options, assignment)
            made = Class(options, assignment, seed, level, safe, ignored=found.ignored)
            made.unknown, made.missing = found.unknown, found.missing
            results = _results(made, found.attempts)
    except filelock.Timeout:
        raise UserError(f"another grade-class is at work in {options.home}: wait for it") from None
    except OSError as error:
        raise UserError(f"{options.home} can't be written to: {reason(error)}") from None
    everybody = [*found.missing, *(attempt.person for attempt in found.attempts)]
    extensions, made.unknown_extensions = deadlines.by_person(own, everybody)
    for attempt in found.attempts:
        late = deadlines.seconds_late(attempt.submitted, extensions.get(attempt.person.key, deadline))
        result, is_new = results[attempt.key]
        made.graded.append(Graded(attempt, result, late, is_new))
    return made


def _seed(options: ClassOptions, assignment: Assignment) -> int:
    """The seed of the class: the option, else the one that was drawn for the first run."""
    path = options.home / "class.json"
    seed = new_seed()
    if path.exists():
        try:
            told = json.loads(path.read_text("utf-8"))
            step, seed = told["step"], int(told["seed"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} can't be read ({reason(error)}): name another --out") from None
        if step != assignment.step:
            raise UserError(f"{options.home} holds results of {step}: name another --out")
    seed = seed if options.seed is None else options.seed
    write_whole(path, json.dumps({"step": assignment.step, "seed": seed}) + "\n")
    return seed


def jobs_that_fit(memory: int | None = None) -> int:
    """How many submissions fit into memory at a time, with their graders."""
    return max(1, (machine_memory() if memory is None else memory) // PER_JOB)


def machine_memory() -> int:
    """Bytes of this machine, or of the container where that has fewer."""
    import psutil

    found = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found = min(found, int(Path("/sys/fs/cgroup", name).read_text()))
    return found


def _results(made: Class, attempts: Sequence[Attempt]) -> dict[str, tuple[Result, bool]]:
    """The result of each attempt, by its key, and whether it is new."""
    grader = _grader(made.assignment)
    hashes = {attempt.key: _hash(made, attempt, grader) for attempt in attempts}
    folder = made.options.home / "results"
    results: dict[str, tuple[Result, bool]] = {}
    missing: dict[str, Attempt] = {}
    for attempt in attempts:
        kept = _read(folder / f"{attempt.key}.json")
        if kept and not Graded(attempt, kept).by_hand and kept.key == hashes[attempt.key]:
            results[attempt.key] = (kept, False)
        else:
            missing[attempt.key] = attempt
    at_once = min(made.options.jobs or cores(), jobs_that_fit())

    def keep(key: str, result: Result, alone: bool) -> None:
        holds = alone or not result.timed_out  # a neighbour may have caused it
        result = replace(result, submission=missing[key].name, key=hashes[key] if holds else "")
        write_whole(folder / f"{key}.json", result.to_json())
        results[key] = (result, True)

    told = f"grading {len(missing)} submissions"
    told += f" ({len(results)} are graded already)" if results else ""
    try:
        for key, result, problem in _grade(made, missing, at_once, told):
            keep(key, result or failed_result(made, missing[key], problem), at_once == 1)
        if again := {key: attempt for key, attempt in missing.items() if not results[key][0].key}:
            for key, result, _ in _grade(made, again, 1, "repeating what timed out, one at a time"):
                if result is not None:
                    keep(key, replace(result, notes=(*result.notes, AGAIN)), True)
    except KeyboardInterrupt:
        done = f"{len(results)} of {len(attempts)} are graded and kept in {made.options.home}"
        print(f"\n{done}; the same command goes on from there", file=sys.stderr)
        raise
    return results


def _grade(
    made: Class, attempts: Mapping[str, Attempt], at_once: int, told: str
) -> Iterator[tuple[str, Result | None, str]]:
    """Grade attempts by their keys: the key of each that ends, its result, or what went wrong."""
    limit = made.options.seconds + 2 * GRACE + OVERHEAD
    with (
        tempfile.TemporaryDirectory(prefix="classroom-class-") as name,
        count_bar(told, len(attempts)) as update,
    ):
        folder = Path(name)
        commands = {key: _command(made, each, folder) for key, each in attempts.items()}
        for done, (key, problem) in enumerate(run_jobs(commands, at_once, limit), 1):
            result = None if problem else _read(folder / f"{key}.json")
            yield key, result, problem or "the grading process left no result"
            update(done, len(attempts))


def _command(made: Class, attempt: Attempt, folder: Path) -> list[str]:
    """The command that grades an attempt into a file in this folder."""
    command = [sys.executable, "-m", "classroom", "grade", str(attempt.path.absolute())]
    command += ["--step", made.assignment.number, "--seed", str(made.seed), "--isolation", made.isolation]
    command += ["--seconds", str(made.options.seconds), "--out", str(folder / f"{attempt.key}.json")]
    for variant in made.options.variants:
        command += ["--variant", str(variant)]
    return command


def _grader(assignment: Assignment) -> str:
    """A hash of all code that a result depends on: the grader, the tests, the reference."""
    whole, files = hashlib.sha256(), classroom_files("**/*.py", "grading/words.txt")
    files |= {name: path.read_bytes() for name, path in sources(assignment.packages).items()}
    for name, content in sorted(files.items()):
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()


def _hash(made: Class, attempt: Attempt, grader: str) -> str:
    """A hash of all that a result depends on."""
    taken = take(attempt.path, made.assignment.files)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(taken.files.items())}
    options = [made.seed, list(made.options.variants), made.isolation, made.options.seconds]
    told = json.dumps([grader, options, files, taken.variant, taken.notes], ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _read(path: Path) -> Result | None:
    """A result that was written before; None if there is none, or it can't be read."""
    try:
        return Result.from_dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def failed_result(made: Class, attempt: Attempt, why: str) -> Result:
    """A result of a submission that could not be graded: no test has a verdict."""
    exercises = made.assignment.exercises
    outcomes = [TestOutcome(mark, "broken", why) for each in exercises for mark in each.marks]
    return Result(
        step=made.assignment.step,
        submission=attempt.name,
        items=items_of(exercises, outcomes),
        seed=made.seed,
        variant=made.options.variants[0],
        isolation=made.isolation,
        safe=made.safe,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        notes=(harmless(f"to be looked at by hand: {why}", 600),),
    )
