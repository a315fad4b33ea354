"""The command `export`: an assignment in the form that another system wants; see export/.

python -m classroom export gradescope step3 --out step3.zip
python -m classroom export actions step3 --out step3-template
python -m classroom export classroom50 step3 --out step3-classroom50
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from classroom.cli.options import Seed, Variants
from shared.cli import Console, Json, emit
from shared.errors import UserError, reason
from shared.progress import spinner

Step = Annotated[str, typer.Argument(help="step1 to step5.")]
Variant = Annotated[int, typer.Option(help="Seed for the numbers and names in this class's copy.")]
Folder = Annotated[Path, typer.Option(help="A new folder.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the folder if it exists.")]

app = typer.Typer(
    help="Write an assignment for Gradescope, GitHub Actions or Classroom 50.", no_args_is_help=True
)


@app.command()
def gradescope(
    step: Step,
    out: Annotated[Path, typer.Option(help="The zip to write.")],
    seed: Seed = None,
    variant: Variants = None,
    as_json: Json = False,
) -> None:
    """Write the zip for Gradescope's autograder. It holds the hidden tests: don't give it to learners."""
    from classroom.assignment.spec import assignment
    from classroom.export import gradescope
    from classroom.grading.draw import new_seed

    if out.suffix != ".zip" or out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: name a .zip file in a folder that exists")
    a = assignment(step)
    seed = new_seed() if seed is None else seed
    with spinner(f"packing {a.number}"):
        packed = gradescope.archive(a, seed, variant or [0])
    try:
        out.write_bytes(packed)
    except OSError as error:
        raise UserError(f"{out} can't be written: {reason(error)}") from None
    facts = _facts("gradescope", a.title, out)
    facts["size"] = gradescope.SIZE
    facts["minutes"] = gradescope.MINUTES
    facts["seed"] = seed
    facts["hidden_tests"] = True
    facts["next"] = [
        f"Gradescope: Configure Autograder, upload it; container size {gradescope.SIZE}, "
        f"timeout {gradescope.MINUTES} minutes",
        "it holds hidden tests and solutions: learners don't see the container, so keep the zip to yourself",
    ]
    emit(facts, show, as_json=as_json)


@app.command()
def actions(
    step: Step, out: Folder, variant: Variant = 0, force: Force = False, as_json: Json = False
) -> None:
    """Write a template repository whose workflow runs the public tests on every push."""
    from classroom.assignment.spec import assignment
    from classroom.export import actions
    from classroom.handout.starter import write

    a = assignment(step)
    with spinner(f"making {a.number}"):
        files = actions.files(a, variant)
    write(files, out, force)
    facts = _facts("actions", a.title, out)
    facts["hidden_tests"] = False
    facts["next"] = [
        "push it to GitHub, and mark the repository as a template (Settings)",
        f"every push of a learner runs {actions.WORKFLOW}: the points are in the job's summary",
        "collect the clones into a folder, one for each learner, and run grade-class on it",
    ]
    emit(facts, show, as_json=as_json)


@app.command()
def classroom50(
    step: Step, out: Folder, variant: Variant = 0, force: Force = False, as_json: Json = False
) -> None:
    """Write a template repository and an autograder for Classroom 50: public tests only."""
    from classroom.assignment.spec import assignment
    from classroom.export import classroom50
    from classroom.handout.starter import write

    a = assignment(step)
    with spinner(f"making {a.number}"):
        files = classroom50.files(a, variant)
    write(files, out, force)
    facts = _facts("classroom50", a.title, out)
    facts["hidden_tests"] = False
    facts["next"] = [f"follow {out / 'CLASSROOM50.md'}"]
    emit(facts, show, as_json=as_json)


def _facts(system: str, title: str, out: Path) -> dict[str, Any]:
    return {
        "command": f"classroom export {system}",
        "headline": f"{title}, for {system}",
        "title": title,
        "out": str(out),
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """What was written, and what to do with it."""
    console.print(f"{facts['title']}: written to {facts['out']}", style="bold", soft_wrap=True)
    for line in facts["next"]:
        console.print(f"- {line}", soft_wrap=True)
    if "seed" in facts:
        console.print(f"seed {facts['seed']}", style="dim")
