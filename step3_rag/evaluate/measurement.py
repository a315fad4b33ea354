"""What a measurement returns: tables, and what they are about."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import hardware
from shared.stats import bootstrap

Row = Mapping[str, Any]  # by column: a number, a text, a Share, a Difference, or None
Table = Mapping[str, Row]  # by the row's name
NOISE = 1e-12  # smaller changes are rounding errors


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of a command that measures."""

    command: str  # "step3_rag citations"
    headline: str
    tables: dict[str, Table]  # by title
    note: str  # what was measured
    machine: str = field(default_factory=hardware.describe)


@dataclass(frozen=True, kw_only=True)
class QuestionMeasurement(Measurement):
    """The result of a command that asks the questions of a dataset."""

    n: int  # questions


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, and how many went up and down."""

    mean: float
    interval_95: tuple[float, float] | None
    better: int
    worse: int


def difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """Compare paired values; the interval is by bootstrap."""
    changes = [value - other for value, other in zip(values, others, strict=True)]
    return Difference(
        mean=statistics.mean(changes),
        interval_95=bootstrap(changes),
        better=sum(change > NOISE for change in changes),
        worse=sum(change < -NOISE for change in changes),
    )
