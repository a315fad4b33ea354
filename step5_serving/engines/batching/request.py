"""A request, from the queue to its last token.

    >>> request = Request([1, 2, 3], limit=20, ends=frozenset({0}))
    >>> request.out.get()     # what the scheduler puts there, step by step
    [17]

The scheduler knows token ids only. Letters, stop strings and circles belong to whoever reads `out`, in their
own thread: the one thread that owns the model has no time for them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from shared.errors import UserError

if TYPE_CHECKING:
    from shared.embedded.guide import Guide


@dataclass(frozen=True)
class End:
    """Behind the last token. `finished`: the text is whole; else the model ended it, or the limit did."""

    finished: bool = False


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy; a seed makes what is drawn the same again.

    Raises:
        UserError: a value that is not allowed.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise UserError(f"temperature {self.temperature:g} is not allowed: use 0 (greedy) to 2")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p:g} is not allowed: use more than 0, up to 1")


GREEDY = Sampling()


@dataclass(eq=False)
class Request:
    """One text to write. `ids` grows; the first `read` of them are in the cache."""

    prompt: list[int]
    limit: int  # tokens to write at most
    ends: frozenset[int]
    sampling: Sampling = GREEDY
    guide: Guide | None = None
    written: list[int] = field(default_factory=list)
    number: int = 0  # in the order of arrival
    read: int = 0
    cached: int = 0  # of the prompt: taken from another row, not computed
    cancelled: bool = False  # set by whoever reads; the seat is free at the next step
    out: SimpleQueue[list[int] | End | BaseException] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.ids = [*self.prompt, *self.written]  # written already: what a schema forces
        self.begin = len(self.ids) - 1  # all ids before this one are read as a prompt, in chunks
        self.chance = random.Random(self.sampling.seed)  # its own: neighbours draw from theirs
        if self.written:
            self.out.put(list(self.written))

    @property
    def longest(self) -> int:
        """Places in the cache that it may need."""
        return len(self.prompt) + self.limit

    @property
    def as_prompt(self) -> list[int]:
        """What of its cache is good for others: what was read as a prompt.

        What was read token by token differs from it in the last bit; a text would depend on its neighbours.
        """
        return self.ids[: min(self.read, self.begin)]

    @property
    def decodes(self) -> bool:
        """Whether its prompt is read, so that it takes part in the steps."""
        return self.read >= self.begin

    def add(self, tokens: list[int]) -> None:
        """Tokens that were written."""
        self.ids += tokens
        self.written += tokens
        self.out.put(tokens)
