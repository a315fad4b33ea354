"""The commands that measure: engines under load, what quantization costs, how many machines it takes."""

from typing import Annotated, Any, Literal

from typer import Argument, Option

from shared.cli import Json, Model, Out, Smoke, emit, new_app, settings_from_flags

app = new_app("Measure engines.")

ENGINES = ("torch", "lock")


@app.command()
def bench(
    engine: Annotated[
        list[str] | None,
        Option(help="torch[-int8, -no-prefix-cache, -no-lookup], lock, or one of serve's; repeatable."),
    ] = None,
    ask: Annotated[
        Literal["open", "rag", "quote"], Option(help="Long texts, questions on sources, or copies of one.")
    ] = "open",
    users: Annotated[str, Option(help="Users at once (closed loop), separated by commas.")] = "1,4,8",
    rate: Annotated[str, Option(help="Requests per second (open loop), separated by commas.")] = "",
    rounds: Annotated[int, Option(min=1, help="Rounds; every engine takes its turn in each.")] = 3,
    input_tokens: Annotated[int, Option(min=40, help="Tokens of each prompt.")] = 164,
    output_tokens: Annotated[int, Option(min=2, max=4096, help="Most tokens of an answer.")] = 64,
    model: Model = None,
    out: Out = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare engines: tokens per second and waiting times at several loads."""
    from shared.report.record import picture_path
    from step5_serving.bench import engines as work
    from step5_serving.cli import bench_view

    settings = settings_from_flags(smoke, model=model)
    plan = work.Plan(
        tuple(dict.fromkeys(engine or ENGINES)),
        (1, 2) if smoke else _numbers("users", users, work.MAX_USERS, int) if users else (),
        _numbers("rate", rate, 1000) if rate else (),
        1 if smoke else rounds,
        0.2 if smoke else work.SECONDS,
        (64 if ask == "open" else 1200) if smoke else input_tokens,
        8 if smoke else output_tokens,
        ask,
    )
    picture = picture_path("step5_serving", "bench", out)
    facts = {**work.run(settings, plan), "picture": str(picture)}
    bench_view.draw_engines(facts, picture)
    emit(facts, bench_view.show_engines, as_json=as_json)


@app.command()
def quantize(
    way: Annotated[list[str] | None, Option(help="fp32, bf16, int8, 'bnb int8' or nf4.")] = None,
    model: Model = None,
    smoke: Smoke = False,
    as_json: Json = False,
) -> None:
    """Compare weight formats: memory, tokens per second, perplexity, and changed answers."""
    from step5_serving.bench import quantize as work
    from step5_serving.cli import bench_view

    settings = settings_from_flags(smoke, model=model)
    size = (3, 8, 128) if smoke else ()
    facts = work.run(settings, way or work.WAYS, *size)
    emit(facts, bench_view.show_quantize, as_json=as_json)


@app.command()
def capacity(
    tokens_per_second: Annotated[
        float, Argument(min=0.01, help="Of a machine at its best load: see `bench`.", show_default=False)
    ],
    input_tokens: Annotated[int, Option(min=0, help="Tokens of a prompt.")] = 164,
    output_tokens: Annotated[int, Option(min=1, help="Tokens of an answer.")] = 64,
    users: Annotated[str, Option(help="Numbers, separated by commas.")] = "100,1000,10000,100000",
    questions: Annotated[
        float, Option("--questions-per-user-hour", min=0.01, max=3600, help="In the busiest hour.")
    ] = 6.0,
    utilisation: Annotated[float, Option(min=0.01, max=0.99, help="Highest load, 0 to 1.")] = 0.7,
    price: Annotated[float, Option("--price-per-hour", min=0, help="Dollars for a machine.")] = 0.10,
    as_json: Json = False,
) -> None:
    """Estimate machines and cost for a number of users, from a bench."""
    from shared import catalog
    from step5_serving.bench.capacity import HOURS, plan
    from step5_serving.cli import bench_view

    numbers, claude = sorted(_numbers("users", users, 10**9, int)), catalog.default("claude")
    assert claude.price
    per_question = claude.price.cost(input_tokens, output_tokens)
    rows = [plan(tokens_per_second / output_tokens, each, questions, utilisation) for each in numbers]
    for row in rows:
        row["usd_per_month"] = row["machines"] * price * HOURS  # whether they are used or not
        row["api_usd_per_month"] = row["questions"] * per_question
    facts = {
        "command": "step5_serving capacity",
        "headline": f"machines for {numbers[-1]:,} users: {rows[-1]['machines']:,}",
        "api_model": claude.id,
        "rows": rows,
    }
    emit(facts, bench_view.show_capacity, as_json=as_json)


def _numbers(flag: str, text: str, most: int, kind: Any = float) -> tuple[Any, ...]:
    """The numbers over 0 and up to `most` in a text like `1,4,8`; raises UserError for another one."""
    from shared.errors import UserError

    try:
        numbers = tuple(kind(each) for each in text.split(",") if each.strip())
        if numbers and all(0 < each <= most for each in numbers):
            return numbers
    except ValueError:
        pass
    raise UserError(f"--{flag} {text} is not allowed: use numbers like 1,4,8, over 0 and up to {most:,}")
