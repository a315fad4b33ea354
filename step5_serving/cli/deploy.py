"""`capacity`: how many machines for how many people, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Json, Out, emit, new_app

app = new_app("Beyond one machine.")


@app.command()
def capacity(
    bench: Annotated[Path, typer.Argument(help="What `bench --json` printed.", show_default=False)],
    users: Annotated[str, typer.Option(help="How many people.")] = "10,100,1000,10000,100000",
    questions: Annotated[
        float, typer.Option("--questions-per-user-hour", help="In the busiest hour, of each.")
    ] = 6.0,
    tokens_in: Annotated[
        int | None, typer.Option(help="Of a prompt, for the API's price; default the bench's.")
    ] = None,
    tokens_out: Annotated[float | None, typer.Option(help="Of an answer; default the bench's.")] = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", help="Dollars for a machine; left out: unknown.")
    ] = None,
    busy_hours: Annotated[float, typer.Option(help="Hours a month in which people ask.")] = 176.0,
    utilisation: Annotated[float, typer.Option(help="How busy a machine may be.")] = 0.7,
    within: Annotated[
        float | None, typer.Option(help="Seconds in which 95 of 100 answers must be there.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Of the bench; default its fastest.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Whose price at the API to compare with; default Claude.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Machines, waiting and dollars over the number of users, from a bench's figures."""
    from step5_serving.bench import capacity_view

    need = {
        "questions_per_user_hour": questions,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "price_per_hour": price,
        "busy_hours": busy_hours,
        "target": utilisation,
        "within": within,
    }
    facts = capacity_view.run(bench, need, _users(users), engine, model, out)
    emit(facts, lambda console: capacity_view.show(facts, console), as_json=as_json)


def _users(text: str) -> list[int]:
    """`10,100`

    Raises:
        UserError: one of them is no whole number.
    """
    from shared.errors import UserError

    try:
        return [int(each) for each in text.split(",") if each.strip()]
    except ValueError:
        raise UserError(f"--users {text[:60]} is not allowed: use whole numbers like 10,100,1000") from None
