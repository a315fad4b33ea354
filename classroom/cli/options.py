"""Options that several commands have."""

from typing import Annotated

import typer

Step = Annotated[str, typer.Option(help="step1 to step5.")]
Seed = Annotated[
    int | None, typer.Option(help="Seed of the tests' inputs; default: a new one, which is recorded.")
]
Isolation = Annotated[
    str | None, typer.Option(help="sandlock or rlimits; default: the best that works here.")
]
Variants = Annotated[
    list[int] | None,
    typer.Option(help="Seed with which the assignment was made; repeat it for several. Default: 0."),
]
