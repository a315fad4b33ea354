"""The table of models.md: the same questions, answered by different models. `evaluate` adds a row.

    $ python -m step3_rag evaluate --answers --split answers-test --reader chat --model claude-haiku-4-5 \\
          --add-row step3_rag/models.md
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from shared.stats import Share, percent

COLUMNS = (
    "model",
    "reader",
    "questions",
    "right",
    "wrong answers given",
    "refused",
    "tokens read",
    "tokens written",
    "dollars",
    "s a question",
    "date",
    "machine",
)


@dataclass(frozen=True)
class Tokens:
    """What the chat model read and wrote for some answers."""

    read: int = 0
    written: int = 0
    dollars: float | None = None  # None: no price is known, or none is paid


@dataclass(frozen=True)
class Row:
    """The figures of one model on one split, with abstaining."""

    model: str
    reader: str
    questions: str  # dataset and split
    right: Share  # of the questions that the documents answer
    wrong: Share  # of all questions
    refused: Share  # of the questions that they don't answer
    tokens: Tokens
    seconds: float  # median
    machine: str
    date: datetime.date

    def cells(self) -> list[str]:
        """The row as text, in the order of COLUMNS."""
        dollars = "-" if self.tokens.dollars is None else f"{self.tokens.dollars:.2f}"
        return [
            self.model,
            self.reader,
            self.questions,
            _counts(self.right),
            _counts(self.wrong),
            _counts(self.refused),
            f"{self.tokens.read:,}",
            f"{self.tokens.written:,}",
            dollars,
            f"{self.seconds:.1f}",
            self.date.isoformat(),
            self.machine,
        ]


def _counts(share: Share) -> str:
    """A share with its counts: `26/50 52% (39-65)`."""
    return f"{share.hits}/{share.n} {percent(share)}"


def check(path: Path) -> None:
    """Check that a file has the table, before a model answers for minutes.

    Raises:
        UserError: it can't be read, or has no such table.
    """
    _end_of_table(_read(path), path)


def add(path: Path, row: Row) -> None:
    """Put a row at the end of the file's table.

    Raises:
        UserError: the file can't be read or written, or has no such table.
    """
    lines = _read(path)
    lines.insert(_end_of_table(lines, path), _line(row.cells()))
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"cannot read {path}: {why}") from None


def _end_of_table(lines: Sequence[str], path: Path) -> int:
    """The index of the first line after the table."""
    header = _line(COLUMNS)
    if header not in lines:
        raise UserError(f"{path} has no table of models: its header is {header}")
    end = lines.index(header)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return end
