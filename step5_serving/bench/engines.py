"""Throughput and waiting times of engines side by side, in turns, in one run.

    $ python -m step5_serving bench --engine torch --engine lock --users 1,4,8
    $ python -m step5_serving bench --engine torch --engine vllm --rate 0.5,1,2
    $ python -m step5_serving bench --engine torch --engine torch-no-prefix-cache --ask rag --users 1,4
    $ python -m step5_serving bench --engine torch --engine torch-no-lookup --ask quote --users 1

`lock` is transformers behind a lock: tokens of different requests take turns. All engines get the same
prompts (prompts.py); without --ask they are open-ended, so that each answer runs to its limit. Every round
measures every engine, because a shared machine is faster at one time than at another: compare engines by the
ratio within a round, not by figures of two runs.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from statistics import fmean, median
from typing import Any
from urllib.parse import urlsplit

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import track
from shared.stats import nearest_rank
from step5_serving.bench.load import Ask, Body, Run, ask, closed_loop, open_loop
from step5_serving.bench.prompts import Prompts
from step5_serving.config import Options
from step5_serving.engines import choice
from step5_serving.engines.engine import Engine, EngineProcess

MAX_USERS = 64
SECONDS = 20.0  # of a round: an open loop lasts so long; a closed loop sends nothing afterwards
TIMEOUT_S = 600.0
TORCH = {  # the batcher, whole and without a part of it
    "torch": Options(MAX_USERS),
    "torch-int8": Options(MAX_USERS, "int8"),
    "torch-no-prefix-cache": Options(MAX_USERS, prefix_cache=False),
    "torch-no-lookup": Options(MAX_USERS, lookup=0),
}

Key = tuple[str, str, float]  # engine, "users" or "rate", how many


@dataclass(frozen=True)
class Plan:
    """What is measured. `users`: closed loop; `rates`: requests per second, open loop."""

    engines: tuple[str, ...]
    users: tuple[int, ...] = (1, 4, 8)
    rates: tuple[float, ...] = ()
    rounds: int = 3
    seconds: float = SECONDS
    input_tokens: int = 164
    output_tokens: int = 64
    ask: str = "open"  # which prompts (prompts.py)


def run(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Measure every engine of the plan; raises UserError if one can't be had, or answers nothing."""
    if not plan.users and not plan.rates:
        raise UserError("there is no load to measure: use --users or --rate")
    idle = hardware.idle_cores(0.5)
    with ExitStack() as stack:
        engines = dict(_start(name, settings, stack) for name in plan.engines)
        prompts = Prompts(settings, plan.ask, plan.input_tokens, plan.output_tokens)
        for name, engine in engines.items():  # loads weights, grows caches, chooses kernels
            _checked(name, closed_loop(engine, prompts.next(4), 1))
        runs = _measure(engines, plan, prompts, settings.seed)
    rows = [_row(*key, found) for key, found in runs.items()]
    best = max(rows, key=lambda row: row["tokens_per_second"])
    return {
        "command": "step5_serving bench",
        "headline": f"{best['engine']}: {best['tokens_per_second']:.0f} tokens/s with {load_of(best)}",
        "model": settings.model,
        "weights": weights.source_of(weights.ensure(settings.model, settings)),
        **{name: getattr(plan, name) for name in ("rounds", "ask", "input_tokens", "output_tokens")},
        "rows": rows,
        "ratios": ratios(runs),
        "idle_cores_before": round(idle, 1),
        "machine": hardware.describe(),
    }


def load_of(row: dict[str, Any]) -> str:
    """`8 users`, `2/s`"""
    if "rate" in row:
        return f"{row['rate']:g}/s"
    return "1 user" if row["users"] == 1 else f"{row['users']} users"


