"""Datasets with questions and judgements: the sample, the railway, or a folder in BEIR's layout.

The sample's documents are seen while the program is developed. The railway's were written by another
author, and are for tests only. In a folder:

    corpus.jsonl      {"_id": "d1", "title": "Supply agreement", "text": "..."}
    queries.jsonl     {"_id": "q1", "text": "When does it renew?"}
    qrels/test.tsv    query-id <tab> corpus-id <tab> score, with a header line

`qrels` say which documents are relevant to which question. A question without any is unanswerable: the sample
has such questions. Datasets in this layout, such as SciFact: Thakur et al. 2021, arXiv:2104.08663.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shared.config import Settings
from shared.errors import UserError
from step3_rag import RAILWAY, SAMPLE
from step3_rag.answer.context import Source
from step3_rag.cached_index import corpus_index
from step3_rag.ingest import load
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Chunk, index_facts
from step3_rag.ingest.sources import DEFAULT_COLLECTION, DocumentSource, Report, files_in
from step3_rag.ingest.stems import stems
from step3_rag.ingest.text import clean
from step3_rag.opening import retriever_on
from step3_rag.retrieve.search import Retriever

T = TypeVar("T")
HEADER = "query-id\tcorpus-id\tscore"
COVERED = 0.8  # share of a quote's stems in a passage


@dataclass(frozen=True)
class Question:
    """A question with its judgements; `answers` are accepted reference answers, if there are any."""

    id: str
    text: str
    qrels: dict[str, int]
    kind: str = ""
    collection: str | None = None
    answers: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()  # passages that support the answer, word for word
    before: tuple[str, ...] = ()  # earlier questions of the conversation

    def supported(self, passages: Sequence[Chunk | Source]) -> list[bool]:
        """For each quote, whether one of the passages has most of its stems (tables lose their form).

        Without quotes, one value: whether one of the passages is from a relevant document.
        """
        if not self.quotes:
            return [any(self.qrels.get(passage.document, 0) > 0 for passage in passages)]
        texts = [set(stems(passage.text)) for passage in passages]
        quotes = [set(stems(quote)) for quote in self.quotes]
        return [any(len(quote & text) >= COVERED * len(quote) for text in texts) for quote in quotes]


@dataclass(frozen=True)
class Text:
    """A document of a corpus.jsonl."""

    name: str
    heading: str
    text: str
    collection: str = DEFAULT_COLLECTION

    @property
    def key(self) -> str:
        return f"corpus:{self.name}"

    def size(self) -> int:
        return len(self.text)

    def digest(self) -> str:
        return hashlib.sha256(f"{self.heading}\0{self.text}".encode(errors="replace")).hexdigest()

    def read(self) -> load.Document:
        return load.Document(clean(self.heading), clean(self.text or self.heading))


@dataclass(frozen=True)
class Dataset:
    """A corpus and questions about it."""

    name: str
    corpus: str  # the name of its index in the cache
    sources: Sequence[DocumentSource]
    questions: list[Question]


def read(name: str, split: str | None) -> Dataset:
    """Read the dataset `sample` or `railway`, or that of a folder.

    Raises:
        UserError: there is no such dataset, or a file of it is wrong (the message names the line).
    """
    split = split or "test"
    if name == "sample":
        return _own(name, SAMPLE, split)
    if name == "railway":
        return _own(name, RAILWAY, split)
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"--dataset {name}: use sample, railway, or a folder in BEIR's layout")
    return _folder(folder, split)


def with_answer(questions: Sequence[Question]) -> list[Question]:
    """The questions that have a relevant document."""
    return [question for question in questions if question.qrels]


def _own(name: str, home: Path, split: str) -> Dataset:
    """A dataset of this package: documents/ and questions.jsonl in `home`."""
    rows = list(_rows(home / "questions.jsonl"))
    questions = [
        Question(
            row["id"],
            row["text"],
            {relevant["doc"]: 1 for relevant in row["relevant"]},
            row["kind"],
            row["collection"],
            tuple(row["answers"]),
            tuple(relevant["quote"] for relevant in row["relevant"]),
            tuple(row.get("before", ())),
        )
        for row in rows
        if row["split"] == split
    ]
    if not questions:
        known = ", ".join(dict.fromkeys(row["split"] for row in rows))
        raise UserError(f"{name} has no split {split!r}: use {known}")
    sources = list(files_in(home / "documents", None, Report()))
    return Dataset(f"{name}, {split}", name, sources, questions)


def sample_rows(name: str) -> Iterator[dict[str, Any]]:
    """The lines of one of the sample's JSONL files: questions, citations or injections."""
    return _rows(SAMPLE / f"{name}.jsonl")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _folder(folder: Path, split: str) -> Dataset:
    """Read a folder's three files; questions without judgements are left out."""
    name = folder.resolve().name
    judgements = folder / "qrels" / f"{split}.tsv"
    judged: dict[str, dict[str, int]] = {}
    for query, document, score in _parsed(judgements, _qrel, "query-id, corpus-id and a whole number"):
        judged.setdefault(query, {})[document] = score
    texts: dict[str, DocumentSource] = {}
    for row in _parsed(folder / "corpus.jsonl", _entry, "a JSON object with _id, text"):
        key = clean(str(row["_id"]))
        if key in texts:
            raise UserError(f"two documents of the corpus have the _id {key}")
        texts[key] = Text(key, row.get("title") or "", row["text"])
    questions = []
    for row in _parsed(folder / "queries.jsonl", _entry, "a JSON object with _id, text"):
        if qrels := judged.get(str(row["_id"])):
            for document in qrels.keys() - texts.keys():
                raise UserError(f"{judgements} names {document}, which corpus.jsonl lacks")
            questions.append(Question(str(row["_id"]), row["text"], qrels))
    if not questions:
        raise UserError(f"{name} has none of the questions that its qrels of {split} judge")
    return Dataset(name, f"folder-{name}", list(texts.values()), questions)


def _parsed(path: Path, parse: Callable[[str], T], what: str) -> Iterator[T]:
    """Parse every line that is neither empty nor the header of qrels; `what` describes a right one.

    Raises:
        UserError: the file can't be read, or a line can't be parsed (the message names it).
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig").strip()
            if text not in ("", HEADER):
                yield parse(text)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{path} line {number}: it must be {what}, in UTF-8") from None


def _qrel(line: str) -> tuple[str, str, int]:
    query, document, score = line.split("\t")
    return query, document, int(score)


def _entry(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    if "_id" not in row or not isinstance(row["text"], str) or not isinstance(row.get("title") or "", str):
        raise TypeError("text and title are strings")
    return row


def dataset_retriever(settings: Settings, data: Dataset, *sizes: int) -> Retriever:
    """A retriever on the index of a dataset, which is kept in the cache and made if necessary."""
    embedder = Embedder(settings)
    facts = index_facts(settings, *sizes)
    return retriever_on(corpus_index(embedder, data.corpus, data.sources, facts), embedder)
