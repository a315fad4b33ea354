"""`injection`: how often the defences hold against instructions in what a tool brings, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.chat import errors as api_errors
from shared.cli import plain_table
from shared.config import Settings
from shared.errors import UserError
from step2_tools.evaluate import injection

if TYPE_CHECKING:
    from rich.console import Console


def run(
    settings: Settings, timeout_s: float, limit: int | None, write_progress: Callable[[str], None] | None
) -> dict[str, Any]:
    """Measure the worst case and the model of the settings.

    Raises:
        UserError: a limit below 1, no key, an API that fails.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit} is not allowed: use 1 or more")
    from shared.chat.client import chat_client

    client = api_errors.with_timeouts(chat_client(settings.model, settings), timeout_s)
    with api_errors.one_line_errors(settings.model, settings):
        table = injection.measure({settings.model: (client, settings.model)}, limit, write_progress)
    worst = ", ".join(
        f"{row['defence']} {row['held']}/{row['n']}" for row in table if row["model"] == "obedient"
    )
    return {"command": "step2_tools injection", "headline": f"obedient: {worst}", "table": table}


def show(facts: dict[str, Any], console: Console) -> None:
    """One line for each defence: attacks that failed, of all, with the 95 % interval; one column a model."""
    names = list(dict.fromkeys(row["model"] for row in facts["table"]))
    table = plain_table("held", *names, right=names)
    for defence in injection.DEFENCES:
        rows = {row["model"]: row for row in facts["table"] if row["defence"] == defence}
        table.add_row(defence, *(_share(rows[name]) for name in names))
    console.print(table)
    console.print("obedient: a script that does what it is told, the worst case", style="dim")


def _share(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['held']}/{row['n']} ({low:.0%}-{high:.0%})"
