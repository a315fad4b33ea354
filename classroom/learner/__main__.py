"""Work on the assignment in this folder: which tests pass, what is next, a hint.

    python -m classroom check         as `make check`: the public tests, what is next
    python -m classroom hand-in       as `make hand-in`: packs hand-in.tar.gz
    python -m classroom status        which public tests pass, why others fail, what is next
    python -m classroom status 3.1    all tests of one exercise
    python -m classroom hint 3.1      the first of three hints; again for the next
    python -m classroom proof         a page with your points, which an instructor can recompute

In a starter this file is `classroom/__main__.py`. It runs public tests only: the hidden ones stay in the
repository. Exit codes are those of shared/launch.py.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import shared  # noqa: F401  (before typer: a Python without it ends here, in one line)

# isort: split
import typer

from classroom.learner import hand_in
from classroom.learner.folder import ROOT, Starter
from shared.cli import Json, new_app, plain_console
from shared.errors import UserError
from shared.launch import run

sys.dont_write_bytecode = True  # a .pyc counts as new where its file has the same size and second
app = new_app("Work on this assignment: which tests pass, what is next, a hint.")


@app.command()
def status(
    id: Annotated[
        str, typer.Argument(metavar="[ID]", help="Number of one exercise, such as 3.1: all of its tests.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Run the public tests: which pass, why others fail, what is next."""
    from classroom.learner import status

    starter = Starter.load(ROOT)
    facts = status.run(starter, id)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    elif id:
        status.show_exercise(starter, facts, plain_console())
    else:
        status.show(starter, facts, plain_console())


@app.command()
def check(
    summary: Annotated[
        Path | None, typer.Option(help="Append a Markdown table of the points to this file, as a CI job's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the public tests, as `make check` does; needs neither make nor a shell of Unix."""
    from classroom.learner import status

    starter = Starter.load(ROOT)
    facts = status.run(starter)
    if summary is not None:
        hand_in.append(summary, status.markdown(facts))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        status.show(starter, facts, plain_console())


@app.command("hand-in")
def pack(
    out: Annotated[Path, typer.Option(help="The archive to write.")] = Path(hand_in.NAME),
) -> None:
    """Pack the files that are handed in, as `make hand-in` does."""
    starter = Starter.load(ROOT)
    hand_in.pack(starter, out)
    print(out)


@app.command()
def hint(
    id: Annotated[str, typer.Argument(metavar="ID", help="Number of the exercise, such as 3.1.")],
    as_json: Json = False,
) -> None:
    """Show the next of an exercise's three hints."""
    starter = Starter.load(ROOT)
    exercise = starter.exercise(id)
    seen, last = starter.hints_seen(), len(exercise.hints)
    before = seen.get(exercise.id, 0)
    number = min(before + 1, last)
    if number > before:
        starter.remember_hints(seen | {exercise.id: number})
    text = exercise.hints[number - 1]
    if as_json:
        facts: dict[str, Any] = {"id": exercise.id, "title": exercise.title, "hint": text}
        places = [asdict(place) for place in starter.places(exercise)]
        facts |= {"places": places, "seen": number, "of": last}
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    console = plain_console()
    console.print(f"{exercise.id} {exercise.title}", style="bold", soft_wrap=True)
    for line in starter.lines(exercise):
        console.print(line, soft_wrap=True)
    console.print(f"\nhint {number} of {last}: {text}")
    if before == last:
        console.print("\nThat was the last one.")


@app.command()
def proof(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("proof.md"),
) -> None:
    """Write a page with points, hashes of files, and versions, which an instructor can recompute."""
    from classroom.learner import proof, status

    starter = Starter.load(ROOT)
    facts = status.run(starter)
    try:
        out.write_text(proof.render(starter, facts), "utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or out}: {os.strerror(error.errno or 0)}") from None
    print(f"{out}: {facts['public_score']} of {facts['public_points']} points by the public tests")


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()
