"""How many machines for how many users, and what they cost: arithmetic on a bench's figures.

    $ python -m step5_serving bench --engine torch --users 1,4,8,16 --json > bench.json
    $ python -m step5_serving capacity bench.json --price-per-hour 0.10

    load         l = users x questions per hour / 3600                  questions/s
    a machine    m = tokens/s at its best load / tokens per answer      questions/s
    machines     N = l / (utilisation x m), rounded up                  busy: l / (N x m)

Not counted: the search (milliseconds beside seconds), and prompts longer than the bench's. Prices are
compared with Claude's, although a small model's answers are not as good. How long people wait at such a load
is measured, not computed: `bench --rate`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError, reason

HOURS = 730  # in a month: machines run all the time
BUSY_HOURS = 176  # in a month, when people ask: 22 days of 8 hours


@dataclass(frozen=True)
class Machine:
    """The most that one machine does, measured by a bench with its fastest engine."""

    name: str
    engine: str
    tokens_per_second: float
    input_tokens: int  # per question
    output_tokens: int

    @property
    def capacity(self) -> float:
        """Questions per second."""
        return self.tokens_per_second / self.output_tokens

    @classmethod
    def read(cls, path: Path) -> Machine:
        """From a file with the output of `bench --json`; raises UserError if it holds something else."""
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            best = max(facts["rows"], key=lambda row: row["tokens_per_second"])
            tokens = facts["input_tokens"], facts["output_tokens"]
            machine = cls(facts["machine"], best["engine"], best["tokens_per_second"], *tokens)
            if machine.capacity <= 0:
                raise ValueError("its engines wrote nothing")
            return machine
        except (OSError, ValueError, LookupError, TypeError, ZeroDivisionError) as error:
            make = "make it with `python -m step5_serving bench --json > bench.json`"
            raise UserError(f"cannot read a bench from {path} ({reason(error)}): {make}") from None


@dataclass(frozen=True)
class Plan:
    """The machines that a number of users needs."""

    users: int
    asked: float  # questions per second
    machines: int
    busy: float  # share of the machines' capacity
    questions: float  # per month

    def usd_per_month(self, price_per_hour: float) -> float:
        """What the machines cost, whether they are used or not."""
        return self.machines * price_per_hour * HOURS


def plan(machine: Machine, users: int, questions_per_hour: float = 6.0, utilisation: float = 0.7) -> Plan:
    """Machines for `users` in their busiest hour, each machine loaded to `utilisation` at most."""
    asked = users * questions_per_hour / 3600
    machines = max(1, math.ceil(asked / (utilisation * machine.capacity)))
    questions = users * questions_per_hour * BUSY_HOURS
    return Plan(users, asked, machines, asked / (machines * machine.capacity), questions)
