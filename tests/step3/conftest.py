"""A fake embedder, a few documents, and an index of them."""

import contextlib
import json
import re
import zlib
from functools import cache

import numpy as np
import pytest

from shared.config import load_settings
from step3_rag import opening
from step3_rag.cli import documents as documents_command
from step3_rag.evaluate import dataset
from step3_rag.ingest import update
from step3_rag.ingest.embed import Embedder, Encoded
from step3_rag.ingest.index import Index
from step3_rag.retrieve.search import Retriever
from step3_rag.retrieve.snapshot import Snapshot
from step3_rag.stores import vector_store

DIM = 16
FACTS = {"embedder": "fake", "chunk_size": 128, "chunk_overlap": 32}
DOCUMENTS = {
    "contracts/supply.md": "# Supply agreement\n\n## Renewal\n\nThe contract renews every year. "
    "Notice is 60 days.\n\n## Price\n\nThe price of a sensor is EUR 412.\n",
    "contracts/hosting.html": "<nav>Home</nav><h1>Hosting</h1><p>Servers stand in Oslo.</p>",
    "handbook/leave.txt": "Employees have 30 days of leave. What is left in March is lost.\n",
    "handbook/people.csv": "name,role\nAnn Reyes,pilot\nBo Lind,cook\n",
    "notes.md": "# Notes\n\nThe kettle in the kitchen is broken.\n",
}


def word_spans(text):
    """Words as tokens."""
    return [found.span() for found in re.finditer(r"\w+|[^\w\s]", text)]


@cache
def word_vector(word):
    """A word's vector, always the same, shape (DIM,), length 1."""
    drawn = np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIM)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


class FakeEmbedder(Embedder):
    """Words are tokens, each with its own vector: texts that share words are near each other."""

    longest = 254
    name = "fake"

    def __init__(self, settings=None):
        super().__init__(settings or load_settings())
        self.embedded = []  # every text that was embedded, in order

    def token_spans(self, text):
        return word_spans(text)

    def encode(self, texts):
        self.embedded += texts
        encoded = []
        for text in texts:
            words = [text[start:end].lower() for start, end in word_spans(text)][: self.longest]
            vectors = np.stack([word_vector(""), *map(word_vector, words)])  # the first for the markers
            mean = vectors.mean(0)
            ids = np.array([zlib.crc32(word.encode()) % 30_000 for word in words], np.int32)
            encoded.append(Encoded(mean / np.linalg.norm(mean), ids, vectors[1:].astype(np.float16)))
        return encoded

    def encode_documents(self, texts):
        return self.encode(texts)


def write(folder, files):
    """Write files, given as path: text or bytes."""
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return folder


JUDGED = {"q1": ("notiice supply", ["contracts/supply.md"]), "q2": ("kettle", ["notes.md"])}


def as_beir(folder, questions=JUDGED):
    """The five documents and questions about them as a folder in BEIR's layout."""
    docs = [{"_id": name, "title": "", "text": text} for name, text in DOCUMENTS.items()]
    asked = [{"_id": name, "text": text} for name, (text, _) in questions.items()]
    qrels = [f"{name}\t{doc}\t1" for name, (_, relevant) in questions.items() for doc in relevant]
    files = {"corpus.jsonl": map(json.dumps, docs), "queries.jsonl": map(json.dumps, asked)}
    files["qrels/test.tsv"] = ["query-id\tcorpus-id\tscore", *qrels]
    return write(folder, {name: "\n".join(lines) for name, lines in files.items()})


def bring_in(index, *paths, embedder=None):
    """Ingest paths like the command, without the lock and the vector store."""
    return update.ingest_paths(index, paths, None, embedder or FakeEmbedder())


def texts_of(index):
    """The texts of all visible chunks, by document."""
    snapshot, found = Snapshot(index), {}
    for chunk in index.chunks(snapshot.ids.tolist()):
        found.setdefault(chunk.document, []).append(chunk.text)
    return found


def names(home):
    """The documents of the index in a folder."""
    with contextlib.closing(Index.open(home, {})) as index:
        return [row["name"] for row in index.documents()]


@pytest.fixture
def embedder():
    return FakeEmbedder()


@pytest.fixture
def documents(tmp_path):
    """A folder with five documents in three collections."""
    return write(tmp_path / "documents", DOCUMENTS)


@pytest.fixture
def index(tmp_path):
    """An empty index."""
    index = Index.open(tmp_path / "index", FACTS, create=True)
    yield index
    index.close()


@pytest.fixture
def built(index, documents):
    """An index of the five documents."""
    assert len(bring_in(index, documents).new) == len(DOCUMENTS)
    return index


@pytest.fixture(scope="session")
def retriever(made_once):
    """Searches the five documents; for tests that change nothing."""
    index = Index.open(made_once, {})
    return Retriever(index, vector_store.open_store("chroma", index), FakeEmbedder())


@pytest.fixture
def own_retriever(built, embedder):
    """The same on an index that the test may change."""
    store = vector_store.open_store("chroma", built)
    vector_store.sync(built, store)
    return Retriever(built, store, embedder)


@pytest.fixture
def fake(monkeypatch, embedder):
    """Commands use an embedder that loads nothing."""
    for place in (opening, dataset, documents_command):
        monkeypatch.setattr(place, "Embedder", lambda _settings: embedder)
    return embedder


@pytest.fixture
def beir(tmp_path, fake):
    """A collection of five documents and two questions."""
    return as_beir(tmp_path / "beir")


@pytest.fixture
def home(tmp_path, command, fake, documents):
    """The five documents in rag-index of the working folder, brought in by the command."""
    assert command("step3_rag", "ingest", str(documents)).code == 0
    return tmp_path / "rag-index"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """The folder of an index of the five documents."""
    folder = tmp_path_factory.mktemp("once")
    index = Index.open(folder / "index", {**FACTS, "embedder": "all-minilm-l6-v2"}, create=True)
    bring_in(index, write(folder / "documents", DOCUMENTS))
    vector_store.sync(index, vector_store.open_store("chroma", index))
    index.close()
    return folder / "index"


@pytest.fixture
def read_only(made_once, fake, monkeypatch):
    """Commands find that index without --index; for tests that leave it as it is."""
    monkeypatch.setattr(opening, "HOME", made_once)
    return made_once
