"""The index on disk: opening, damage, concurrent readers and writers."""

import os
import sqlite3

import numpy as np
import pytest

from shared.errors import UserError
from step3_rag.ingest import update
from step3_rag.ingest.index import Index, NewChunk, NewDocument
from step3_rag.ingest.stems import stems
from step3_rag.retrieve.snapshot import Snapshot
from tests.step3.conftest import FACTS, FakeEmbedder, bring_in, texts_of, write


def opened(folder):
    return Index.open(folder, FACTS)


def test_an_index_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match="nowhere: make one with `python -m step3_rag ingest PATH`"):
        opened(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert not Index.exists(tmp_path / "nowhere")


def emptied(file):
    with sqlite3.connect(file) as db:
        db.execute("DELETE FROM meta")
    db.close()


def a_folder(file):
    file.unlink()
    file.mkdir()


NO_FILE = (
    r"cannot be opened \(unable to open database file\): check the free space of the disk and the rights"
)


@pytest.mark.parametrize(
    ("damage", "said"),
    [(emptied, "was made with format None, not 2: rebuild it with"), (a_folder, NO_FILE)],
)
def test_a_damaged_index_says_so(index, documents, damage, said):
    bring_in(index, documents)
    folder = index.folder
    index.close()
    damage(folder / "index.sqlite")
    with pytest.raises(UserError, match=rf"index in .* {said}") as refused:
        opened(folder)
    assert "\n" not in str(refused.value)


def test_damage_in_the_middle_says_so_when_it_is_read(index, tmp_path):
    bring_in(index, write(tmp_path / "d", {f"{n}.md": f"Number {n} goes on. " * 300 for n in range(30)}))
    file = index.folder / "index.sqlite"
    index.close()
    contents = bytearray(file.read_bytes())
    contents[len(contents) // 2 :] = os.urandom(len(contents) - len(contents) // 2)
    file.write_bytes(contents)
    with pytest.raises(UserError, match=r"cannot be read \(database disk image is malformed\): rebuild it"):
        Snapshot(opened(file.parent)).keyword_scores(["x"])


OLD = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (id INTEGER PRIMARY KEY, name TEXT, path TEXT, mtime_ns INTEGER, complete INTEGER);
CREATE TABLE versions (document INTEGER PRIMARY KEY, superseded INTEGER NOT NULL);
INSERT INTO meta VALUES ('format', '1'), ('embedder', '"fake"'), ('generation', '3'), ('id', '"x"');
"""


@pytest.fixture
def old(tmp_path):
    """The folder of an index of format 1."""
    home = tmp_path / "old"
    kept = {"bm25-1/texts": "A text.", "chroma/chroma.sqlite3": "", "entity-graph.json": "{}"}
    write(home, {**kept, "mine.txt": "Mine."})
    with sqlite3.connect(home / "index.sqlite") as db:
        db.executescript(OLD)
    db.close()
    return home


def rebuild(home, documents):
    return update.rebuild(home, FACTS, FakeEmbedder(), [documents], None)


def test_an_index_of_an_older_version_is_refused_and_can_be_rebuilt(old, documents):
    home, way_out = old, "rebuild it with `python -m step3_rag ingest PATH --rebuild`"
    uploads = r"\(documents that were uploaded must be uploaded again\)"
    with pytest.raises(UserError, match=rf"was made with format 1, not 2: {way_out} {uploads}$"):
        opened(home)
    rebuild(home, documents)
    assert {path.name for path in home.iterdir()} - {"index.sqlite-wal", "index.sqlite-shm"} == {
        "index.sqlite",
        "mine.txt",
    }
    index = opened(home)
    assert len(texts_of(index)) == 5
    index.close()


def test_readers_do_not_wait_for_a_document_that_is_being_written(built):
    before = texts_of(built), built.documents(), built.generation
    writer = opened(built.folder)
    with writer.transaction():
        number = writer.replace(NewDocument("notes.md", built.documents()[-1]["path"], "c", "New", "x"))
        texts = ["kettle contract", "another one"]
        chunks = [NewChunk(place, 0, None, "", text, text) for place, text in enumerate(texts)]
        writer.add(number, chunks, FakeEmbedder().encode(texts))
        assert texts_of(writer)["notes.md"] == texts
        reader = opened(built.folder)
        for index in (built, reader):
            assert (texts_of(index), index.documents(), index.generation) == before
        reader.close()
    assert texts_of(built)["notes.md"] == texts
    assert built.generation > before[2]
    writer.close()


def test_a_rebuild_that_fails_changes_nothing_and_is_invisible_to_readers(built, documents, monkeypatch):
    before, generation, reader = texts_of(built), built.generation, opened(built.folder)

    def breaks(index, *_args):
        ingest_paths(index, [documents / "notes.md"], None, FakeEmbedder())
        assert len(texts_of(index)) == 1
        assert texts_of(reader) == before
        raise KeyboardInterrupt

    ingest_paths = update.ingest_paths
    monkeypatch.setattr(update, "ingest_paths", breaks)
    with pytest.raises(KeyboardInterrupt):
        rebuild(built.folder, documents)
    assert (texts_of(built), built.generation) == (before, generation)
    reader.close()


def test_a_rebuild_that_breaks_off_leaves_no_store_with_vectors_of_other_chunks(
    old, built, documents, monkeypatch
):
    """In a new file, ids begin at 1 again, and a store is synced by ids."""
    generation = built.generation

    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(update, "ingest_paths", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rebuild(old, documents)
    assert (old / "chroma").exists()  # with the old file, whose ids it has
    assert not (old / "new-index").exists()
    monkeypatch.setattr(update.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rebuild(built.folder, documents)
    assert built.generation == generation


def test_a_full_disk_is_reported_in_one_line_and_nothing_is_lost(built, documents):
    before = texts_of(built)
    write(documents, {f"{n}.md": f"Number {n} goes on. " * 300 for n in range(9)})
    (pages,) = built.db.execute("PRAGMA page_count").fetchone()
    built.db.execute(f"PRAGMA max_page_count = {pages}")
    full = r"cannot write to .*index \(database or disk is full\)"
    with pytest.raises(UserError, match=full), update.locked(built.folder):
        bring_in(built, documents)
    assert texts_of(built) == before


def test_a_snapshot_survives_an_ingest(built, documents):
    snapshot = Snapshot(built)
    for name in ("notes.md", "contracts/supply.md"):
        (documents / name).unlink()
    write(documents, {"new.md": "A kettle, a kettle.\n"})
    bring_in(built, documents)
    scores = snapshot.keyword_scores(stems("kettle leave"))
    assert len(scores) == len(snapshot)
    (row,) = np.flatnonzero(scores)
    assert snapshot.names[row] == "handbook/leave.txt"
    assert snapshot.vocabulary["kettle"] == 0
