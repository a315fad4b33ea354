"""The zip that Gradescope's autograder expects, for one step.

    archive(assignment("step3"), seed=4711, variants=[0])        bytes

    setup.sh  run_autograder                what Gradescope calls
    job.json  requirements.txt  constraints.txt  INSTRUCTOR.md
    classroom/  shared/  step3_rag/         the grader with the hidden tests, and the reference

Learners don't see the container, so the solutions may be in it.
"""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from packaging.requirements import Requirement

from classroom.assignment.spec import ROOT, Assignment, classroom_files, sources
from classroom.export.rendering import render, zipped
from classroom.handout.texts import needed_extras, project
from shared.errors import UserError

EXECUTABLE = ("setup.sh", "run_autograder")
UNUSED = (".png", ".svg", ".safetensors", ".gif")
NOT_THERE = ("classroom/cli/", "classroom/demo/", "classroom/handout/", "classroom/learner/")
FOR_GRADING = {"packaging", "pytest", "sandlock"}  # of the extra `classroom`
SECONDS = 300  # for all tests of a submission
MINUTES = 10  # of Gradescope's own limit: the smallest


SIZE = (
    "2 CPU, 3 GB"  # of Gradescope's sizes, 768 MB to 6 GB: a submission may take 2 GiB before it is stopped
)
# MiB at the peak while the reference is graded, grader and sandbox together: measured once, on Linux.
USED = {"step1": 590, "step2": 173, "step3": 215, "step4": 581, "step5": 469}


def archive(a: Assignment, seed: int, variants: Sequence[int] = (0,)) -> bytes:
    """The zip of a step.

    Raises:
        UserError: this is no clone of the repository.
    """
    return zipped(files(a, seed, variants), EXECUTABLE)


def files(a: Assignment, seed: int, variants: Sequence[int]) -> dict[str, bytes]:
    """Everything in the zip, by path.

    Raises:
        UserError: this is no clone of the repository.
    """
    if not (ROOT / "constraints.txt").exists():
        raise UserError(f"constraints.txt is not at {ROOT}: export works in a clone of the repository")
    job = {"step": a.number, "seed": seed, "variants": list(variants), "seconds": SECONDS}
    texts = {
        "a": a,
        "points": sum(exercise.points for exercise in a.exercises),
        "size": SIZE,
        "used": USED[a.number],
        "minutes": MINUTES,
        "seconds": SECONDS,
        "seed": seed,
    }
    own = {name: render(name, **texts) for name in (*EXECUTABLE, "INSTRUCTOR.md")}
    own["job.json"] = (json.dumps(job) + "\n").encode()
    own["requirements.txt"] = requirements(a)
    own["constraints.txt"] = (ROOT / "constraints.txt").read_bytes()
    own["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    return _steps(a) | _grader(a) | own


def requirements(a: Assignment) -> bytes:
    """What pip installs for grading a step."""
    lines: set[str] = set(project()["project"]["dependencies"])
    for name, extra in needed_extras([a.number, "classroom"]).items():
        for line in extra:
            requirement = Requirement(line)
            for_class_only = name == "classroom" and requirement.name not in FOR_GRADING
            if requirement.name != "llm-roadmap" and not for_class_only:
                lines.add(line)
    return ("\n".join(sorted(lines)) + "\n").encode()


def _steps(a: Assignment) -> dict[str, bytes]:
    """The step and what it needs, without pictures, weights and chapters."""
    packed = {}
    for name, path in sources(a.packages).items():
        if not name.endswith(UNUSED) and "/lessons/" not in name:
            packed[name] = path.read_bytes()
    return packed


def _grader(a: Assignment) -> dict[str, bytes]:
    """The part of `classroom` that grades, with the tests of this step only."""
    everything = classroom_files("**/*.py", "grading/words.txt", f"rubrics/{a.number}.toml")
    packed = {}
    for name, content in everything.items():
        path = PurePosixPath(name)
        of_a_step = path.parts[1] in ("rubrics", "drivers") and path.name != "__init__.py"
        of_another = of_a_step and not path.name.startswith(a.number)
        if not name.startswith(NOT_THERE) and not of_another:
            packed[name] = content
    return packed
