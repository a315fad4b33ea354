"""How many tokens a second, and how long does each user wait? Engines side by side, in turns, in one run.

    $ python -m step5_serving bench --engine torch --engine lock --users 1,4,8
    $ python -m step5_serving bench --engine torch --engine vllm --rate 0.5,1,2
    $ python -m step5_serving bench --engine torch --engine torch-no-prefix-cache --ask rag --users 1,4
    $ python -m step5_serving bench --engine torch --engine torch-no-lookup --ask quote --users 1

`lock` is what a server has that calls transformers behind a lock: tokens of different requests take turns.
All are asked the same prompts (prompts.py); without --ask, each text is open-ended, so that it runs to the
limit. All take their turn in every round, because a shared machine is faster at one time than at another:
compare engines by the ratio within a round, not by figures of two runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any
from urllib.parse import urlsplit

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import count_bar
from shared.stats import nearest_rank
from step5_serving.bench.load import Ask, Body, Run, ask, closed_loop, open_loop
from step5_serving.bench.prompts import KINDS, Prompts
from step5_serving.config import Options
from step5_serving.engines import choice

MOST = 64  # users at once
PER_USER = 2  # requests of each user in a round
SECONDS = 20.0  # of a round: an open loop lasts so long; a closed loop begins nothing afterwards
PATIENCE = 600.0  # seconds for a server's answer
GREEDY = {"temperature": 0.0}  # for servers that draw tokens otherwise; ours refuse it
TORCH = {  # the batcher, whole and without a part of it
    "torch": Options(MOST),
    "torch-int8": Options(MOST, "int8"),
    "torch-no-prefix-cache": Options(MOST, prefix_cache=False),
    "torch-no-lookup": Options(MOST, lookup=0),
}


@dataclass(frozen=True)
class Plan:
    """What is measured. `users`: closed loop; `rates`: requests a second, open loop."""

    engines: tuple[str, ...]
    users: tuple[int, ...] = (1, 4, 8)
    rates: tuple[float, ...] = ()
    rounds: int = 3
    seconds: float = SECONDS
    input_tokens: int = 164
    output_tokens: int = 64
    ask: str = "open"  # which prompts (prompts.py)

    def __post_init__(self) -> None:
        """Refuse what can't be measured.

        Raises:
            UserError: a value that is not allowed.
        """
        if any(not 1 <= each <= MOST for each in self.users):
            raise UserError(f"--users {','.join(map(str, self.users))}: use numbers from 1 to {MOST}")
        if any(not 0 < each <= 1000 for each in self.rates):
            raise UserError("--rate is a number of requests a second: use more than 0, up to 1000")
        if len(set(self.engines)) < len(self.engines):
            raise UserError("an --engine is named twice")
        if self.ask not in KINDS:
            raise UserError(f"--ask {self.ask} is not known: use {', '.join(KINDS)}")


def run(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Measure every engine of the plan.

    Raises:
        UserError: an engine can't be had, or answered nothing at all.
    """
    idle = hardware.idle_cores(0.5)
    with ExitStack() as stack:
        engines = dict(_engine(name, settings, stack) for name in plan.engines)
        prompts = Prompts(settings, plan.ask, plan.input_tokens, plan.output_tokens)
        for name, engine in engines.items():  # weights are loaded, caches grown, kernels chosen
            _checked(name, closed_loop(engine, prompts.next(4), 1))
        runs = _measure(engines, plan, prompts, settings.seed)
    rows = [_row(*key, found) for key, found in runs.items()]
    best = max(rows, key=lambda row: row["tokens_per_second"])
    return {
        "command": "step5_serving bench",
        "headline": f"{best['engine']}: {best['tokens_per_second']:.0f} tokens/s with {load_of(best)}",
        "model": settings.model,
        "weights": weights.source_of(weights.ensure(settings.model, settings)),
        "rounds": plan.rounds,
        "ask": plan.ask,
        "input_tokens": plan.input_tokens,
        "output_tokens": plan.output_tokens,
        "rows": rows,
        "ratios": ratios(runs, plan),
        "idle_cores_before": round(idle, 1),
        "machine": hardware.describe(),
    }


def load_of(row: dict[str, Any]) -> str:
    """`8 users`, `2/s`"""
    if "users" not in row:
        return f"{row['rate']:g}/s"
    return "1 user" if row["users"] == 1 else f"{row['users']} users"


