"""Stand-ins for step 5: the arguments of its functions that are not plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

VOCABULARY = 64  # of the model that the batcher runs
CONTEXT = 2048


@dataclass(frozen=True)
class Chunk:
    """A chunk of a document, as step 3 has them."""

    text: str
    number: int


def measured(keys: int) -> sa.Table:
    """A table of keys k0, k1 ..., a day and a number of milliseconds."""
    columns = [sa.Column(f"k{i}", sa.Text) for i in range(keys)]
    return sa.Table(
        "measured", sa.MetaData(), *columns, sa.Column("day", sa.Integer), sa.Column("ms", sa.Double)
    )


def since(table: sa.Table, day: int | None) -> Any:
    """The condition that a row is of this day or a later one."""
    return sa.true() if day is None else table.c.day >= day


def sql(statement: Any) -> str:
    """The statement as SQLite reads it."""
    from sqlalchemy.dialects import sqlite

    return str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
