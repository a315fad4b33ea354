"""`merges`: byte-pair encoding, trained on a text, merge by merge."""

from __future__ import annotations

from dataclasses import dataclass

from shared.cli import Console, plain_table
from shared.words import count
from step1_foundations.support.text import show_bytes
from step1_foundations.tokens import DATA, WORD, apply_merges, learn_merges


@dataclass(frozen=True)
class MergeRow:
    """A merge as it is printed."""

    count: int  # how often the two were neighbours
    left: str
    right: str


@dataclass(frozen=True)
class MergesReport:
    """The merges that a text teaches."""

    command: str
    headline: str
    merges: list[MergeRow]  # in the order in which they were learned
    word: str
    pieces: list[str]  # of the word, with all merges applied


def train_merges(text: str, n: int, word: str) -> MergesReport:
    """Learn n merges from the text, or from merges.txt if it is empty, and tokenize the word with them."""
    text = text or (DATA / "merges.txt").read_text(encoding="utf-8").strip()
    learned = learn_merges(text, n)
    pieces = sum(len(apply_merges(part, learned)) for part in WORD.findall(text))
    return MergesReport(
        command="step1_foundations merges",
        headline=f"{count(len(text.encode()), 'byte')}, {count(pieces, 'piece')} "
        f"after {count(len(learned), 'merge')}",
        merges=[MergeRow(merge.count, show_bytes(merge.left), show_bytes(merge.right)) for merge in learned],
        word=word,
        pieces=[show_bytes(piece) for piece in apply_merges(word, learned)],
    )


def show(report: MergesReport, console: Console) -> None:
    """One row per merge, and a word tokenized with all of them."""
    rows = []
    for i, merge in enumerate(report.merges, 1):
        rows.append((str(i), str(merge.count), merge.left, merge.right, merge.left + merge.right))
    columns = ("merge", "seen", "left", "right", "new piece")
    console.print(plain_table(*columns, rows=rows, right=columns[:2]))
    console.print(f"\n{report.headline}")
    console.print(f"{report.word!r} is tokenized as {' | '.join(report.pieces)}", soft_wrap=True)
