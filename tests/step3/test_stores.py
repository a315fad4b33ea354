"""One contract for all vector stores, and tests for single stores.

Chroma (in process, and `chroma run`) and FAISS are real. Weaviate and Pinecone are their real clients with
fake servers on loopback, which check every request against the documented wire format.
"""

import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import UserError
from step3_rag.ingest.embed import Encoded
from step3_rag.ingest.index import Index, NewChunk, NewDocument
from step3_rag.retrieve.snapshot import Snapshot
from step3_rag.stores import vector_store
from tests.chroma_server import ChromaServer
from tests.step3.conftest import DIM, word_vector

PACKAGES = {"chroma": "chromadb", "faiss": "faiss", "weaviate": "weaviate", "pinecone": "pinecone"}


def fill(index, *documents):
    """Add documents, each `collection/name: number of chunks`."""
    for document in documents:
        name, _, count = document.partition(": ")
        texts = [f"{name} passage {place} \N{LATIN SMALL LETTER E WITH ACUTE}" for place in range(int(count))]
        chunks = [NewChunk(place, 0, None, "", text, text) for place, text in enumerate(texts)]
        with index.transaction():
            number = index.replace(NewDocument(name, f"/{name}", name.split("/")[0], name, document))
            index.add(number, chunks, map(encoded, texts))


def encoded(text):
    return Encoded(word_vector(text), np.zeros(1, np.int32), np.zeros((1, DIM), np.float16))


def drop(index, name):
    index.remove([row["id"] for row in index.documents() if row["name"] == name])


def exact(index, query, k, collection=None):
    """The k nearest chunks by arithmetic: number -> cosine, nearest first."""
    snapshot = Snapshot(index)
    rows = [row for row in range(len(snapshot)) if collection in (None, snapshot.collections[row])]
    ids = [int(snapshot.ids[row]) for row in rows]
    cosines = index.vectors(ids) @ query
    return {ids[i]: float(cosines[i]) for i in np.argsort(-cosines)[:k]}


@dataclass
class Setup:
    """A store and its index."""

    name: str
    folder: Path
    address: str | None = None
    server: Any = None

    def __post_init__(self):
        self.index = Index.open(self.folder, {"embedder": "none"}, create=True)
        self.store = self.open()

    def open(self):
        """As a new process would."""
        self.store = vector_store.open_store(self.name, self.index, self.address)
        return self.store

    def sync(self):
        before = self.store.ids()
        vector_store.sync(self.index, self.store)
        assert vector_store.is_current(self.index, self.store)
        return len(self.store.ids() - before)


# --- the servers ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chroma_server(tmp_path_factory):
    """The address of a real server, started here."""
    server = ChromaServer(tmp_path_factory.mktemp("chroma-server"))
    yield server.address
    server.stop()


@pytest.fixture
def weaviate(tmp_path, monkeypatch):
    """A fake server that needs a key, with an index."""
    pytest.importorskip("weaviate")
    from tests.step3.fake_weaviate import FakeWeaviate

    monkeypatch.setenv("WEAVIATE_API_KEY", "open sesame")
    with FakeWeaviate(key="open sesame") as server:
        yield Setup("weaviate", tmp_path / "rag-index", server.address, server)


@pytest.fixture
def pinecone(tmp_path, monkeypatch):
    """A fake server with an index."""
    pytest.importorskip("pinecone")
    from tests.step3.fake_pinecone import FakePinecone

    with FakePinecone(DIM) as server:
        monkeypatch.setenv("PINECONE_API_KEY", server.key)
        yield Setup("pinecone", tmp_path / "rag-index", server.address, server)


@pytest.fixture(params=["chroma", "chroma server", "faiss", "weaviate", "pinecone"])
def setup(request, tmp_path):
    """A store of each kind; a skip where its extra is not installed."""
    kind, folder = request.param, tmp_path / "rag-index"
    if kind in ("weaviate", "pinecone"):
        return request.getfixturevalue(kind)
    if kind == "chroma server":
        return Setup("chroma", folder, request.getfixturevalue("chroma_server"))
    pytest.importorskip(PACKAGES[kind])
    return Setup(kind, folder)


