"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Step = Annotated[str, typer.Option("--step", help="step1 to step5.", show_default=False)]
Isolation = Annotated[
    str | None,
    typer.Option("--isolation", help="sandlock, bubblewrap or rlimits; default: the best that works here."),
]
