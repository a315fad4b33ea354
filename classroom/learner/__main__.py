"""Work on the assignment in this folder: what is done, what is next, a hint, a fresh start.

    python -m classroom status        what is solved, what is next
    python -m classroom watch         the same after each save; ends with Ctrl-C
    python -m classroom hint 3.1      the first of three hints; again for the next
    python -m classroom proof         a page with your points, which an instructor can recompute
    python -m classroom reset 3.1     the stub of 3.1 is back; what you had is saved beside it

In a starter this file is `classroom/__main__.py`. Nothing here grades: hidden tests are with your instructor.

exit 0    it worked, whatever is solved
exit 2    something you can put right
exit 130  Ctrl-C
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import rich  # noqa: F401
    import typer
except ModuleNotFoundError as error:  # another Python than that of .venv is the most common slip
    said = f"{sys.executable} has no {error.name}; take the python in .venv (make venv makes it)"
    print(f"error: {said}", file=sys.stderr)
    sys.exit(2)

from classroom.learner.folder import ROOT, Starter
from shared.cli import Json, new_app, run
from shared.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

app = new_app("Work on this assignment: what is done, what is next, a hint, a fresh start.")

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Number of the exercise, such as 3.1.", show_default=False)
]


@app.command()
def status(as_json: Json = False) -> None:
    """Run the public tests: what is solved, what is next."""
    from classroom.learner import status

    starter = Starter.load(ROOT)
    facts = status.facts(starter, status.tried(starter))
    _say(facts, lambda console: status.show(starter, facts, console), as_json)


@app.command()
def hint(
    id: Id,
    every: Annotated[bool, typer.Option("--all", help="Show all three hints.")] = False,
    as_json: Json = False,
) -> None:
    """Show the next of an exercise's three hints."""
    starter = Starter.load(ROOT)
    exercise = starter.exercise(id)
    before, last = starter.hints_seen(exercise.id), len(exercise.hints)
    upto = last if every else min(before + 1, last)
    shown = exercise.hints[0 if every else upto - 1 : upto]
    if upto > before:
        starter.remember_hints(exercise.id, upto)
    places = [asdict(place) for place in starter.places(exercise)]
    facts: dict[str, Any] = {"id": exercise.id, "title": exercise.title, "places": places}
    facts |= {"hints": list(shown), "seen": max(upto, before), "of": last}

    def show(console: Console) -> None:
        console.print(f"{exercise.id} {exercise.title}", style="bold", soft_wrap=True)
        for each in facts["places"]:
            console.print(f"write {each['function']} in {each['file']}:{each['line']}", soft_wrap=True)
        for number, text in enumerate(shown, upto - len(shown) + 1):
            console.print(f"\nhint {number} of {last}: {text}")
        if before == last and not every:
            console.print(f"\nThat was the last one; --all shows all {last}.")

    _say(facts, show, as_json)


@app.command()
def watch() -> None:
    """Run the public tests each time that you save; Ctrl-C ends it."""
    from rich.console import Console

    from classroom.learner import watch

    watch.forever(Starter.load(ROOT), Console(highlight=False, markup=False))


@app.command()
def reset(
    id: Id,
    whole: Annotated[
        bool, typer.Option("--file", help="Restore the whole file, not only the exercise.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Restore an exercise's stub; your version is saved as FILE.bak-1, -2, ..."""
    from classroom.learner import reset

    starter = Starter.load(ROOT)
    exercise = starter.exercise(id)
    new = reset.planned(starter, exercise, whole)
    if new and not yes:
        what = ", ".join(new) if whole else f"{' and '.join(exercise.functions)} in {', '.join(new)}"
        if as_json or not sys.stdin.isatty():
            raise UserError(f"reset takes back what you wrote: {what}; say --yes if you want that")
        if not _sure(f"Take back {what}? What you wrote is saved."):
            raise UserError("nothing was changed")
    facts = {"id": exercise.id, "title": exercise.title, "saved": reset.done(starter, new)}

    def show(console: Console) -> None:
        for file, saved in facts["saved"].items():
            before = f"; what you had is in {saved}" if saved else ""
            console.print(f"{file} is reset{before}", soft_wrap=True)
        if not facts["saved"]:
            console.print(f"{exercise.id} is as it was handed out: there is nothing to reset")

    _say(facts, show, as_json)


@app.command()
def proof(
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("proof.md"),
) -> None:
    """Write a page with your points, files and versions, which an instructor can recompute."""
    from classroom.learner import proof, status

    starter = Starter.load(ROOT)
    facts = status.facts(starter, status.tried(starter))
    try:
        out.write_text(proof.made(starter, facts), "utf-8")
    except OSError as error:
        raise UserError(f"{out} can't be written: {os.strerror(error.errno or 0)}") from None
    print(f"{out}: {facts['public_score']} of {facts['public_points']} points by the public tests")


def _sure(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:
        raise KeyboardInterrupt from None


def _say(facts: dict[str, Any], show: Callable[[Console], None], as_json: bool) -> None:
    """Facts for programs, or a text for people."""
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        from rich.console import Console

        show(Console(highlight=False, markup=False))  # texts hold [brackets]


def main() -> None:
    run(app, "python -m classroom")


if __name__ == "__main__":
    main()