class TestContract:
    """All stores return the same chunks in the same order with the same scores."""

    def test_finds_the_nearest_in_all_collections_and_in_some(self, setup):
        assert setup.sync() == 0
        assert setup.store.nearest(word_vector("anything"), 5) == {}
        fill(setup.index, "a/one.md: 105", "a b/two.md: 40", "c/three.md: 3")
        assert setup.sync() == 148
        assert setup.store.ids() == set(Snapshot(setup.index).ids.tolist())  # on several pages
        for query in (word_vector("first"), word_vector("a/one.md passage 3 é")):
            right = exact(setup.index, query, 20)
            found = setup.store.nearest(query, 20)
            assert list(found) == list(right)
            assert list(found.values()) == pytest.approx(list(right.values()), abs=1e-3)
        # Not "a b", which a store that cuts values into words would find under "a" as well.
        assert list(setup.store.nearest(query, 10, ["a"])) == list(exact(setup.index, query, 10, "a"))
        two = {*exact(setup.index, query, 150, "a"), *exact(setup.index, query, 150, "c")}
        assert set(setup.store.nearest(query, 150, ["a", "c"])) == two
        assert setup.store.nearest(query, 10, ["nobody's"]) == {}

    def test_follows_the_index_continues_after_a_kill_and_adds_what_was_lost(self, setup, monkeypatch):
        monkeypatch.setattr(setup.store, "batch", 7)
        fill(setup.index, "a/one.md: 20", "a/two.md: 10")
        upsert, calls = setup.store.upsert, []

        def killed(*args):
            calls.append(upsert(*args))
            if len(calls) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(setup.store, "upsert", killed)
        with pytest.raises(KeyboardInterrupt):
            setup.sync()
        assert not vector_store.is_current(setup.index, setup.store)
        setup.open()
        assert setup.sync() == (30 if setup.name == "faiss" else 9)  # which starts again in each process
        setup.store.delete(sorted(setup.store.ids())[:4])
        assert not vector_store.is_current(setup.index, setup.store)
        assert setup.sync() == 4
        drop(setup.index, "a/one.md")
        fill(setup.index, "a/three.md: 5", "a/two.md: 4")
        assert setup.sync() == 9
        query = word_vector("anything")
        assert list(setup.store.nearest(query, 30)) == list(exact(setup.index, query, 30))
        assert len(setup.store.nearest(query, 30)) == 9

    def test_two_indexes_do_not_mix(self, setup, tmp_path):
        other = Setup(setup.name, tmp_path / "other", setup.address)
        for each, document in ((setup, "a/one.md: 5"), (other, "b/two.md: 3")):
            fill(each.index, document)
            each.sync()
        query = word_vector("anything")
        for each in (setup, other):
            assert list(each.store.nearest(query, 10)) == list(exact(each.index, query, 10))


# --- single stores --------------------------------------------------------------------------------------


def test_an_extra_that_is_not_installed_is_named(index, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)  # as if there were no such package
    monkeypatch.delitem(sys.modules, "step3_rag.stores.faiss", raising=False)
    with pytest.raises(UserError) as refused:
        vector_store.open_store("faiss", index)
    assert str(refused.value).endswith('pip install -c constraints.txt ".[faiss]"')


def test_the_same_relative_path_in_another_working_folder_is_another_chroma_folder(tmp_path, monkeypatch):
    chunks = {"one": 5, "two": 3}
    for name, count in chunks.items():
        setup = Setup("chroma", tmp_path / name / "rag-index")
        fill(setup.index, f"a/{name}.md: {count}")
        setup.sync()
    for name, count in chunks.items():
        monkeypatch.chdir(tmp_path / name)
        store = vector_store.open_store("chroma", Index.open(Path("rag-index"), {}))
        assert (store.count(), len(store.nearest(word_vector("anything"), 10))) == (count, count)


