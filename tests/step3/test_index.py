"""The index on disk: opening, damage, concurrent readers and writers."""

import os
import sqlite3

import numpy as np
import pytest

from shared.errors import UserError
from step3_rag.ingest import update
from step3_rag.ingest.index import Index, NewChunk
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


@pytest.mark.parametrize("damage", [emptied, a_folder])
def test_a_damaged_index_says_so(index, documents, damage):
    bring_in(index, documents)
    folder = index.folder
    index.close()
    damage(folder / "index.sqlite")
    with pytest.raises(UserError, match=r"index in .* cannot be read \(.+\): rebuild it with") as refused:
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


def test_an_index_without_the_newer_tables_opens(built):
    before = texts_of(built)
    built.db.execute("DROP TABLE versions")
    built.db.execute("DROP TABLE copies")
    index = opened(built.folder)
    assert texts_of(index) == before
    assert not any(row["superseded"] for row in index.documents())
    index.close()


def test_incomplete_documents_are_invisible(built):
    before = texts_of(built), built.documents(), Snapshot(built).token_frequency.tolist()
    number = built.begin("new.md", "/new.md", "c", "New", "x")
    (one,) = FakeEmbedder().encode(["kettle contract"])
    built.add([(number, 0, NewChunk(None, "", "kettle contract", "kettle contract"), one)])
    snapshot = Snapshot(built)
    assert (texts_of(built), built.documents(), snapshot.token_frequency.tolist()) == before
    assert built.neighbours("new.md", 0, 9) == []
    assert len(snapshot.keyword_scores(["kettl"])) == len(snapshot)
    assert snapshot.vocabulary["kettle"] == 1
    built.remove([number])
    assert built.generation == snapshot.generation  # it was never visible
    assert built.db.execute("SELECT count(*) FROM chunks").fetchone() == (len(snapshot),)


def test_a_rebuild_that_fails_changes_nothing_and_is_invisible_to_readers(built, documents, monkeypatch):
    before, generation, reader = texts_of(built), built.generation, opened(built.folder)

    def breaks(index, *_args):
        ingest_paths(index, [documents / "notes.md"], None, FakeEmbedder(), update.Sizes())
        assert len(texts_of(index)) == 1
        assert texts_of(reader) == before
        raise KeyboardInterrupt

    ingest_paths = update.ingest_paths
    monkeypatch.setattr(update, "ingest_paths", breaks)
    with pytest.raises(KeyboardInterrupt):
        update.rebuild(built.folder, FACTS, FakeEmbedder(), update.Sizes(), [documents], None)
    assert (texts_of(built), built.generation) == (before, generation)
    reader.close()


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
