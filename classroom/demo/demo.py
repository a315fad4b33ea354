"""A class of five, from the assignment to the feedback.

    python -m classroom demo --out reports/classroom       make classroom-demo is the same

    assignment/    what learners get (classroom assign)
    submissions/   what five of them handed in (samples.py)
    graded/        the results of grade-class: class.csv, canvas.csv, feedback/, statistics.png, ...

A second run grades only what has changed. No model, no weights and no network are needed.
"""

from pathlib import Path
from typing import Any

from classroom.assignment.spec import assignment
from classroom.demo.samples import DEADLINE, LEARNERS, files_of, hand_in
from classroom.gradebook import grade_class, report
from classroom.handout.starter import MANIFEST, starter, write
from shared.errors import UserError, reason
from shared.progress import spinner

STEP, SEED = "step3", 3
MARK = ".classroom-demo"  # marks a folder of the demo, which may be overwritten
OPEN = {
    "assignment/HANDOUT.md": "what learners read first",
    "submissions/": "what five of them handed in",
    "graded/class.csv": "one row for each attempt; late ones are marked",
    "graded/canvas.csv": "for Canvas's gradebook",
    "graded/feedback/bela.md": "the feedback for Bela",
    "graded/similarity.csv": "whose work is alike",
    "graded/statistics.png": "the results by exercise",
}


def run(out: Path, isolation: str | None = None) -> dict[str, Any]:
    """Make the assignment and the submissions, and grade the class.

    Raises:
        UserError: the folder is not the demo's or can't be written, or this is no clone of the repository.
    """
    a = assignment(STEP)
    with spinner("making the assignment and five submissions"):
        files = starter(a, variant=0)
        _claim(out)
        write(files, out / "assignment", force=True)
        for learner in LEARNERS:
            handed = files_of(learner, a.files) | {MANIFEST: files[MANIFEST]}
            hand_in(learner, handed, out / "submissions")
    options = grade_class.ClassOptions(
        folder=out / "submissions",
        step=STEP,
        home=out / "graded",
        jobs=None,
        seed=SEED,
        deadline=DEADLINE,
        isolation=isolation,
    )
    made = grade_class.run(options)
    graded = report.write(made, take="best", title=None)
    return {
        "command": "classroom demo",
        "headline": f"a class of {graded['learners']}: mean {graded['mean']} of {graded['points']} points",
        "picture": str(out / "graded" / "statistics.png"),
        "out": str(out),
        "learners": _learners(made),
        "open": {name: what for name, what in OPEN.items() if (out / name).exists()},
        "class": graded,
    }


def _claim(out: Path) -> None:
    """Claim a folder that is new, empty, or the demo's own.

    Raises:
        UserError: it is something else.
    """
    try:
        if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
            raise UserError(f"{out} is not empty and not of the demo: name a new folder with --out")
        (out / "submissions").mkdir(parents=True, exist_ok=True)
        (out / MARK).touch()
    except OSError as error:
        raise UserError(f"{out} can't be written: {reason(error)}") from None


def _learners(made: grade_class.Class) -> list[dict[str, Any]]:
    """What each learner handed in, and the points for it."""
    stories = {each.name: each.story for each in LEARNERS}
    return [
        {
            "name": each.attempt.name,
            "handed_in": each.attempt.path.name,
            "late_minutes": round((each.late or 0) / 60),
            "score": None if each.by_hand else each.result.score,
            "points": {item.id: item.score for item in each.result.items},
            "story": stories.get(each.attempt.name, ""),
        }
        for each in made.graded
    ]
