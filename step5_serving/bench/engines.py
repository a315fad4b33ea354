"""How many tokens a second, and how long does each user wait? Engines side by side, in turns, in one run.

    $ python -m step5_serving bench --engine torch --engine lock --users 1,4,8
    $ python -m step5_serving bench --engine torch --engine vllm --rate 0.5,1,2

`lock` is what a server has that calls transformers behind a lock: tokens of different requests take turns.
A server that knows OpenAI's chat completions only is `openai:http://127.0.0.1:8001#its-model`. All are asked
the same prompts; each text is open-ended, so that it runs to the limit. All take their turn in every round,
because a shared machine is faster at one time than at another: compare engines by the ratio within a round,
not by figures of two runs. `--rest` makes this machine's servers stand still out of their turn (pausing.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.progress import count_bar
from shared.report.record import picture_path, writable
from shared.stats import nearest_rank
from step5_serving.bench import engines_view as bench_view
from step5_serving.bench import roofline
from step5_serving.bench.load import Body, OverChat, OverHttp, Run, Target, closed_loop, open_loop
from step5_serving.bench.pausing import Pausing
from step5_serving.engines import choice

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READING = Path(__file__).parents[1] / "sample" / "reading.txt"
ASK = "Go on with this text, at length:\n\n"
MOST = 64  # users at once
GREEDY = {"temperature": 0.0}  # for servers that draw tokens otherwise
CHAT = "openai:"  # before the address of a server that knows no Messages API; its model behind a #


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
    rest: bool = False  # servers of this machine stand still while others have their turn

    def __post_init__(self) -> None:
        """Refuse what can't be measured.

        Raises:
            UserError: a value that is not allowed.
        """
        if any(not 1 <= each <= MOST for each in self.users):
            raise UserError(f"--users {','.join(map(str, self.users))}: use numbers from 1 to {MOST}")
        if any(not 0 < each <= 1000 for each in self.rates):
            raise UserError("--rate is a number of requests a second: use more than 0, up to 1000")
        if min(self.rounds, self.per_user) < 1:
            raise UserError("--rounds and --per-user must be 1 or more")
        if not 0 < self.seconds <= 3600:
            raise UserError("--seconds is how long a load lasts: use more than 0, up to 3600")
        if self.input_tokens < 40 or not 2 <= self.output_tokens <= 4096:
            raise UserError("use --input-tokens from 40, and --output-tokens from 2 to 4096")
        if len(set(self.engines)) < len(self.engines):
            raise UserError("an --engine is named twice")


def run(settings: Settings, plan: Plan, out: Path | None, csv: Path | None) -> dict[str, Any]:
    """Measure every engine of the plan.

    Raises:
        UserError: an engine can't be had, or answered nothing at all.
    """
    picture = picture_path("step5_serving", "bench", out)
    table = writable(csv) if csv else None
    idle = hardware.idle_cores(0.5)
    with ExitStack() as stack:
        targets = [_target(name, settings, stack) for name in plan.engines]
        folder = weights.ensure(settings.model, settings)
        prompts = Prompts(settings, plan)
        pausing = Pausing({each.name: each.address for each in targets} if plan.rest else {})
        for target in targets:  # weights are loaded, caches grown, kernels chosen
            with pausing.turn_of(target.name):
                _checked(closed_loop(target, prompts.next(min(4, max(plan.users, default=1))), 1), target)
        runs = _measure(targets, plan, prompts, settings.seed, pausing)
    rows = [_row(*key, found) for key, found in runs.items()]
    facts = {
        "command": "step5_serving bench",
        "headline": headline(rows),
        "model": settings.model,
        "weights": weights.source_of(folder),
        "rounds": plan.rounds,
        "rest": plan.rest,
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
    if table:
        bench_view.write_csv(rows, table)
        facts["csv"] = str(table)
    return facts


def _target(name: str, settings: Settings, stack: ExitStack) -> OverHttp:
    """An engine by its name here: what --engine takes, `lock`, or `torch-int8`. Ours start here."""
    if name.startswith(CHAT):
        address, _, model = name.removeprefix(CHAT).partition("#")
        return OverChat(urlsplit(address).netloc, address, model or settings.model, greedy=GREEDY)
    if name == "lock":
        engine = choice.start("lock", settings, choice.Options())
    elif name in ("torch", "torch-int8"):
        options = choice.Options(MOST, "int8" if name == "torch-int8" else None)
        engine = choice.resolve("torch", options=options, settings=settings)
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


class Prompts:
    """Requests of a length, none like another: pieces of sample/reading.txt, each with a number in front.

    Drawn without a seed: a server that was asked the same before may still have it in its cache.
    """

    def __init__(self, settings: Settings, plan: Plan) -> None:
        from shared.models import load_tokenizer

        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(settings=settings)
        self._words = READING.read_text(encoding="utf-8").split()
        self._random = random.Random()
        self._plan, self._model = plan, settings.model

    def next(self, n: int) -> list[Body]:
        """So many further ones."""
        return [self._one() for _ in range(n)]

    def _one(self) -> Body:
        start = self._random.randrange(len(self._words))
        words = [f"({self._random.randrange(10**6)})", *self._words[start:], *self._words[:start]]
        few, many = 1, len(words)
        while many - few > 1:  # the most words that fit
            middle = (few + many) // 2
            fits = self._tokens(words[:middle]) <= self._plan.input_tokens
            few, many = (middle, many) if fits else (few, middle)
        if few == 1:
            raise UserError(f"--input-tokens {self._plan.input_tokens} holds no prompt: use more")
        return {
            "model": self._model,
            "max_tokens": self._plan.output_tokens,
            "messages": [{"role": "user", "content": ASK + " ".join(words[:few])}],
        }

    def _tokens(self, words: Sequence[str]) -> int:
        turns = [{"role": "user", "content": ASK + " ".join(words)}]
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return len(self._tokenizer.encode(str(text), add_special_tokens=False))


Key = tuple[str, str, float]  # engine, "users" or "rate", how many


def _measure(
    targets: Sequence[Target], plan: Plan, prompts: Prompts, seed: int, pausing: Pausing
) -> dict[Key, list[Run]]:
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
                    with pausing.turn_of(target.name):
                        run = (
                            closed_loop(target, bodies, round(value), plan.seconds)
                            if kind == "users"
                            else open_loop(target, bodies, value, seed + number)
                        )
                    found[target.name, kind, value].append(_checked(run, target))
                    done += 1
                    progress(done, total)
    return found


def _checked(run: Run, target: Target) -> Run:
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
    """The first engine's speed over each other's, round by round; the median counts."""
    names = list(dict.fromkeys(engine for engine, _, _ in runs))
    found = []
    for other in names[1:]:
        for users in plan.users:
            pairs = zip(runs[names[0], "users", users], runs[other, "users", users], strict=True)
            each = sorted(a.tokens_per_second / b.tokens_per_second for a, b in pairs)
            found.append(
                {
                    "engine": names[0],
                    "over": other,
                    "users": users,
                    "ratio": round(median(each), 2),
                    "lowest": round(each[0], 2),
                    "highest": round(each[-1], 2),
                }
            )
    return found


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
