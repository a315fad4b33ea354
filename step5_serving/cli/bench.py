"""The commands that measure: engines under load, what quantization costs, how many machines it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli import Dtype, Json, Model, Out, Seed, Smoke, Threads, emit, new_app, settings_from_flags

app = new_app("Measure engines.")

ENGINES = ("torch", "lock")


@app.command()
def bench(
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, torch-int8, torch-no-prefix-cache, torch-no-lookup, lock, llamacpp, vllm, ollama or "
            "an address; repeat it for several."
        ),
    ] = None,
    ask: Annotated[
        str,
        typer.Option(help="open (long texts), rag (questions on repeated sources), quote (copy a source)."),
    ] = "open",
    users: Annotated[str, typer.Option(help="Users at once (closed loop), separated by commas.")] = "1,4,8",
    rate: Annotated[
        str, typer.Option(help="Requests per second (open loop, Poisson), separated by commas.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; every engine takes its turn in each.")] = 3,
    per_user: Annotated[int, typer.Option(min=1, help="Requests of each user in a round.")] = 2,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, max=3600, help="Seconds of a round; no request starts later."),
    ] = 20,
    input_tokens: Annotated[int, typer.Option(min=40, help="Tokens of each prompt.")] = 164,
    output_tokens: Annotated[
        int, typer.Option(min=2, max=4096, help="Largest number of tokens in an answer.")
    ] = 64,
    model: Model = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    out: Out = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare engines: tokens per second and waiting times at several loads."""
    from step5_serving.bench import engines as lesson
    from step5_serving.bench import engines_view as bench_view

    settings = settings_from_flags(smoke, model=model, dtype=dtype, threads=threads, seed=seed)
    numbers = tuple(int(each) for each in _numbers("users", users))
    plan = lesson.Plan(
        tuple(engine or ENGINES),
        (1, 2) if smoke else numbers,
        _numbers("rate", rate),
        1 if smoke else rounds,
        per_user,
        0.2 if smoke else seconds,
        (64 if ask == "open" else 1200) if smoke else input_tokens,
        8 if smoke else output_tokens,
        ask,
    )
    facts = lesson.run(settings, plan, out)
    emit(facts, lambda console: bench_view.show(facts, console), as_json=as_json)


@app.command()
def quantize(
    way: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, int8, 'bnb int8', nf4, 'gguf q8_0' or 'gguf q4_1'; repeat it."),
    ] = None,
    questions: Annotated[int, typer.Option(min=1, max=10, help="Number of answers to compare.")] = 10,
    tokens: Annotated[int, typer.Option(min=2, help="Largest number of tokens in an answer.")] = 32,
    read: Annotated[int, typer.Option(min=2, help="Tokens of the text for the perplexity.")] = 1024,
    model: Model = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare weight formats: memory, tokens per second, perplexity, and changed answers."""
    from step5_serving.bench import quantize as lesson

    settings = settings_from_flags(smoke, model=model, threads=threads)
    size = (3, 8, 128) if smoke else (questions, tokens, read)
    facts = lesson.run(settings, way or lesson.WAYS, *size)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


@app.command()
def capacity(
    bench: Annotated[
        Path, typer.Argument(help="File with the output of `bench --json`.", show_default=False)
    ],
    users: Annotated[
        str, typer.Option(help="Numbers of users, separated by commas.")
    ] = "10,100,1000,10000,100000",
    questions: Annotated[
        float,
        typer.Option(
            "--questions-per-user-hour", min=0.01, max=3600, help="Calls of each user in the busiest hour."
        ),
    ] = 6.0,
    price: Annotated[
        float | None,
        typer.Option("--price-per-hour", min=0, help="Dollars per hour of a machine."),
    ] = None,
    busy_hours: Annotated[
        float, typer.Option(min=1, max=730, help="Hours per month in which people ask.")
    ] = 176.0,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Highest load of a machine, 0 to 1.")
    ] = 0.7,
    within: Annotated[
        float | None, typer.Option(min=0.01, help="Limit of the p95 latency in seconds.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine of the bench; default: its fastest.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Model whose API price is compared; default: Claude.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Estimate machines, waiting time and cost for a number of users, from a bench."""
    from step5_serving.bench import capacity_view

    need = {
        "questions_per_user_hour": questions,
        "price_per_hour": price,
        "busy_hours": busy_hours,
        "target": utilisation,
        "within": within,
    }
    numbers = [int(each) for each in _numbers("users", users)]
    facts = capacity_view.run(bench, need, numbers, engine, model, out)
    emit(facts, lambda console: capacity_view.show(facts, console), as_json=as_json)


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    """`1,4,8`

    Raises:
        UserError: one of them is not a number.
    """
    from shared.errors import UserError

    try:
        return tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError:
        raise UserError(f"--{flag} {text} is not allowed: use numbers like 1,4,8") from None
