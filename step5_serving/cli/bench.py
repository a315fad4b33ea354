"""The commands that measure: engines under load, and what quantization costs."""

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
    users: Annotated[str, typer.Option(help="So many at once: closed loop.")] = "1,4,8",
    rate: Annotated[str, typer.Option(help="So many requests a second: open loop, Poisson.")] = "",
    rounds: Annotated[int, typer.Option(help="Every engine takes its turn so often.")] = 3,
    per_user: Annotated[int, typer.Option(help="Requests of each user a round.")] = 2,
    seconds: Annotated[
        float, typer.Option(help="An open loop lasts so long; a closed one begins nothing afterwards.")
    ] = 20,
    input_tokens: Annotated[int, typer.Option(help="Of each prompt.")] = 164,
    output_tokens: Annotated[int, typer.Option(help="Of each answer, at most.")] = 64,
    rest: Annotated[
        bool, typer.Option("--rest", help="Stop this machine's servers while others have their turn.")
    ] = False,
    model: Model = None,
    dtype: Dtype = None,
    threads: Threads = None,
    seed: Seed = None,
    csv: Annotated[Path | None, typer.Option(help="Leave the rows in this file, too.")] = None,
    out: Out = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Tokens a second and waiting times of engines side by side, at several loads."""
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
        rest,
        ask,
    )
    facts = lesson.run(settings, plan, out, csv)
    emit(facts, lambda console: bench_view.show(facts, console), as_json=as_json)


@app.command()
def quantize(
    way: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16, int8, 'torchao int8', 'bnb int8', nf4, 'gguf q8_0', 'gguf q4_1'."),
    ] = None,
    questions: Annotated[int, typer.Option(help="So many answers are compared.")] = 20,
    tokens: Annotated[int, typer.Option(help="Of each answer, at most.")] = 32,
    read: Annotated[int, typer.Option(help="Tokens of the text whose perplexity is measured.")] = 1024,
    model: Model = None,
    threads: Threads = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Fewer bits: memory, tokens a second, perplexity, and how many answers changed."""
    from step5_serving.bench import quantize as lesson

    settings = settings_from_flags(smoke, model=model, threads=threads)
    plan = lesson.Plan(
        tuple(way or lesson.WAYS),
        3 if smoke else questions,
        8 if smoke else tokens,
        128 if smoke else read,
    )
    facts = lesson.run(settings, plan)
    emit(facts, lambda console: lesson.show(facts, console), as_json=as_json)


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    """`1,4,8`

    Raises:
        UserError: one of them is no number.
    """
    from shared.errors import UserError

    try:
        return tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError:
        raise UserError(f"--{flag} {text} is not allowed: use numbers like 1,4,8") from None