def test_faiss_is_filled_beside_an_ingest(tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    setup = Setup("faiss", tmp_path)
    fill(setup.index, "a/one.md: 20", "a/two.md: 10")
    other = Index.open(tmp_path, {})
    upsert = setup.store.upsert

    def meanwhile(*args):
        upsert(*args)
        if other.db.in_transaction:
            other.db.commit()
            drop(other, "a/two.md")

    monkeypatch.setattr(setup.store, "batch", 7)
    monkeypatch.setattr(setup.store, "upsert", meanwhile)
    other.db.execute("BEGIN IMMEDIATE")  # nobody else can write to the index now
    vector_store.sync(setup.index, setup.store)
    assert setup.store.count() == 30  # all of one generation
    assert not vector_store.is_current(setup.index, setup.store)
    vector_store.sync(setup.index, setup.store)
    assert setup.store.count() == 20
    other.close()


def test_a_search_in_faiss_waits_for_a_change(tmp_path, monkeypatch):
    """In step 5, threads answer while documents are added; FAISS itself doesn't keep them apart."""
    pytest.importorskip("faiss")
    setup = Setup("faiss", tmp_path)
    fill(setup.index, "a/one.md: 5")
    setup.sync()
    ids = Snapshot(setup.index).ids.tolist()
    vectors, add = setup.index.vectors(ids), setup.store.index.add_with_ids
    with ThreadPoolExecutor(1) as pool:
        searches = []

        def slowly(*args):
            searches.append(pool.submit(setup.store.nearest, vectors[0], 5))
            time.sleep(0.05)
            add(*args)

        monkeypatch.setattr(setup.store.index, "add_with_ids", slowly)
        setup.store.upsert(setup.index.chunks(ids), vectors)  # replaces all
        assert set(searches[0].result()) == set(ids)


def damage_tables(home):
    file = home / "chroma.sqlite3"
    file.write_bytes(b"nonsense" * 1000)


def damage_graph(home, files="*.bin"):
    for file in home.glob(f"*/{files}"):
        file.write_bytes(b"nonsense" * (file.stat().st_size // 8))


def damage_vectors(home):  # the count is right nevertheless
    damage_graph(home, "data_level0.bin")


@pytest.mark.parametrize("damage", [damage_tables, damage_graph, damage_vectors])
def test_a_damaged_chroma_folder_is_one_line_and_can_be_filled_again(damage, tmp_path, monkeypatch):
    from step3_rag.stores import chroma as store_chroma

    # The graph is written to disk from 1,000 chunks on; here earlier.
    monkeypatch.setattr(store_chroma, "HNSW", {**store_chroma.HNSW, "batch_size": 10, "sync_threshold": 20})
    setup = Setup("chroma", tmp_path)
    fill(setup.index, "a/one.md: 50")
    setup.sync()
    setup.store.client.close()
    assert list((tmp_path / "chroma").glob("*/*.bin"))
    damage(tmp_path / "chroma")
    with pytest.raises(UserError, match="chroma cannot be read: delete it, the next search fills it again"):
        setup.open()
    shutil.rmtree(tmp_path / "chroma")
    setup.open()
    assert not vector_store.is_current(setup.index, setup.store)
    assert setup.sync() == 50


@pytest.mark.parametrize("mute", [False, True])
@pytest.mark.parametrize(
    ("name", "advice"), [("chroma", "chroma run"), ("weaviate", "docker run"), ("pinecone", "console")]
)
def test_a_server_that_is_not_there_or_does_not_answer_is_one_line(name, advice, mute, tmp_path, monkeypatch):
    pytest.importorskip(PACKAGES[name])
    monkeypatch.setattr(vector_store, "CONNECT", 0.5)
    monkeypatch.setenv("PINECONE_API_KEY", "any")
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as grpc:
        address, grpc_port = f"http://127.0.0.1:{http.getsockname()[1]}", grpc.getsockname()[1]
        if not mute:
            http.close()
            grpc.close()
        with pytest.raises(UserError, match=f"^no {name.title()} answers at {address} .*{advice}[^\n]*$"):
            Setup(name, tmp_path, f"{address}?grpc={grpc_port}")


@pytest.mark.parametrize(
    ("name", "said"),
    [("weaviate", "401"), ("pinecone", "the vector store pinecone failed: Invalid API Key")],
)
def test_a_server_gets_the_key(request, monkeypatch, name, said):
    setup = request.getfixturevalue(name)
    fill(setup.index, "a/one.md: 3")
    assert setup.sync() == 3
    monkeypatch.setenv(f"{name.upper()}_API_KEY", "guessed")
    with pytest.raises(UserError, match=said):
        setup.open()


def test_chunks_that_weaviate_refused_are_added_by_the_next_sync(weaviate):
    fill(weaviate.index, "a/one.md: 3")
    weaviate.server.refuse = "no space left"
    with pytest.raises(
        UserError, match=r"the vector store weaviate failed: .*1 chunks refused: no space left"
    ):
        weaviate.sync()
    assert weaviate.sync() == 1


def test_pinecone_needs_a_key_and_the_host_of_an_index_that_measures_cosine(pinecone, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="needs the host of an index, --address https://"):
        Setup("pinecone", tmp_path)
    pinecone.server.metric = "euclidean"
    with pytest.raises(UserError, match="make one with the metric cosine"):
        pinecone.open()
    monkeypatch.delenv("PINECONE_API_KEY")
    with pytest.raises(UserError, match="set PINECONE_API_KEY"):
        pinecone.open()


# --- several copies of one index --------------------------------------------------------------------------


@pytest.fixture
def copied(pinecone, weaviate):
    """An index with a copy in Chroma, one in Pinecone and one in Weaviate."""
    fill(pinecone.index, "a/one.md: 2", "a/two.md: 3")
    for name, address in (("chroma", None), ("pinecone", pinecone.address), ("weaviate", weaviate.address)):
        store = vector_store.open_store(name, pinecone.index, address)
        vector_store.sync(pinecone.index, store)
        assert store.count() == 5
    return pinecone


def ids_on(pinecone, weaviate):
    """The chunks that the two servers hold of the index."""
    (rows,) = pinecone.server.namespaces.values()
    objects = weaviate.server.collections[f"Chunks_{pinecone.index.facts['id']}"].objects
    return {int(each) for each in rows}, {int(row["chunk"]) for row, _ in objects.values()}


def test_forget_removes_a_document_from_every_copy(copied, weaviate, command):
    got = command("step3_rag", "forget", "a/one.md", "--index", str(copied.folder))
    assert (got.code, got.err) == (0, "")
    left = {chunk.id for chunk in copied.index.chunks_of("a/two.md")}
    assert ids_on(copied, weaviate) == (left, left)
    assert vector_store.open_store("chroma", copied.index).count() == 3


def test_forget_names_a_copy_that_cannot_be_reached(copied, weaviate, refused):
    key, copied.server.key = copied.server.key, "changed"
    line = refused("step3_rag", "forget", "a/one.md", "--index", str(copied.folder))
    assert (
        f"a copy still holds the chunks: pinecone {copied.address} (the vector store pinecone failed: "
        in line
    )
    assert [row["name"] for row in copied.index.documents()] == ["a/two.md"]
    assert len(ids_on(copied, weaviate)[1]) == 3
    copied.server.key = key
    assert vector_store.sync_copies(copied.index) == {}
    assert len(ids_on(copied, weaviate)[0]) == 3


def test_a_rebuilt_index_knows_its_copies(copied, tmp_path):
    before = copied.index.generation
    with copied.index.transaction():
        copied.index.begin_anew({"embedder": "other"})
        fill(copied.index, "a/three.md: 4")
    assert min(Snapshot(copied.index).ids) > 5  # no number means another chunk than before
    assert copied.index.facts["embedder"] == "other"
    assert vector_store.sync_copies(copied.index) == {}
    (rows,) = copied.server.namespaces.values()
    assert len(rows) == 4
    assert copied.index.generation > before
