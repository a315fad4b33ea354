"""The command `grade-class`: every submission of a folder, and everything that an instructor makes of them.

How submissions must be named is in gradebook/attempts.py, which files are made in the README ("5. Return").
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from classroom.cli.options import Isolation, Seed, Step, Variants
from shared.cli import Console, Json, plain_console, plain_table


def grade_class(
    folder: Annotated[
        Path, typer.Argument(help="Folder that holds a folder or an archive for each submission.")
    ],
    step: Step,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Submissions graded at a time, as far as memory allows; default: one per core.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default: FOLDER-graded.")] = None,
    seed: Seed = None,
    variant: Variants = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            help="Deadline, such as 2026-12-01T23:59 or 2026-12-01T23:59+01:00; later ones are marked late."
        ),
    ] = None,
    extensions: Annotated[
        Path | None, typer.Option(help="CSV file of extended deadlines: learner, step, deadline.")
    ] = None,
    take: Annotated[
        Literal["best", "latest"],
        typer.Option(help="Which attempt counts in the grade files and the statistics."),
    ] = "best",
    attempts: Annotated[
        int, typer.Option(min=1, help="Grade only the last attempts of each learner; the others are listed.")
    ] = 20,
    roster: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of who can have a grade: id, name, e-mail, login, section; or as exported by "
            "Canvas's gradebook or Moodle's grading worksheet."
        ),
    ] = None,
    assignment: Annotated[
        str | None,
        typer.Option(help="Title of the assignment in Canvas, or 'Title (id)'; default: the step's."),
    ] = None,
    isolation: Isolation = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="Seconds for all tests of a submission together.")
    ] = 240,
    as_json: Json = False,
) -> None:
    """Grade every submission of a folder; a second run goes on where the first one stopped."""
    from classroom.gradebook import grade_class, report

    options = grade_class.ClassOptions(
        folder=folder,
        step=step,
        home=out or folder.absolute().with_name(f"{folder.absolute().name}-graded"),
        jobs=jobs,
        seed=seed,
        variants=tuple(variant or [0]),
        deadline=deadline,
        extensions=extensions,
        isolation=isolation,
        seconds=seconds,
        attempts=attempts,
        roster=roster,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no grading process is left behind
    facts = report.write(grade_class.run(options), take, assignment)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        show(facts, plain_console())


def show(facts: Mapping[str, Any], console: Console) -> None:
    """What an instructor wants to see first."""
    from classroom.gradebook.statistics import KINDS

    head = f"{facts['attempts']} attempts of {facts['learners']} learners"
    if facts["mean"] is not None:
        head += f": mean {facts['mean']:.1f}, median {facts['median']:g} of {facts['points']} points"
    console.print(head, style="bold")
    kinds = [kind for kind in KINDS if any(each[kind] for each in facts["exercises"])]
    columns = ["points", *(kind.replace("not_attempted", "untried") for kind in kinds)]
    table = plain_table("", *columns, right=columns)
    for each in facts["exercises"]:
        points = "?" if each["mean_points"] is None else f"{each['mean_points']:.1f}"
        counts = [str(each[kind]) for kind in kinds]
        table.add_row(f"{each['id']} {each['title']}", f"{points} of {each['points']}", *counts)
    console.print(table)
    for note in _notes(facts):
        console.print(note, style="yellow", soft_wrap=True)
    if not facts["safe"]:
        console.print(f"isolation {facts['isolation']}: NOT SAFE for submitted code", style="bold red")
    where = f"seed {facts['seed']}, {facts['graded_now']} graded now; {', '.join(facts['files'])}"
    console.print(f"{where} in {facts['out']}", style="dim", soft_wrap=True)


def _notes(facts: Mapping[str, Any]) -> list[str]:
    from classroom.gradebook.attempts import LATE

    notes = [f"nobody solved {each}" for each in facts["nobody_solved"]]
    notes += [f"to be looked at by hand: {key}: {why}" for key, why in facts["by_hand"].items()]
    if facts["late"] is not None:
        notes.append(f"late: {_some(facts['late'])}")
    for key, what in (
        ("late_in_canvas", LATE),
        ("time_unknown", "the time of handing in is unknown"),
        ("ignored", "no submissions"),
        ("not_on_roster", "not graded, for they belong to nobody on the roster"),
        ("missing", "on the roster, but handed nothing in"),
        ("unknown_extensions", "extensions of learners whom nobody, or more than one, is called"),
    ):
        if facts[key]:
            notes.append(f"{what}: {_some(facts[key])}")
    similar = facts["similarity"]
    if similar["problem"]:
        return [*notes, f"the submissions could not be compared: {similar['problem']}"]
    notes.append(f"{similar['pairs']} similar pairs among {similar['compared']} that are compared")
    for pair in similar["most_similar"]:
        shares = f"{pair['similarity of first']:.0%} and {pair['similarity of second']:.0%}"
        notes.append(f"   {pair['first']} and {pair['second']}: {shares}")
    return notes


def _some(names: list[str]) -> str:
    return (", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")) or "nobody"
