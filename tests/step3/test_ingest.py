"""Only what has changed is read, and whatever fails, the index keeps what it had."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from shared.errors import UserError
from step3_rag.ingest import load, update
from step3_rag.ingest.front_matter import split_front_matter
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import Report
from step3_rag.opening import retriever_on
from step3_rag.retrieve.search import SearchOptions
from step3_rag.retrieve.snapshot import Snapshot
from tests.step3.conftest import FACTS, FakeEmbedder, bring_in, texts_of, write

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def change(path, text):
    """Write a file so that it surely looks changed."""
    path.write_text(text)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))


def names(index):
    return [row["name"] for row in index.documents()]


# --- what goes in -----------------------------------------------------------------------------------------


def test_a_documents_name_is_its_path_and_its_collection_the_first_folder(built):
    assert {row["name"]: (row["collection"], row["title"]) for row in built.documents()} == {
        "contracts/hosting.html": ("contracts", "Hosting"),
        "contracts/supply.md": ("contracts", "Supply agreement"),
        "handbook/leave.txt": ("handbook", "leave"),
        "handbook/people.csv": ("handbook", "people"),
        "notes.md": ("documents", "Notes"),
    }


def test_the_embedder_reads_a_chunk_under_its_title_and_headings(index, tmp_path):
    write(tmp_path, {"a.md": "# Supply\n\nFirst.\n\n## Renewal\n\n" + "It renews every year. " * 40})
    embedder = FakeEmbedder()
    bring_in(index, tmp_path / "a.md", embedder=embedder)
    first, second, *_ = embedder.embedded
    assert first.startswith("# Supply\n\nFirst.")
    assert second.startswith("Supply > Renewal\nIt renews")
    assert index.chunks(Snapshot(index).ids.tolist())[1].text.startswith("It renews")


def test_the_indexs_own_files_are_no_documents(index, tmp_path):
    report = bring_in(index, write(tmp_path, {"a.md": "A line.", "index/b.md": "Another."}))
    assert (report.new, report.passed_over) == (["a.md"], {})


def test_pages_and_headings_are_kept(tmp_path):
    class Book:
        key, name, collection = "book", "book.pdf", "c"
        size, digest = (lambda self: 1), (lambda self: "x")
        read = lambda self: load.Document("Book", "One and a half.\n# Two\n\nText.", (0, 16))  # noqa: E731

    index = Index.open(tmp_path, {"chunk_size": 8, "chunk_overlap": 0}, create=True)
    update.ingest(index, [Book()], FakeEmbedder())
    assert [chunk.source for chunk in index.chunks_of("book.pdf")] == [
        "book.pdf, page 1",
        "book.pdf, page 2, Two",
    ]


@pytest.mark.parametrize(("size", "overlap"), [(240, 0), (8, 4)])
def test_embedded_texts_fit_into_the_embedders_window(size, overlap):
    class Splits(FakeEmbedder):
        """Like subwords: a word that is cut has more tokens at its beginning than it had inside."""

        def token_spans(self, text):
            spans = []
            for start, end in super().token_spans(text):
                cuts = [start, *range(start + 9, end, 12), end]
                spans += pairwise(cuts)
            return spans

    embedder, title = Splits(), "A title of many words that goes on " * 5
    text = (
        "# A heading that is long too\n\n" + "Interchangeabilities, " * 600 + "x" * 9000 + " and so on." * 90
    )
    chunks = update.new_chunks(load.Document(title, text), embedder, size, overlap)
    assert len(chunks) > 5
    assert max(len(embedder.token_spans(chunk.embedded)) for chunk in chunks) <= embedder.longest
    assert all(chunk.text in chunk.embedded for chunk in chunks)
    for chunk in chunks:
        above = chunk.embedded.removesuffix(chunk.text)
        assert len(embedder.token_spans(above)) <= update.HEADER


# --- incremental ------------------------------------------------------------------------------------------


def test_unchanged_files_are_not_embedded_again(built, documents):
    os.utime(documents / "notes.md", ns=(1, 1))  # a new time, the same contents
    generation, changes = built.generation, built.db.total_changes
    embedder = FakeEmbedder()
    report = bring_in(built, documents, embedder=embedder)
    assert report == Report(unchanged=5)
    assert not embedder.embedded
    assert (built.generation, built.db.total_changes) == (generation, changes)


def test_a_change_that_keeps_size_and_time_is_seen(built, documents):
    path = documents / "notes.md"
    before = path.stat()
    path.write_text(path.read_text().replace("kettle", "heater"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bring_in(built, documents).changed == ["notes.md"]


def test_documents_are_only_removed_below_the_given_folders(built, documents):
    (documents / "notes.md").unlink()
    (documents / "handbook" / "leave.txt").unlink()
    assert bring_in(built, documents / "handbook").removed == ["handbook/leave.txt"]
    assert "notes.md" in names(built)


def test_the_same_name_in_two_folders(index, tmp_path):
    for name in "abc":
        write(tmp_path / name / "docs", {"x.md": f"In {name}."})
    bring_in(index, *(tmp_path / name / "docs" for name in "abc"))
    third = (tmp_path / "c/docs/x.md").as_posix()
    assert texts_of(index) == {"x.md": ["In a."], "docs/x.md": ["In b."], third: ["In c."]}
    assert bring_in(index, *(tmp_path / name / "docs" for name in "cba")).unchanged == 3
    assert len(names(index)) == 3


def test_a_file_that_can_no_longer_be_read_leaves_its_old_version(built, documents):
    generation = built.generation
    change(documents / "notes.md", "A new version, damaged: \x00")
    change(documents / "handbook" / "leave.txt", "Changed before it.")
    report = bring_in(built, documents)
    assert report.failed == {"notes.md": "binary, not text"}
    assert report.changed == ["handbook/leave.txt"]
    assert texts_of(built)["notes.md"] == ["# Notes\n\nThe kettle in the kitchen is broken."]
    assert built.generation == generation + 1  # for the one that changed


def test_small_documents_are_embedded_together_and_a_large_one_in_parts(index, tmp_path, monkeypatch):
    monkeypatch.setattr(update, "AT_ONCE", 16)
    sizes, encode = [], FakeEmbedder.encode
    monkeypatch.setattr(
        FakeEmbedder, "encode", lambda self, texts: sizes.append(len(texts)) or encode(self, texts)
    )
    small = {f"{number:02}.md": f"Document {number}." for number in range(20)}
    large = " ".join(f"Sentence {number} goes on and on and on." for number in range(480))
    bring_in(index, write(tmp_path / "d", {**small, "huge.txt": large}))
    assert sizes == [16, 16, 16, 16]
    found = texts_of(index)
    assert all(found[name] == [text] for name, text in small.items())
    assert found["huge.txt"][0].startswith("Sentence 0 ")
    assert found["huge.txt"][-1].endswith("Sentence 479 goes on and on and on.")


def test_a_long_text_is_cut_in_parts_between_lines_or_words(index, tmp_path, monkeypatch):
    monkeypatch.setattr(update, "PART", 700)
    lines = [f"## Part {number}\n\n" + f"Line {number} of it. " * 9 for number in range(30)]
    words = " ".join(f"word{number}" for number in range(900))
    bring_in(index, write(tmp_path / "d", {"lines.md": "\n".join(lines), "words.txt": words}))
    found = texts_of(index)
    assert all(f"Part {number}\n" in "\n".join(found["lines.md"]) for number in range(30))
    assert {word for text in found["words.txt"] for word in text.split()} == set(words.split())
    chunks = index.chunks(Snapshot(index).ids.tolist())
    of_words = [chunk for chunk in chunks if chunk.document == "words.txt"]
    assert all(words[each.start :].startswith(each.text) for each in of_words)


# --- where files are --------------------------------------------------------------------------------------


def test_files_of_other_types_are_counted(index, tmp_path):
    names = ["a.XLSX", "b.xlsx", "sub/c.odt", "Makefile", ".hidden", "sub/.git/d.pptx", "e.md"]
    report = bring_in(index, write(tmp_path / "d", dict.fromkeys(names, "Text.")))
    assert report.new == ["e.md"]
    counts = "2 .xlsx, 1 without an ending, 1 .odt: types that are not read"
    assert report.passed_over == {str(tmp_path / "d"): counts}
    report = bring_in(index, tmp_path / "d", write(tmp_path / "other" / "d", {"f.md": "Text.", "g.odt": ""}))
    assert report.passed_over[str(tmp_path / "other" / "d")] == "1 .odt: types that are not read"
    assert report.passed_over[str(tmp_path / "d")] == counts
    with pytest.raises(UserError, match=r"sub has no documents that can be read: use \.md"):
        bring_in(index, tmp_path / "d", tmp_path / "d" / "sub")
    (tmp_path / "d" / "e.md").unlink()
    with pytest.raises(UserError, match="d has no documents that can be read"):
        bring_in(index, tmp_path / "d")
    assert len(index.documents()) == 2  # an empty folder removes nothing


@posix
def test_links_are_followed_within_the_folder_only(index, tmp_path):
    outside = write(tmp_path / "outside", {"secret.md": "Secret.", "more/deep.md": "Deep."})
    folder = write(tmp_path / "d", {"real.md": "Real.", "sub/a.md": "A."})
    (folder / "leads-out.md").symlink_to(outside / "secret.md")
    (folder / "leads-out-folder").symlink_to(outside)
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "circle.md").symlink_to("circle.md")
    (folder / "broken.md").symlink_to("nowhere.md")
    (folder / "within.md").symlink_to("real.md")
    os.mkfifo(folder / "pipe.md")  # reading it would wait for ever
    report = bring_in(index, folder)
    assert sorted(texts_of(index)) == ["real.md", "sub/a.md", "within.md"]
    assert report.passed_over == {
        "leads-out-folder": "a link to a folder",
        "leads-out.md": "a link that leads out of the folder",
        "sub/up": "a link to a folder",
    }
    unreadable = ["broken.md", "circle.md", "pipe.md"]
    assert report.failed == dict.fromkeys(unreadable, "not a regular file (a broken link?)")


@posix
def test_names_of_all_kinds(index, tmp_path):
    odd = ["with space.md", "new\nline.md", "Größe 猫 🙂.md", "%41#?.md", "-dash.md"]
    folder = write(tmp_path / "d", dict.fromkeys(odd, "Text."))
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/latin\xe9.md")).write_text("Text.")
        failed = ["latin?.md"]
    except OSError:  # macOS has no such names
        failed = []
    report = bring_in(index, folder)
    assert names(index) == sorted(odd)
    assert list(report.failed) == failed
    assert bring_in(index, folder).unchanged == len(odd)


def test_a_folder_without_permission_is_named_and_its_documents_stay(built, documents, monkeypatch):
    """The errors are simulated, since root may read everything."""
    scandir, lstat, stat = os.scandir, os.lstat, os.stat
    shut = str(documents / "handbook")

    def refuse(call, path, **more):
        if str(path).startswith(shut) and (call is not stat or str(path) != shut):
            raise PermissionError(13, "Permission denied", str(path))
        return call(path, **more)

    monkeypatch.setattr(os, "scandir", lambda path: refuse(scandir, path))
    monkeypatch.setattr(os, "lstat", lambda path, **more: refuse(lstat, path))
    monkeypatch.setattr(os, "stat", lambda path, **more: refuse(stat, path, **more))
    report = bring_in(built, documents)
    assert report.failed == {"handbook/": "Permission denied"}
    assert not report.removed
    assert len(names(built)) == 5


# --- versions ---------------------------------------------------------------------------------------------


def test_a_superseded_document_says_so_until_its_front_matter_changes(index, tmp_path):
    old = "---\nstatus: superseded\nversion: 2.10\n---\n\n# Leave\n\nOld.\n"
    folder = write(tmp_path / "d", {"old.md": old, "new.md": "# Leave\n\nNew.\n"})
    bring_in(index, folder)
    assert texts_of(index) == {"old.md": ["# Leave\n\nOld."], "new.md": ["# Leave\n\nNew."]}
    assert [row["name"] for row in index.documents() if row["superseded"]] == ["old.md"]
    chunks = index.chunks(Snapshot(index).ids.tolist())
    assert {chunk.document: chunk.superseded for chunk in chunks} == {"old.md": True, "new.md": False}
    change(folder / "old.md", "# Leave\n\nOld, and valid again.\n")
    bring_in(index, folder)
    assert not any(row["superseded"] for row in index.documents())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\nsuperseded: true\n---\nText.", (True, "Text.")),
        ("---\nstatus: Superseded\n---\nText.", (True, "Text.")),
        ("---\nstatus: superseded\nsuperseded: false\n---\nText.", (False, "Text.")),
        ("---\nA line, then text.\n", (False, "---\nA line, then text.\n")),
        ("---\nText\n---\nbetween two lines", (False, "---\nText\n---\nbetween two lines")),
        ("---\nTwo words: a: b\n---\nText.", (False, "---\nTwo words: a: b\n---\nText.")),
        ("---\ntitle: Fees\n---\n\nText.", (False, "# Fees\n\nText.")),  # it has no heading
        ("---\ntitle: Fees\n---\n\n# Own\n", (False, "# Own\n")),
    ],
)
def test_what_front_matter_says(text, found):
    assert split_front_matter(text) == found


# --- kills and concurrent readers -------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path
from step3_rag.ingest import update
from step3_rag.ingest.index import Index
from tests.step3.conftest import FACTS, FakeEmbedder, bring_in

class Killed(FakeEmbedder):
    def encode(self, texts):
        if len(self.embedded) >= 20:  # in the middle of b.md
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts)

update.AT_ONCE = 8
home, folder = map(Path, sys.argv[1:])
with update.locked(home):
    bring_in(Index.open(home, FACTS, create=True), folder, embedder=Killed())
"""


