"""What a search for a better prompt will take: which questions it learns from, and how many calls at most.

    >>> plan = make("gepa", dev, n_test=100, seed=0, embedded=False)
    >>> plan.predicted
    {'start': 80, 'search': 726, 'held out': 200, 'all': 1006}

Replies that DSPy remembers cost nothing, so the calls that are made are fewer. Demonstrations come from a
quarter of the questions and are judged by the others: a question must not be its own example. GEPA puts no
question into a prompt, and uses all of them for both. No model is called here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.errors import UserError

Optimizer = Literal["gepa", "mipro", "shots"]
LEAST = 4  # questions
MINIBATCH = 3  # what a model that writes instructions reads at once; more where a rule reads them
SETS, SHOTS, TRIALS = 6, 4, 9


@dataclass(frozen=True)
class Plan:
    """The size of a search."""

    optimizer: Optimizer
    train: list[dict[str, Any]]
    val: list[dict[str, Any]]
    n_test: int
    metric_calls: int = 0  # gepa stops at the first round that reaches them
    minibatch: int = MINIBATCH
    candidates: int = SETS  # of mipro: instructions, and sets of demonstrations; of shots: random sets
    shots: int = SHOTS
    trials: int = TRIALS

    @property
    def predicted(self) -> dict[str, int]:
        """Calls of the model at most, by what they are for."""
        n, sets = len(self.val), self.candidates
        if self.optimizer == "gepa":
            last_round = 2 * self.minibatch + n
            search = self.metric_calls + last_round + math.ceil(self.metric_calls / self.minibatch)
        elif self.optimizer == "mipro":
            bootstrap, write = (sets - 2) * len(self.train), 3 * sets + len(self.train) // 10 + 2
            search = bootstrap + write + self.trials * n
        else:  # without demonstrations, with labelled ones, and sets of what the model got right
            search = (sets + 3) * n + (sets + 1) * len(self.train)
        held_out = 2 * self.n_test
        return {"start": n, "search": search, "held out": held_out, "all": n + search + held_out}


def make(
    optimizer: Optimizer, dev: Sequence[dict[str, Any]], n_test: int, seed: int, *, embedded: bool
) -> Plan:
    """The plan for these questions; the embedded chooser is cheap to ask, so it is asked more often.

    Raises:
        UserError: too few questions to learn from.
    """
    if len(dev) < LEAST:
        raise UserError(f"{len(dev)} questions are too few to learn from: use --limit {LEAST} or more")
    if optimizer == "gepa":
        rounds, minibatch = (25, max(MINIBATCH, len(dev) // 4)) if embedded else (6, MINIBATCH)
        return Plan("gepa", list(dev), list(dev), n_test, rounds * len(dev), minibatch)
    shuffled = random.Random(seed).sample(list(dev), len(dev))
    cut = max(1, len(dev) // 4)
    return Plan(optimizer, shuffled[:cut], shuffled[cut:], n_test)
