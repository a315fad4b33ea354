"""Data for the recipe `reader`: passages with questions that they answer, and near misses.

    $ python -m step4_finetune data build reader --out data/reader

    {"title": "lease.md, Renewal", "passage": "The lease ends in June. Notice is 60 days.",
     "answered": [["How long is the notice?", "60 days"], ...], "near": ["Who gives notice?", ...]}

The passages are this project's own (passages/*.jsonl), each with three questions that it answers, with the
words that answer them, and three *near misses*: they share its topic and words, and it doesn't answer them.
From these come the examples:

    answered     a question and its passage                        the sentence with the answer is learnt
    deleted      the same without the sentence that answers        "not here" is learnt
    near         a near miss and its passage                       "not here"
    elsewhere    a question and a similar passage of another row   "not here"

An example of the second kind differs from the first in one sentence only, so topic and words don't give the
answer away.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from shared.errors import UserError
from shared.sentences import Span, sentences
from step4_finetune.data.files import read_jsonl, write_splits

PASSAGES = Path(__file__).with_name("passages")
DEV = 10  # every tenth passage
NEAREST = 3  # an "elsewhere" passage is one of so many, the most similar ones
NEIGHBOURS = 3  # rows before and after one may be of the same document, and answer its questions, too

Kind = Literal["answered", "deleted", "near", "elsewhere"]


@dataclass(frozen=True)
class Asked:
    """A question that a passage answers."""

    question: str
    answer: Span  # where in the passage the answer stands, in characters


@dataclass(frozen=True)
class PassageRow:
    """A passage with its questions."""

    title: str
    passage: str
    answered: tuple[Asked, ...]
    near: tuple[str, ...]

    @property
    def text(self) -> str:
        """Title and passage."""
        return f"{self.title}\n{self.passage}"


@dataclass(frozen=True)
class Example:
    """What the reader learns from: a question, a passage, and where the answer stands."""

    question: str
    title: str
    passage: str
    answer: Span | None  # None: not here
    kind: Kind


def build(out: Path, seed: int) -> dict[str, Any]:
    """Write `out`/train.jsonl and `out`/dev.jsonl.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    rows = read_passages()
    train = [row for i, row in enumerate(rows) if i % DEV]
    splits = {"train": train, "dev": rows[::DEV]}
    examples = {}
    for split, chosen in splits.items():
        examples[split] = [asdict(example) for example in examples_of(chosen, seed)]
    return {
        "command": "step4_finetune data-build-reader",
        "headline": f"{len(train):,} passages for training, seed {seed}",
        "seed": seed,
        "splits": write_splits(out, examples),
    }


def read_passages(folder: Path = PASSAGES) -> list[PassageRow]:
    """The passages of a folder's files.

    Raises:
        UserError: a line has another form, or its answer doesn't stand once in its passage.
    """
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in read_jsonl(path, ("title", "passage")):
            try:
                asked = tuple(
                    Asked(question, _place(line["passage"], words)) for question, words in line["answered"]
                )
                rows.append(PassageRow(line["title"], line["passage"], asked, tuple(line["near"])))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path}:{number}: {error}") from None
    return rows


def _place(passage: str, words: str) -> Span:
    """Where an answer stands."""
    if passage.count(words) != 1:
        raise ValueError(f"the answer {words!r} must stand in the passage, once")
    start = passage.index(words)
    return start, start + len(words)


def examples_of(rows: Sequence[PassageRow], seed: int) -> list[Example]:
    """All examples of some passages, shuffled."""
    examples = [*own_examples(rows), *elsewhere(rows, seed)]
    random.Random(seed).shuffle(examples)
    return examples


def own_examples(rows: Iterable[PassageRow]) -> Iterator[Example]:
    """The examples with a passage's own questions."""
    for row in rows:
        for asked in row.answered:
            yield Example(asked.question, row.title, row.passage, asked.answer, "answered")
            rest = without_sentence(row.passage, asked.answer)
            yield Example(asked.question, row.title, rest, None, "deleted")
        for question in row.near:
            yield Example(question, row.title, row.passage, None, "near")


def without_sentence(passage: str, answer: Span) -> str:
    """A passage without the sentences in which an answer stands."""
    start, end = answer
    kept = passage
    for begin, stop in reversed(sentences(passage)):
        if begin < end and start < stop:
            kept = f"{kept[:begin].rstrip(' ')} {kept[stop:].lstrip(' ')}"
    return kept.strip()


def elsewhere(rows: Sequence[PassageRow], seed: int) -> Iterator[Example]:
    """Each question with one of the passages that resemble its own passage most, by TF-IDF.

    Such a passage is about the same kind of thing, and an index is full of them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics.pairwise import linear_kernel

    words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    vectors = words.fit_transform([row.text for row in rows])  # (rows, words)
    similar = linear_kernel(vectors)  # (rows, rows) cosines
    rng = random.Random(seed)
    for i, row in enumerate(rows):
        order = [int(j) for j in (-similar[i]).argsort(kind="stable")]
        others = [rows[j] for j in order if abs(j - i) > NEIGHBOURS]
        for asked in row.answered:
            other = rng.choice(others[:NEAREST])
            yield Example(asked.question, other.title, other.passage, None, "elsewhere")


def read_examples(path: Path, limit: int | None = None) -> list[Example]:
    """The first `limit` examples of a file that `build` wrote.

    Raises:
        UserError: the file is missing or empty, or a line has another form.
    """
    wanted = "`python -m step4_finetune data build reader --out DIR` writes DIR/train.jsonl"
    if not path.exists():
        raise UserError(f"there is no file {path}: {wanted}")
    examples = []
    for _, line in read_jsonl(path):
        try:
            example = Example(**line)
            if example.answer is not None:
                start, end = example.answer  # a list in JSON
                example = replace(example, answer=(start, end))
        except (TypeError, ValueError):
            raise UserError(f"{path} holds no examples of the recipe reader: {wanted}") from None
        examples.append(example)
        if len(examples) == limit:
            break
    if not examples:
        raise UserError(f"{path} holds no examples: {wanted}")
    return examples