@posix
def test_after_a_kill_the_index_works_and_the_next_ingest_continues(tmp_path):
    home, folder = tmp_path / "index", tmp_path / "d"
    old = {f"{name}.md": f"# {name}\n\nOld {name}.\n" for name in "abc"}
    write(folder, old)
    index = Index.open(home, FACTS, create=True)
    bring_in(index, folder)
    before = texts_of(index)
    index.close()
    new = {name: f"# {name}\n\n" + f"New {name} says so again. " * 170 for name in old}  # twelve chunks each
    for name, text in new.items():
        change(folder / name, text)
    assert subprocess.run([sys.executable, "-c", CHILD, home, folder]).returncode == -signal.SIGKILL
    index = Index.open(home, FACTS)
    found = texts_of(index)
    assert [name for name in old if found[name] != before[name]] == ["a.md"]
    assert found["a.md"][0].startswith("# a.md\n\nNew")
    assert len(Snapshot(index).keyword_scores(["old"])) == len(Snapshot(index))
    (folder / "b.md").unlink()  # half of it is in the index
    report = bring_in(index, folder)
    assert (report.changed, report.removed, report.unchanged) == (["c.md"], ["b.md"], 1)
    found = texts_of(index)
    assert all(len(found[name]) > 8 and "Old" not in "".join(found[name]) for name in ("a.md", "c.md"))
    assert index.db.execute("SELECT count(*) FROM chunks").fetchone() == (len(Snapshot(index)),)
    index.close()


def test_a_reader_does_not_wait_for_an_ingest(built, embedder, capsys):
    with update.locked(built.folder):
        retriever = retriever_on(built, embedder)
        assert retriever.search("kettle", SearchOptions(use=("bm25",), rerank="none")).best
    assert "an ingest is running" in capsys.readouterr().err
    assert retriever_on(built, embedder).search("kettle").stages["dense"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write to .*: name another place with --index"),
        update.locked(tmp_path / "file" / "index"),
    ):
        pass
