"""Write passages with questions for training a judge and for choosing.

    $ python -m step4_finetune data build judge --out data/judge

The passages are this project's own (passages/*.jsonl): each with three questions that it answers and three
near misses, which share its topic and its words but ask what it does not say. They get *hard negatives*:
those questions of other passages that resemble this one most, by TF-IDF.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from step4_finetune.data.files import read_jsonl, split_files, write_rows
from step4_finetune.train.branches import Row, fingerprint

PASSAGES = Path(__file__).with_name("passages")
HARD = 2  # negatives from other passages
DEV = 10  # every tenth passage


def run(out: Path, seed: int, *, force: bool = False) -> dict[str, Any]:
    """Write `out`/train.jsonl and `out`/dev.jsonl.

    Raises:
        UserError: a file is there already or cannot be written.
    """
    rows = own()
    split = {"train": [row for at, row in enumerate(rows) if at % DEV], "dev": rows[::DEV]}
    paths = split_files(out, split, force=force)
    facts: dict[str, Any] = {}
    for name, some in split.items():
        made = with_hard_negatives(some, seed)
        write_rows(paths[name], made)
        labels = [answered for row in made for _, answered in row["questions"]]
        facts[name] = {
            "passages": len(made),
            "answered": sum(labels),
            "not_answered": len(labels) - sum(labels),
            "fingerprint": fingerprint(made),
            "file": str(paths[name]),
        }
    return {
        "command": "step4_finetune data-build-judge",
        "headline": f"{facts['train']['passages']:,} passages for training, seed {seed}",
        "seed": seed,
        "splits": facts,
    }


def own() -> list[Row]:
    """This project's passages, in their order."""
    found = []
    for path in sorted(PASSAGES.glob("*.jsonl")):
        for _, row in read_jsonl(path):
            asked = [[text, True] for text in row["answered"]] + [[text, False] for text in row["near"]]
            found.append({"passage": row["passage"], "questions": asked})
    return found


def with_hard_negatives(rows: Sequence[Row], seed: int) -> list[Row]:
    """Each row with questions that other passages answer and that resemble this passage, in a mixed order."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import linear_kernel

    asked = [(at, text) for at, row in enumerate(rows) for text, answered in row["questions"] if answered]
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    passages = words.fit_transform([row["passage"] for row in rows])  # (rows, words)
    questions = words.transform([text for _, text in asked])
    alike = linear_kernel(passages, questions)  # cosines, (rows, questions)
    rng, found = random.Random(seed), []
    for at, row in enumerate(rows):
        own_texts = {text for text, _ in row["questions"]}
        best = [
            each
            for each in alike[at].argsort()[::-1]
            if asked[each][0] != at and asked[each][1] not in own_texts
        ]
        mixed = [*row["questions"], *([asked[each][1], False] for each in best[:HARD])]
        found.append({"passage": row["passage"], "questions": rng.sample(mixed, len(mixed))})
    return found
