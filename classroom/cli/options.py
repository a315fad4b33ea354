"""Options that several commands have."""

from typing import Annotated

import typer

Step = Annotated[str, typer.Option("--step", help="step1 to step5.", show_default=False)]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of the tests' inputs; default: a new one, which is recorded."),
]
Isolation = Annotated[
    str | None,
    typer.Option("--isolation", help="sandlock or rlimits; default: the best that works here."),
]
Variants = Annotated[
    list[int] | None,
    typer.Option(
        "--variant", help="Seed with which the assignment was made; repeat it for several. Default: 0."
    ),
]