def _start(name: str, settings: Settings, stack: ExitStack) -> tuple[str, Ask]:
    """Start an engine (of `serve --engine`, TORCH, or `lock`): its name in the table, and how to ask it."""
    if name == "lock":
        engine: Engine = EngineProcess("lock", settings, Options())
    elif name in TORCH:
        engine = choice.resolve("torch", options=TORCH[name], settings=settings)
    else:
        engine = choice.resolve(name, settings=settings)
    stack.callback(engine.close)
    if engine.settings.base_url is None:
        raise UserError(f"--engine {name} is not measured here: every token would be paid for")
    engine.warm_up()
    client = engine.client().with_options(max_retries=0, timeout=TIMEOUT_S)
    more: Body = {"model": engine.model}
    if engine.name in (*choice.SERVERS, "server"):  # our engines are greedy, and refuse a temperature
        more["extra_body"] = {"temperature": 0.0}  # no parameter of the SDK's
    name = urlsplit(engine.settings.base_url).netloc if engine.name == "server" else name
    return name, lambda body: ask(client, body | more)


def _measure(engines: dict[str, Ask], plan: Plan, prompts: Prompts, seed: int) -> dict[Key, list[Run]]:
    """All runs; the engines take turns at each load, in the opposite order in every second round."""
    loads = [("users", float(each)) for each in plan.users] + [("rate", each) for each in plan.rates]
    runs: dict[Key, list[Run]] = {(name, *load): [] for load in loads for name in engines}
    for number, (kind, value) in track("engines in turns", [*product(range(plan.rounds), loads)]):
        n = max(3, round(2 * value)) if kind == "users" else max(4, round(plan.seconds * value))
        bodies = prompts.next(n)
        for name in engines if number % 2 == 0 else reversed(engines):
            if kind == "users":
                run = closed_loop(engines[name], bodies, int(value), plan.seconds)
            else:
                run = open_loop(engines[name], bodies, value, seed + number)
            runs[name, kind, value].append(_checked(name, run))
    return runs


def _checked(name: str, run: Run) -> Run:
    """The run; raises UserError if every request failed."""
    errors = [each.error for each in run.requests if each.error]
    if errors and len(errors) == len(run.requests):
        raise UserError(f"{name} answers nothing: {errors[0]}")
    return run


def _row(engine: str, kind: str, value: float, runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of one engine at one load, over all rounds."""
    requests = [each for run in runs for each in run.requests]
    answered = [each for each in requests if not each.error]

    def milliseconds(name: str, percent: int) -> float | None:
        seconds = nearest_rank([s for each in answered if (s := getattr(each, name)) is not None], percent)
        return None if seconds is None else round(1000 * seconds, 1)

    return {
        "engine": engine,
        kind: int(value) if kind == "users" else value,
        "tokens_per_second": round(median(run.tokens_per_second for run in runs), 1),
        "first_ms_p50": milliseconds("first", 50),
        "first_ms_p95": milliseconds("first", 95),
        "token_ms_p50": milliseconds("per_token", 50),
        "whole_ms_p95": milliseconds("whole", 95),
        "requests": len(answered),
        "errors": len(requests) - len(answered),
    }


def ratios(runs: dict[Key, list[Run]]) -> list[dict[str, Any]]:
    """The first engine over each other one in closed loops: median, lowest and highest ratio of the rounds.

    `ratio`: tokens per second; `first` and `token`: how many times sooner its first token and the next ones
    come, on average over the requests of a round.
    """
    first = next(iter(runs))[0]
    rows = []
    for (other, kind, users), others in runs.items():
        if other == first or kind != "users":
            continue
        pairs = [*zip(runs[first, kind, users], others, strict=True)]
        row: dict[str, Any] = {"engine": first, "over": other, "users": int(users)}
        measures = {
            "ratio": [a.tokens_per_second / b.tokens_per_second for a, b in pairs],
            "first": [_mean(b, "first") / _mean(a, "first") for a, b in pairs],
            "token": [_mean(b, "per_token") / _mean(a, "per_token") for a, b in pairs],
        }
        for name, each in measures.items():
            row[name] = round(median(each), 2)
            row[f"{name}_lowest"], row[f"{name}_highest"] = round(min(each), 2), round(max(each), 2)
        rows.append(row)
    return rows


def _mean(run: Run, name: str) -> float:
    """Of a run's requests; not a number where none has it."""
    known = [value for each in run.requests if (value := getattr(each, name)) is not None]
    return fmean(known) if known else float("nan")
