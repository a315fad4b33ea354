"""The command `defend`: questions about a learner's own code, for a talk; see gradebook/defend.py."""

from pathlib import Path
from typing import Annotated

import typer

from classroom.cli.options import Isolation, Seed, Step
from shared.errors import UserError


def defend(
    submission: Annotated[Path, typer.Argument(help="A folder, a .zip or a .tar.gz.")],
    step: Step,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Write to this Markdown file; default: print.")] = None,
    isolation: Isolation = None,
) -> None:
    """Write a page of questions about a learner's own code, answered by running it."""
    from classroom.gradebook.defend import defend as ask
    from classroom.grading.draw import new_seed
    from shared.progress import spinner

    seed = new_seed() if seed is None else seed
    with spinner(f"running {submission.name}"):
        text = ask(submission, step, seed, isolation).to_markdown()
    if out is None:
        print(text)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{out} can't be written: {error.strerror}") from None
    print(f"written to {out}: questions first, answers on a page of their own")
