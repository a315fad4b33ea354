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

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any
from urllib.parse import urlsplit

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import count_bar
from shared.report.record import picture_path
from shared.stats import nearest_rank
from step5_serving.bench import engines_view as bench_view
from step5_serving.bench import roofline
from step5_serving.bench.load import OverHttp, Run, closed_loop, open_loop
from step5_serving.bench.prompts import KINDS, Prompts
from step5_serving.engines import choice

MOST = 64  # users at once
GREEDY = {"temperature": 0.0}  # for servers that draw tokens otherwise
TORCH = {  # the batcher, whole and without a part of it
    "torch": choice.Options(MOST),
    "torch-int8": choice.Options(MOST, "int8"),
    "torch-no-prefix-cache": choice.Options(MOST, prefix_cache=False),
    "torch-no-lookup": choice.Options(MOST, lookup=0),
}


@dataclass(frozen=True)
class Plan:
    """What is measured. `users`: closed loop; `rates`: requests a second, open loop."""

    engines: tuple[str, ...]
    users: tuple[int, ...] = (1, 4, 8)
    rates: tuple[float, ...] = ()
    rounds: int = 3
    per_user: int = 2
    seconds: float = 20  # an open loop lasts so long; a closed loop begins nothing afterwards
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


def run(settings: Settings, plan: Plan, out: Path | None) -> dict[str, Any]:
    """Measure every engine of the plan.

    Raises:
        UserError: an engine can't be had, or answered nothing at all.
    """
    picture = picture_path("step5_serving", "bench", out)
    idle = hardware.idle_cores(0.5)
    with ExitStack() as stack:
        targets = [_target(name, settings, stack) for name in plan.engines]
        folder = weights.ensure(settings.model, settings)
        prompts = Prompts(settings, plan.ask, plan.input_tokens, plan.output_tokens)
        for target in targets:  # weights are loaded, caches grown, kernels chosen
            _checked(closed_loop(target, prompts.next(min(4, max(plan.users, default=1))), 1), target)
        runs = _measure(targets, plan, prompts, settings.seed)
    rows = [_row(*key, found) for key, found in runs.items()]
    facts = {
        "command": "step5_serving bench",
        "headline": headline(rows),
        "model": settings.model,
        "weights": weights.source_of(folder),
        "rounds": plan.rounds,
        "ask": plan.ask,
        "input_tokens": plan.input_tokens,
        "output_tokens": plan.output_tokens,
        "rows": rows,
        "ratios": ratios(runs, plan),
        "roofline": roofline.facts_of(folder, _dtype(settings), threads()),
        "threads": threads(),
        "idle_cores_before": round(idle, 1),
        "machine": hardware.describe(),
        "picture": str(picture),
    }
    bench_view.draw(facts, picture)
    return facts


def _target(name: str, settings: Settings, stack: ExitStack) -> OverHttp:
    """An engine by its name here: what --engine takes, `lock`, or `torch-int8`. Ours start here."""
    if name == "lock":
        engine = choice.start("lock", settings, choice.Options())
    elif name in TORCH:
        engine = choice.resolve("torch", options=TORCH[name], settings=settings)
    else:
        engine = choice.resolve(name, settings=settings)
    stack.callback(engine.close)
    engine.warm_up()
    key, address = engine.settings.base_url_key, engine.settings.base_url
    if address is None:
        raise UserError(f"--engine {name} is not measured here: every token would be paid for")
    name = urlsplit(address).netloc if engine.name == "server" else name
    greedy = None if engine.process else GREEDY
    return OverHttp(name, address, engine.model, key.get_secret_value() if key else None, greedy)


Key = tuple[str, str, float]  # engine, "users" or "rate", how many


def _measure(targets: Sequence[OverHttp], plan: Plan, prompts: Prompts, seed: int) -> dict[Key, list[Run]]:
    """All runs; in every round the engines take turns at each load, and change who begins."""
    loads = [("users", float(each)) for each in plan.users] + [("rate", each) for each in plan.rates]
    found: dict[Key, list[Run]] = {(each.name, *load): [] for load in loads for each in targets}
    done, total = 0, plan.rounds * len(loads) * len(targets)
    with count_bar("engines in turns", total) as progress:
        for number in range(plan.rounds):
            for kind, value in loads:
                n = (
                    max(3, round(value) * plan.per_user)
                    if kind == "users"
                    else max(4, round(plan.seconds * value))
                )
                bodies = prompts.next(n)
                for target in targets if number % 2 == 0 else reversed(targets):
                    if kind == "users":
                        run = closed_loop(target, bodies, round(value), plan.seconds)
                    else:
                        run = open_loop(target, bodies, value, seed + number)
                    found[target.name, kind, value].append(_checked(run, target))
                    done += 1
                    progress(done, total)
    return found


def _checked(run: Run, target: OverHttp) -> Run:
    """The run, if anything was answered at all.

    Raises:
        UserError: nothing was.
    """
    errors = [each.error for each in run.requests if each.error]
    if errors and len(errors) == len(run.requests):
        raise UserError(f"{target.name} answers nothing: {errors[0]}")
    return run


def _row(engine: str, kind: str, value: float, runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of one engine at one load, over all rounds."""
    requests = [each for run in runs for each in run.requests if not each.error]
    speeds = [run.tokens_per_second for run in runs]
    return {
        "engine": engine,
        kind: int(value) if kind == "users" else value,
        "tokens_per_second": round(median(speeds), 1),
        "slowest": round(min(speeds), 1),
        "fastest": round(max(speeds), 1),
        **_percentiles("first_ms", [each.first for each in requests]),
        **_percentiles("token_ms", [each.per_token for each in requests]),
        **_percentiles("stall_ms", [each.stall for each in requests]),
        **_percentiles("whole_ms", [each.whole for each in requests]),
        "requests": len(requests),
        "output_tokens": round(fmean(each.tokens for each in requests), 1),
        "errors": sum(bool(each.error) for run in runs for each in run.requests),
    }


def _percentiles(name: str, seconds: Sequence[float | None]) -> dict[str, float | None]:
    """p50 and p95 in milliseconds; None where nothing was measured."""
    known = [1000 * each for each in seconds if each is not None]
    found = {f"{name}_p{percent}": nearest_rank(known, percent) for percent in (50, 95)}
    return {key: None if value is None else round(value, 1) for key, value in found.items()}


def ratios(runs: dict[Key, list[Run]], plan: Plan) -> list[dict[str, Any]]:
    """What the first engine has over each other, round by round; the median counts, beside the extremes.

    `ratio`: tokens a second; `first` and `token`: how many times sooner its first token comes, and the next
    ones, on average over the requests of a round.
    """
    names = list(dict.fromkeys(engine for engine, _, _ in runs))
    found = []
    for other in names[1:]:
        for users in plan.users:
            pairs = [*zip(runs[names[0], "users", users], runs[other, "users", users], strict=True)]
            row: dict[str, Any] = {"engine": names[0], "over": other, "users": users}
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


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The one line that counts."""
    best = max(rows, key=lambda row: row["tokens_per_second"])
    load = f"{best['users']} users" if "users" in best else f"{best['rate']:g} requests/s"
    return f"{best['engine']}: {best['tokens_per_second']:.0f} tokens/s with {load}"


def _dtype(settings: Settings) -> str:
    from shared.models.device import settings_for_batch

    return settings_for_batch(settings.model_copy(update={"device": "cpu"})).dtype


def threads() -> int:
    import torch

    return torch.get_num_threads()