def _engine(name: str, settings: Settings, stack: ExitStack) -> tuple[str, Ask]:
    """An engine by its name (what `serve --engine` takes, one of TORCH, or `lock`), and how it is asked."""
    if name == "lock":
        engine = choice.start("lock", settings, Options())
    else:
        engine = choice.resolve(
            "torch" if name in TORCH else name, None, TORCH.get(name, Options()), settings
        )
    stack.callback(engine.close)
    if engine.settings.base_url is None:
        raise UserError(f"--engine {name} is not measured here: every token would be paid for")
    engine.warm_up()
    client = engine.client().with_options(max_retries=0, timeout=PATIENCE)
    greedy = {} if engine.process else GREEDY

    def answer(body: Body) -> Iterator[int]:
        return ask(client, {**body, **greedy, "model": engine.model})

    return urlsplit(engine.settings.base_url).netloc if engine.name == "server" else name, answer


Key = tuple[str, str, float]  # engine, "users" or "rate", how many


def _measure(engines: dict[str, Ask], plan: Plan, prompts: Prompts, seed: int) -> dict[Key, list[Run]]:
    """All runs; in every round the engines take turns at each load, and change who begins."""
    loads = [("users", float(each)) for each in plan.users] + [("rate", each) for each in plan.rates]
    found: dict[Key, list[Run]] = {(name, *load): [] for load in loads for name in engines}
    with count_bar("engines in turns", plan.rounds * len(found)) as progress:
        for number in range(plan.rounds):
            for kind, value in loads:
                if kind == "users":
                    bodies = prompts.next(max(3, PER_USER * round(value)))
                    loop = partial(closed_loop, users=round(value), seconds=plan.seconds)
                else:
                    bodies = prompts.next(max(4, round(plan.seconds * value)))
                    loop = partial(open_loop, rate=value, seed=seed + number)
                for name in engines if number % 2 == 0 else reversed(engines):
                    found[name, kind, value].append(_checked(name, loop(engines[name], bodies)))
                    progress(sum(map(len, found.values())), plan.rounds * len(found))
    return found


def _checked(name: str, run: Run) -> Run:
    """The run, if anything was answered at all.

    Raises:
        UserError: nothing was.
    """
    errors = [each.error for each in run.requests if each.error]
    if errors and len(errors) == len(run.requests):
        raise UserError(f"{name} answers nothing: {errors[0]}")
    return run


def _row(engine: str, kind: str, value: float, runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of one engine at one load, over all rounds."""
    requests = [each for run in runs for each in run.requests if not each.error]
    speeds = [run.tokens_per_second for run in runs]

    def milliseconds(name: str, percent: int) -> float | None:
        known = [1000 * each for each in (getattr(one, name) for one in requests) if each is not None]
        found = nearest_rank(known, percent)
        return None if found is None else round(found, 1)

    return {
        "engine": engine,
        kind: int(value) if kind == "users" else value,
        "tokens_per_second": round(median(speeds), 1),
        "slowest": round(min(speeds), 1),
        "fastest": round(max(speeds), 1),
        "first_ms_p50": milliseconds("first", 50),
        "first_ms_p95": milliseconds("first", 95),
        "token_ms_p50": milliseconds("per_token", 50),
        "whole_ms_p95": milliseconds("whole", 95),
        "requests": len(requests),
        "errors": sum(bool(each.error) for run in runs for each in run.requests),
    }


def ratios(runs: dict[Key, list[Run]], plan: Plan) -> list[dict[str, Any]]:
    """What the first engine has over each other, round by round; the median counts, beside the extremes.

    `ratio`: tokens a second; `first` and `token`: how many times sooner its first token comes, and the next
    ones, on average over the requests of a round.
    """
    first, *others = dict.fromkeys(engine for engine, _, _ in runs)
    found = []
    for other, users in ((other, users) for other in others for users in plan.users):
        pairs = [*zip(runs[first, "users", users], runs[other, "users", users], strict=True)]
        row: dict[str, Any] = {"engine": first, "over": other, "users": users}
        measures = {
            "ratio": [a.tokens_per_second / b.tokens_per_second for a, b in pairs],
            "first": [_mean(b, "first") / _mean(a, "first") for a, b in pairs],
            "token": [_mean(b, "per_token") / _mean(a, "per_token") for a, b in pairs],
        }
        for name, each in measures.items():
            row[name] = round(median(each), 2)
            row[f"{name}_lowest"], row[f"{name}_highest"] = round(min(each), 2), round(max(each), 2)
        found.append(row)
    return found


def _mean(run: Run, name: str) -> float:
    """Of a run's requests; not a number where none has it."""
    known = [value for each in run.requests if (value := getattr(each, name)) is not None]
    return fmean(known) if known else float("nan")
