"""Collections with questions and judgements: the sample corpus, a folder in BEIR's layout, BEIR from the hub.

    corpus.jsonl      {"_id": "d1", "title": "Supply agreement", "text": "..."}
    queries.jsonl     {"_id": "q1", "text": "When does it renew?"}
    qrels/test.tsv    query-id <tab> corpus-id <tab> score, with a header line

`qrels` say which documents are relevant to which question. A question without any is one that the
collection can't answer: the sample has such questions, BEIR's collections don't.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.errors import UserError, reason
from step3_rag import SAMPLE
from step3_rag.ingest import load, update
from step3_rag.ingest.piece import clean
from step3_rag.ingest.sources import DEFAULT_COLLECTION, Report, Source, files_in
from step3_rag.service import SIZES, Service, corpus_service, sample_home


@dataclass(frozen=True)
class Question:
    """A question with its judgements; `answers` are accepted reference answers, where there are any."""

    id: str
    text: str
    qrels: dict[str, int]
    kind: str = ""
    collection: str | None = None
    answers: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()  # passages that support the answer, word by word
    before: tuple[str, ...] = ()  # what was asked before, for a question that goes on from it


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

    def pieces(self) -> Iterator[load.Piece]:
        yield load.Piece(self.text or self.heading)

    def title(self, text: str) -> str:  # noqa: ARG002  (a file's title is in its text, this one's isn't)
        return self.heading


@dataclass(frozen=True)
class Dataset:
    """A corpus and questions about it."""

    name: str
    sources: list[Source]
    questions: list[Question]
    meta: dict[str, Any] = field(default_factory=dict)


def read(name: str, split: str | None, settings: Settings) -> Dataset:
    """The dataset `sample`, a folder's, or `beir:NAME` of the hub.

    Raises:
        UserError: there is no such dataset, or a file of it is wrong (names the line).
    """
    if name == "sample":
        return _sample(split or "test")
    if name.startswith("beir:"):
        return _from_hub(name.removeprefix("beir:"), split or "test", settings)
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"--dataset {name}: use sample, a folder in BEIR's layout, or beir:NAME")
    return _folder(folder, split or "test")


def _sample(split: str) -> Dataset:
    report = Report()
    files = files_in(SAMPLE / "documents", None, report)
    questions = [
        Question(
            row["id"],
            row["text"],
            {each["doc"]: 1 for each in row["relevant"]},
            row["kind"],
            row["collection"],
            tuple(row["answers"]),
            tuple(each["quote"] for each in row["relevant"]),
            tuple(row.get("before", ())),
        )
        for row in _json_lines(SAMPLE / "questions.jsonl", "id", "text", "relevant")
        if row["split"] == split
    ]
    if not questions:
        raise UserError(f"the sample has no split {split!r}: use dev, test, kinds-dev or kinds-test")
    return Dataset(f"sample, {split}", list(files), questions)


def _folder(folder: Path, split: str) -> Dataset:
    sources = _texts(_json_lines(folder / "corpus.jsonl", "_id", "text"))
    qrels = _qrels(folder / "qrels" / f"{split}.tsv")
    known = {source.name for source in sources}
    lost = sorted({doc for row in qrels.values() for doc in row} - known)
    if lost:
        raise UserError(f"{folder}/qrels/{split}.tsv names documents that corpus.jsonl lacks: {lost[0]}, ...")
    questions = [
        Question(str(row["_id"]), row["text"], qrels[str(row["_id"])])
        for row in _json_lines(folder / "queries.jsonl", "_id", "text")
        if str(row["_id"]) in qrels
    ]
    if not questions:
        raise UserError(f"{folder}/queries.jsonl has none of the questions that qrels/{split}.tsv judges")
    return Dataset(folder.resolve().name, sources, questions)


def _texts(rows: Iterable[dict[str, Any]]) -> list[Source]:
    texts: dict[str, Source] = {}
    for row in rows:
        name = clean(str(row["_id"]))
        if name in texts:
            raise UserError(f"two documents of the corpus have the _id {name}")
        texts[name] = Text(name, row.get("title") or "", row["text"])
    return list(texts.values())


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_lines(path), 1):
        parts = line.split("\t")
        if not line.strip() or (number == 1 and parts[-1].strip() == "score"):
            continue
        try:
            query, document, score = parts
            found.setdefault(query, {})[document] = int(score)
        except ValueError:
            raise UserError(
                f"{path} line {number}: it must be query-id, corpus-id and a whole number, with tabs between"
            ) from None
    return found


def _from_hub(name: str, split: str, settings: Settings) -> Dataset:
    """BEIR as it lies on the hub: the repositories BeIR/NAME and BeIR/NAME-qrels."""
    if not settings.hub:
        raise UserError(f"beir:{name} comes from the hub, which is switched off (ROADMAP_HUB=false)")
    corpus = _rows(f"BeIR/{name}", "corpus", "corpus")
    queries = _rows(f"BeIR/{name}", "queries", "queries")
    judged = _rows(f"BeIR/{name}-qrels", None, split)
    qrels: dict[str, dict[str, int]] = {}
    for row in judged:
        qrels.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
    sources = _texts(corpus)
    questions = [
        Question(str(row["_id"]), row["text"], qrels[str(row["_id"])])
        for row in queries
        if str(row["_id"]) in qrels
    ]
    if not questions:
        raise UserError(f"BeIR/{name} has none of the questions that BeIR/{name}-qrels judges")
    return Dataset(f"beir:{name}", sources, questions)


def _rows(repository: str, config: str | None, split: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(repository, config, split=split)
    except Exception as error:  # refused, not found, cannot be reached: the client has an error for each
        raise UserError(f"{repository} cannot be had from the hub: {reason(error)}") from None


def _json_lines(path: Path, *needed: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or any(name not in row for name in needed):
            raise UserError(f"{path} line {number}: it must be a JSON object with {', '.join(needed)}")
        for name in ("text", "title"):
            if not isinstance(row.get(name) or "", str) or (name in needed and row[name] is None):
                raise UserError(f"{path} line {number}: {name} must be a string")
        yield row


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    raise UserError(f"{path} line {number}: it is no UTF-8") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or reason(error)}") from None


def dataset_service(
    settings: Settings, data: Dataset, sizes: update.Sizes = SIZES, store: str = "chroma"
) -> Service:
    """The index of an evaluation dataset, made when needed and kept in the cache."""
    home = dataset_home(settings, data.name, sizes)
    return corpus_service(settings, home, data.sources, sizes, store)


def dataset_home(settings: Settings, name: str, sizes: update.Sizes) -> Path:
    """Where that index is."""
    if name.startswith("sample,") and sizes == SIZES:
        return sample_home(settings)
    key = hashlib.sha256(f"{name} {settings.embedder} {sizes}".encode()).hexdigest()[:8]
    return settings.cache_dir / "rag" / f"{name.split(':')[-1].split(',')[0]}-{key}"
