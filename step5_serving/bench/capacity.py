"""How many machines for how many people, how long each waits, what it costs: arithmetic on a bench's figures.

    $ python -m step5_serving bench --engine torch --users 1,4,8,16 --json > bench.json
    $ python -m step5_serving capacity bench.json --questions-per-user-hour 6 --price-per-hour 0.10

The arithmetic, for people who ask by chance (Poisson) and machines that share the questions evenly:

    arrivals     l = users x questions an hour / 3600                        questions/s
    a machine    m(n) = X(n) / tokens out                                    questions/s with n at once
                 X(n), tokens/s with n at once, is what the bench's closed loop measured; between its loads
                 a straight line
    machines     N = l / (target x m(most)), rounded up                      busy: l / (N x m(most))
                 `most` is the load at which it did the most: what comes beyond it waits (serve --running)
    in each      p(n) ~ product of l/N / m(k) for k = 1..n                   chance that n are there
    Little       mean time = mean n / (l/N)
    p95          who finds n there shares the machine with them: (n + 1) / m(n + 1) seconds; of that, the
                 95 % point over p(n)

A closed loop's throughput in place of a server's rates is exact for the mean if the machine shares itself
evenly, whatever the texts' lengths (flow-equivalent server, Chandy, Herzog and Woo 1975). The p95 is an
estimate: it takes the company that a question finds to stay as it is. Not counted: the search (milliseconds
beside seconds), prompts that are longer than the bench's, and that a small model is not Claude: the prices
stand side by side, the answers don't.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.errors import UserError, reason

HOURS = 730.0  # of a month: machines run all the time
UNLIKELY = 1e-12


@dataclass(frozen=True)
class Need:
    """What is wanted. None is unknown, but for `within`: no limit."""

    questions_per_user_hour: float = 6.0
    tokens_in: int | None = None
    tokens_out: float = 64.0
    price_per_hour: float | None = None
    busy_hours: float = 176.0  # of a month, in which people ask: 22 days of 8 hours
    target: float = 0.7
    within: float | None = None  # seconds that 95 of 100 wait at most

    def arrivals(self, users: int) -> float:
        """Questions a second."""
        return users * self.questions_per_user_hour / 3600


@dataclass(frozen=True)
class Machine:
    """One machine with one engine; `points` are (questions at once, tokens a second), as measured."""

    engine: str
    points: tuple[tuple[int, float], ...]
    tokens_out: float

    def tokens_per_second(self, n: int) -> float:
        """With n at once.

        >>> Machine("torch", ((1, 20.0), (4, 80.0), (8, 100.0)), 64).tokens_per_second(6)
        90.0
        """
        known = [(0, 0.0), *self.points]
        if n >= known[-1][0]:
            return known[-1][1]
        for (n0, x0), (n1, x1) in pairwise(known):
            if n <= n1:
                return x0 + (x1 - x0) * (n - n0) / (n1 - n0)
        raise AssertionError(n)

    def rate(self, n: int) -> float:
        """Questions a second with n at once."""
        return self.tokens_per_second(n) / self.tokens_out

    @property
    def capacity(self) -> float:
        """Questions a second that it can keep up: as many at once as it does best, and the others wait."""
        return self.rate(self.points[-1][0])

    def company(self, arrivals: float) -> list[float]:
        """The chance that n questions are there, for n = 0, 1, 2 ...; empty where they get ever more."""
        if arrivals >= self.capacity:
            return []
        weights, total, largest = [1.0], 1.0, self.points[-1][0]
        while weights[-1] > UNLIKELY * total or len(weights) <= largest:
            weights.append(weights[-1] * arrivals / self.rate(len(weights)))
            total += weights[-1]
        return [each / total for each in weights]

    def times(self, arrivals: float) -> tuple[float, float, float] | None:
        """How many are there, mean seconds, seconds that 95 of 100 stay below; None: they get ever more."""
        chances = self.company(arrivals)
        if not chances:
            return None
        mean = sum(n * chance for n, chance in enumerate(chances))
        sum_, p95 = 0.0, mean / arrivals  # of few people, those that come later make the mean
        for n, chance in enumerate(chances):
            p95 = max(p95, (n + 1) / self.rate(n + 1))
            sum_ += chance
            if sum_ >= 0.95:
                break
        return mean, mean / arrivals, p95


def machines(machine: Machine, arrivals: float, need: Need) -> int | None:
    """How many; None where even one question alone takes longer than it may."""
    fewest = max(1, math.ceil(arrivals / (need.target * machine.capacity) - 1e-9))
    if need.within is None:
        return fewest

    def fits(n: int) -> bool:
        times = machine.times(arrivals / n)
        return times is not None and times[2] <= need.within  # type: ignore[operator]

    if 1 / machine.rate(1) > need.within:
        return None
    most = fewest
    while not fits(most):
        most *= 2
    return bisect_left(range(most), True, lo=fewest, key=fits)


def row(machine: Machine, users: int, need: Need, api_usd: float | None) -> dict[str, Any]:
    """What so many people take, and cost a month."""
    arrivals = need.arrivals(users)
    n = machines(machine, arrivals, need)
    times = machine.times(arrivals / n) if n else None
    questions = users * need.questions_per_user_hour * need.busy_hours
    month = None if n is None or need.price_per_hour is None else n * need.price_per_hour * HOURS
    api = None if api_usd is None else questions * api_usd
    return {
        "users": users,
        "questions_per_second": arrivals,
        "machines": n,
        "utilisation": arrivals / (n * machine.capacity) if n else None,
        "in_each": times[0] if times else None,
        "seconds_mean": times[1] if times else None,
        "seconds_p95": times[2] if times else None,
        "questions_per_month": questions,
        "usd_per_month": month,
        "usd_per_1000": None if month is None else 1000 * month / questions,
        "api_usd_per_month": api,
        "api_usd_per_1000": None if api_usd is None else 1000 * api_usd,
    }


# --- a bench's figures -------------------------------------------------------------------------------


def read_bench(path: Path) -> dict[str, Any]:
    """The facts of `bench --json`.

    Raises:
        UserError: there are none.
    """
    make = "make it with `python -m step5_serving bench --json > bench.json`"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not facts["rows"] or not facts["output_tokens"] or not facts["rows"][0]["engine"]:
            raise ValueError("it has no rows")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"cannot read a bench from {path} ({reason(error)}): {make}") from None
    return facts


def machine_of(bench: dict[str, Any], tokens_out: float, engine: str | None) -> Machine:
    """The machine that the bench ran on, with one of its engines.

    Raises:
        UserError: that engine is not in it, or was not measured with numbers of users.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for each in bench["rows"]:
        if each.get("users") and each.get("tokens_per_second"):
            point = int(each["users"]), float(each["tokens_per_second"])
            found.setdefault(each["engine"], []).append(point)
    if not found:
        raise UserError("the bench has no rows by users: run it with --users 1,4,8,16")
    if engine is not None and engine not in found:
        raise UserError(f"--engine {engine} is not in the bench: it has {', '.join(found)}")
    made = []
    for name, points in found.items():
        most, _ = max(points, key=lambda point: (point[1], -point[0]))
        known = tuple(sorted(point for point in points if point[0] <= most))
        made.append(Machine(name, known, tokens_out))
    return max((each for each in made if engine in (None, each.engine)), key=lambda each: each.capacity)
