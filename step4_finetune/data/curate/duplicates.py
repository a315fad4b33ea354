"""Duplicates and near-duplicates within a split, and leakage between train, dev and test.

    >>> near = Near()
    >>> near.add(0, "My hedge trimmer is too loud since Monday.")
    >>> near.find("my hedge trimmer is much too loud since monday")
    (0, 0.7555555555555555)

Two texts are near if they share at least `NEAR` of their runs of five letters (Jaccard). Comparing all pairs
would take n² steps; MinHash (Broder 1997) shrinks a text to 128 numbers, and hashing these in bands (LSH)
finds the few candidates, for which the exact value is then computed. So there are no false alarms; of pairs
at the threshold about one in a hundred is missed.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from datasketch import MinHash, MinHashLSH

from step4_finetune.data.curate.finding import (
    ERROR,
    WARNING,
    Case,
    Finding,
    of_cases,
    places,
    prompt_text,
    short,
    unchecked,
)
from step4_finetune.data.rows import SPLITS, Row

NEAR = 0.6
LETTERS = 5  # of a shingle
BANDS = (32, 4)  # 32 bands of 4 numbers: two texts of Jaccard j share one with 1 - (1 - j ** 4) ** 32
PERMUTATIONS = BANDS[0] * BANDS[1]


class Near:
    """An index of numbered texts that finds the one nearest to a given text."""

    def __init__(self, threshold: float = NEAR) -> None:
        self.threshold = threshold
        self.shingles: dict[int, frozenset[str]] = {}
        self.lsh = MinHashLSH(params=BANDS, num_perm=PERMUTATIONS)

    def add(self, number: int, text: str) -> None:
        """Remember a text."""
        self.shingles[number] = shingles(text)
        self.lsh.insert(number, self._sketch(self.shingles[number]))

    def find(self, text: str) -> tuple[int, float] | None:
        """The nearest of the texts, as its number and how near it is (`jaccard` of the `shingles`).

        Of several that are equally near the one with the smallest number; None where none is as near as
        `threshold` or nearer. `self.lsh.query(self._sketch(shingles))` gives the numbers of the candidates,
        in no order, and may name some that are not near at all.
        """
        own = shingles(text)
        candidates: Any = self.lsh.query(self._sketch(own))
        found = [(jaccard(own, self.shingles[number]), -number) for number in candidates]
        near, number = max(found, default=(0.0, 0))
        return (-number, near) if near >= self.threshold else None

    @staticmethod
    def _sketch(parts: frozenset[str]) -> MinHash:
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([part.encode() for part in parts])
        return sketch


def shingles(text: str) -> frozenset[str]:
    """Every run of LETTERS characters of the `folded` text; spaces between words count.

    A shorter text, even an empty one, is one shingle as a whole.
    """
    plain = folded(text)
    return frozenset(plain[at : at + LETTERS] for at in range(max(1, len(plain) - LETTERS + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of what both have in what either has, 0 to 1. Neither is empty."""
    return len(one & other) / len(one | other)


def folded(text: str) -> str:
    """Words alone, in lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))


# --- within a split ---------------------------------------------------------------------------------------


def duplicates(rows: Sequence[Row]) -> Finding:
    """Rows that equal an earlier one of their split."""
    seen: dict[tuple[str | None, ...], int] = {}
    cases = []
    for at, row in enumerate(rows):
        key = (row.split, folded(prompt_text(row)), row.chosen, row.rejected)
        if key in seen:
            like = rows[seen[key]].id
            cases.append(Case(at, row.id, f"as {like}: {short(row.message)}"))
        seen.setdefault(key, at)
    advice = "keep one of them: a row that is there twice counts double"
    return of_cases("duplicates", cases, len(rows), ERROR, advice)


def near_duplicates(rows: Sequence[Row], threshold: float = NEAR) -> Finding:
    """Prompts that are nearly the same as an earlier one of their split.

    Split by split, in the order of SPLITS, and in the order of the rows: a row whose prompt (`prompt_text`)
    is near that of an earlier one is a case (`_case`), with the nearest of these; any other is remembered, so
    that later ones are held against it. A case itself is not remembered.

    Passed over, neither found nor remembered: a prompt without words, and a row that has the same `folded`
    prompt and the same chosen reply as an earlier one of its split. Such pairs differ in `rejected` alone,
    and a prompt may have several of these.
    """
    cases: list[Case] = []
    for split in SPLITS:
        near, seen = Near(threshold), set()
        for at in places(rows, split):
            text = prompt_text(rows[at])
            key = (folded(text), rows[at].chosen)
            if key in seen or not key[0]:
                continue
            seen.add(key)
            if found := near.find(text):
                cases.append(_case(rows, at, *found))
            else:
                near.add(at, text)
    advice = "keep one of them, or word them differently: they add little and weigh double"
    return of_cases("near-duplicates", cases, len(rows), WARNING, advice)


# --- across splits ----------------------------------------------------------------------------------------


def leakage(rows: Sequence[Row]) -> Finding:
    """Prompts of train that nearly repeat one of dev or test, and those of dev that nearly repeat test's."""
    held_out = {"test": Near(), "dev": Near()}
    later = {"train": ("test", "dev"), "dev": ("test",)}
    texts = [prompt_text(row) for row in rows]
    for at, row in enumerate(rows):
        if row.split in held_out and folded(texts[at]):
            held_out[row.split].add(at, texts[at])
    cases = []
    for at, row in enumerate(rows):
        near = (held_out[split].find(texts[at]) for split in later.get(row.split, ()) if folded(texts[at]))
        if found := next(filter(None, near), None):
            cases.append(_case(rows, at, *found))
    advice = "take them out of train: what was trained on is not a test"
    return of_cases("leakage", cases, len(rows), ERROR, advice)


def topics_apart(rows: Sequence[Row]) -> Finding:
    """Topics that occur in several splits: then no figure shows how the model does on a new topic."""
    splits: dict[str, list[str]] = {}  # of a topic, in the order of the rows
    for row in rows:
        if row.topic and row.split not in splits.setdefault(row.topic, []):
            splits[row.topic].append(row.split)
    if not splits:
        return unchecked("topics across splits", "no topics")
    cases = []
    for at, row in enumerate(rows):
        where = splits.get(row.topic or "", [])
        # Where train has the topic, too, only its rows there are named: these are the ones to move.
        if len(where) > 1 and (row.split == "train" or "train" not in where):
            cases.append(Case(at, row.id, f"{row.topic}: in {' and '.join(where)}"))
    advice = "give a topic to one split; rows without the column split are divided so"
    return of_cases("topics across splits", cases, len(rows), ERROR, advice)


def boilerplate(rows: Sequence[Row]) -> set[str]:
    """Lines that occur in more than half of the chosen replies, such as the greeting."""
    lines = Counter(line for row in rows for line in {each.strip() for each in row.chosen.splitlines()})
    return {line for line, n in lines.items() if n > max(1, len(rows) / 2)}


def _case(rows: Sequence[Row], at: int, other: int, near: float) -> Case:
    """The row at place `at` is near another."""
    message = short(rows[at].message, 60)
    where = f" ({rows[other].split})" if rows[other].split != rows[at].split else ""
    return Case(at, rows[at].id, f"{near:.2f} like {rows[other].id}{where}: {message}")
