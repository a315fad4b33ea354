"""Data for the recipe `judge`: passages with questions that they answer, and questions that they don't.

    $ python -m step4_finetune data build judge --out data/judge

    {"passage": "Either party may leave after 60 days.", "questions": [["How long is notice?", true], ...]}

The passages are this project's own (passages/*.jsonl): each with three questions that it answers and three
that it doesn't, though they share its topic and words. To these come *hard negatives*:
questions of the most similar other passages, by TF-IDF.

In training, each question is a branch after its passage (train/branches.py):

    passage    "Passage: Either party ..."                   read once
    branch 1   "Query: How long is notice? Answered: yes"    learnt: the last token
    branch 2   "Query: Who signed? Answered: no"             learnt: the last token
"""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from shared.embedded.judge import NO, YES, passage_text, question_text
from step4_finetune.data.files import read_jsonl, write_splits
from step4_finetune.train.branches import Part, Row

PASSAGES = Path(__file__).with_name("passages")
HARD = 2  # negatives from other passages
DEV = 10  # every tenth passage


def build(out: Path, seed: int) -> dict[str, Any]:
    """Write `out`/train.jsonl and `out`/dev.jsonl.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    rows = read_passages()
    train = with_hard_negatives([row for at, row in enumerate(rows) if at % DEV], seed)
    dev = with_hard_negatives(rows[::DEV], seed)
    return {
        "command": "step4_finetune data-build-judge",
        "headline": f"{len(train):,} passages for training, seed {seed}",
        "seed": seed,
        "splits": write_splits(out, {"train": train, "dev": dev}),
    }


def read_passages() -> list[Row]:
    """This project's passages with their own questions."""
    found = []
    for path in sorted(PASSAGES.glob("*.jsonl")):
        for _, row in read_jsonl(path):
            asked = [[text, True] for text in row["answered"]] + [[text, False] for text in row["near"]]
            found.append({"passage": row["passage"], "questions": asked})
    return found


def with_hard_negatives(rows: Sequence[Row], seed: int) -> list[Row]:
    """Each row with the questions of other passages that resemble this passage most, shuffled."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import linear_kernel

    asked = [(at, text) for at, row in enumerate(rows) for text, answered in row["questions"] if answered]
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    passages = words.fit_transform([row["passage"] for row in rows])  # (rows, words)
    questions = words.transform([text for _, text in asked])
    similarity = linear_kernel(passages, questions)  # cosines, (rows, questions)
    rng, found = random.Random(seed), []
    for at, row in enumerate(rows):
        own = {text for text, _ in row["questions"]}
        nearest = (asked[each] for each in (-similarity[at]).argsort(kind="stable"))
        others = [text for of, text in nearest if of != at and text not in own]
        questions_of_row = [*row["questions"], *([text, False] for text in others[:HARD])]
        shuffled = rng.sample(questions_of_row, len(questions_of_row))
        found.append({"passage": row["passage"], "questions": shuffled})
    return found


def fits(row: Row) -> bool:
    """Whether a row has a passage, and questions that are each marked as answered or not."""
    asked = [isinstance(text, str) and isinstance(answered, bool) for text, answered in row["questions"]]
    return bool(row["passage"]) and all(asked)


def parts(row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[Part]:
    """The passage, then each question with its answer, of which one token counts."""
    encode = partial(tokenizer.encode, add_special_tokens=False)
    yield [(encode(passage_text(row["passage"])), False)]
    for text, answered in row["questions"]:
        yield [(encode(question_text(text)), False), (encode(YES if answered else NO)[:1], True)]
