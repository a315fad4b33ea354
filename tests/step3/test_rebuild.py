"""`ingest --rebuild` loses nothing: not on a full disk, not what only the index has."""

import contextlib
import gc
import os
import sqlite3
import subprocess
import sys

import pytest

from shared.errors import UserError
from step3_rag.ingest import update
from step3_rag.ingest.index import Index
from tests.step3.conftest import DOCUMENTS, FACTS, FakeEmbedder, names, texts_of, write

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of a file's size")
# Every write beyond so many bytes of a file fails, as on a full disk.
ON_FULL_DISK = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module("step3_rag", run_name="__main__")
"""


def upload(home, name="notes.md"):
    """Make a document one that was uploaded."""
    with contextlib.closing(Index.open(home, {})) as index:
        index.db.execute("UPDATE documents SET path = ? WHERE name = ?", (f"upload:{name}", name))


@posix
@pytest.mark.parametrize("size", [0, 100_000])
def test_a_rebuild_on_a_full_disk_leaves_the_index(tmp_path, size):
    write(tmp_path / "d", DOCUMENTS)
    ingest = ["step3_rag", "ingest", "d", "--smoke"]
    subprocess.run([sys.executable, "-m", *ingest], check=True)
    before = (tmp_path / "rag-index" / "index.sqlite").read_bytes()
    line = [sys.executable, "-c", ON_FULL_DISK, str(size), *ingest[1:], "--rebuild"]
    got = subprocess.run(line, capture_output=True, text=True)
    assert got.returncode == 2, got.stderr
    error = got.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert "rag-index" in error
    assert "--rebuild" not in error
    assert "Traceback" not in got.stderr
    assert (tmp_path / "rag-index" / "index.sqlite").read_bytes() == before
    assert names(tmp_path / "rag-index") == sorted(DOCUMENTS)


def test_uploads_are_kept_with_their_pages_and_versions(built, documents):
    upload(built.folder)
    upload(built.folder, "handbook/leave.txt")
    built.db.execute("UPDATE chunks SET page = 3 WHERE text LIKE '%kettle%'")
    built.db.execute("UPDATE documents SET superseded = 1 WHERE name = 'handbook/leave.txt'")
    before = texts_of(built)
    report = update.rebuild(built.folder, {**FACTS, "chunk_size": 64}, FakeEmbedder(), [documents], None)
    after = texts_of(built)
    assert after.pop("documents/notes.md") == before["notes.md"]  # the file gets another name
    assert after.pop("documents/handbook/leave.txt") == before["handbook/leave.txt"]
    assert after == before
    assert (report.unchanged, report.removed) == (2, [])
    (chunk,) = built.chunks_of("notes.md")
    assert chunk.page == 3
    assert [row["name"] for row in built.documents() if row["superseded"]] == ["handbook/leave.txt"]


def damage(home, table):
    """Overwrite the first page of a table or index."""
    gc.collect()  # no command has it open
    with contextlib.closing(sqlite3.connect(home / "index.sqlite")) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (home / "index.sqlite").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_uploads_are_kept_where_a_damaged_index_still_has_them(home, command):
    upload(home)
    damage(home, "tokens")
    got = command("step3_rag", "ingest", "documents/contracts", "--rebuild")
    assert (got.code, got.err.count("damaged")) == (0, 0), got.err
    assert "notes.md" in names(home)
    assert "kettle" in command("step3_rag", "search", "kettle").out
    assert not [*home.glob("damaged-*"), *home.glob("new-index")]


def test_a_damaged_index_whose_uploads_cannot_be_read_is_kept_aside(home, command):
    upload(home)
    damage(home, "chunks")
    got = command("step3_rag", "ingest", "documents", "--rebuild")
    assert got.code == 0, got.err
    assert "the damaged index is kept as rag-index/damaged-1.sqlite: if documents were uploaded," in got.err
    assert (home / "damaged-1.sqlite").exists()
    assert names(home) == sorted(DOCUMENTS)


def test_a_damaged_index_stays_until_the_new_one_is_complete(home, documents, monkeypatch):
    damage(home, "tokens")
    before = (home / "index.sqlite").read_bytes()

    def full(*_args):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Index, "add", full)
    with pytest.raises(UserError, match="cannot write to"), update.locked(home):
        update.rebuild(home, FACTS, FakeEmbedder(), [documents], None)
    assert (home / "index.sqlite").read_bytes() == before
    assert (home / "chroma").exists()
    assert not (home / "new-index").exists()
