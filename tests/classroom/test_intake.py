"""Reading submissions: the wanted files, from folders and archives; problems are noted.

Links, pipes, names that lead outside and files that nobody asked for are in the corpus: hostile/packing.py.
"""

import bz2
import gzip
import lzma
import os
import re
import sys
import tarfile
import zipfile

import pytest

from classroom.assignment.spec import write_files
from classroom.intake import take as take_module
from classroom.intake.folders import MAX_BYTES
from classroom.intake.take import take
from shared.errors import UserError
from tests.classroom.hostile.corpus import At
from tests.conftest import ROOT

FUSE, CHUNK = "step3_rag/retrieve/fuse.py", "step3_rag/ingest/chunk.py"
WANTED = [CHUNK, FUSE]


@pytest.fixture
def folder(tmp_path):
    """A folder with both files."""
    made = tmp_path / "ada"
    write_files(made, {FUSE: b"fuse", CHUNK: b"chunk"})
    return made


def test_a_folder_and_archives_of_it_give_the_same(folder, tmp_path):
    both, at = {FUSE: "fuse", CHUNK: "chunk"}, At(tmp_path)
    for path in (
        folder,
        at.zipped(both).rename(tmp_path / "renamed.bin"),
        at.zipped(both),
        at.tarred(both).rename(tmp_path / "ada.tar.gz"),
        at.tarred(both, mode="w"),
    ):
        intake = take(path, WANTED)
        assert intake.files == {FUSE: b"fuse", CHUNK: b"chunk"}
        assert intake.notes == []
        assert intake.name == path.name


def test_files_are_found_in_other_folders_and_without_theirs(tmp_path):
    for outer in ("ada-main/", "a/b/"):
        wanted = {f"{outer}{FUSE}": "fuse", f"{outer}{CHUNK}": "chunk"}
        intake = take(At(tmp_path).zipped(wanted | {"__MACOSX/x": "", ".DS_Store": ""}), WANTED)
        assert intake.files == {FUSE: b"fuse", CHUNK: b"chunk"}
        assert outer.strip("/") in intake.notes[0]
    intake = take(At(tmp_path).zipped({"fuse.py": "fuse", "chunk.py": "chunk"}), WANTED)
    assert intake.files == {FUSE: b"fuse", CHUNK: b"chunk"}
    assert intake.notes == [f"chunk.py was taken for {CHUNK}", f"fuse.py was taken for {FUSE}"]
    ambiguous = take(tmp_path / "ada.zip", [FUSE, "step3_rag/graph/fuse.py"])
    assert ambiguous.files == {}
    windows = At(tmp_path).zipped({"step3_rag\\retrieve\\fuse.py": "fuse"})
    assert take(windows, [FUSE]).files == {FUSE: b"fuse"}


def refused(intake, words):
    assert FUSE not in intake.files
    assert any(FUSE in note and words in note for note in intake.notes), intake.notes


def test_what_is_too_large_is_refused(folder):
    with (folder / FUSE).open("wb") as file:
        file.truncate(1 << 40)  # sparse
    refused(take(folder, WANTED), "larger than")
    big = os.urandom(MAX_BYTES + 1)
    (folder / FUSE).write_bytes(big[:-1])  # any bytes are passed on as they are
    assert take(folder, WANTED).files[FUSE] == big[:-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_refused(folder):
    (folder / FUSE).chmod(0)
    refused(take(folder, WANTED), "can't be read")


def test_what_is_odd_in_an_archive_and_not_in_the_corpus_is_refused(tmp_path, recwarn):
    refused(take(At(tmp_path).zipped({FUSE: "one", f"./{FUSE}": "two"}), WANTED), "2 times")
    refused(take(At(tmp_path).tarred({FUSE: "one"}, tarfile.TarInfo(FUSE)), WANTED), "2 times")
    refused(take(At(tmp_path).tarred({FUSE: "x" * (MAX_BYTES + 1)}), WANTED), "larger than")
    refused(take(At(tmp_path).zipped({FUSE: "fuse"}, zipfile.ZIP_LZMA), WANTED), "compressed")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"hello", b"PK\x05\x06", b"\x1f\x8b", b"\x1f\x8b\x08" + b"x" * 50, b"\0" * 600),
        *(bz2.compress(bytes(1 << 20)), lzma.compress(bytes(1 << 20))),  # other compressions are not read
    ],
)
def test_what_is_no_archive_is_a_note(tmp_path, content):
    (tmp_path / "ada.zip").write_bytes(content)
    intake = take(tmp_path / "ada.zip", WANTED)
    assert (intake.files, intake.newest) == ({}, None)
    assert intake.notes[0].startswith("nothing could be read: ")


def test_what_is_no_submission_at_all_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no submission"):
        take(tmp_path / "nowhere", WANTED)
    os.mkfifo(tmp_path / "pipe")
    assert take(tmp_path / "pipe", WANTED).notes == ["nothing could be read: it is not an ordinary file"]
    (tmp_path / "loop").symlink_to("loop")
    assert "can't be read" in take(tmp_path / "loop", WANTED).notes[0]


def test_names_and_notes_are_harmless(tmp_path):
    made = tmp_path / "a\x1b[31m\n::error::x"
    (made / "\x1b]0;x").mkdir(parents=True)
    (made / "\x1b]0;x" / "fuse.py").write_text("fuse")
    intake = take(made, WANTED)
    assert all(c.isprintable() or c in "\n\u200b" for c in intake.name + "".join(intake.notes))
    assert "\n::" not in intake.name


def test_a_manifest_is_only_a_claim(folder):
    for content, claimed in (
        ('{"variant": 7}', 7),
        ('{"variant": true}', None),
        ('{"variant": 1e400}', None),
        ("[1]", None),
        ("[" * 100_000, None),
    ):
        (folder / "classroom.json").write_text(content)
        assert take(folder, WANTED).variant == claimed


def pax(content):
    """A tar whose first header is a record of this content."""
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, len(content)
    padded = content + b"\0" * (-len(content) % 512)
    return head.tobuf(tarfile.USTAR_FORMAT) + padded + tarfile.TarInfo(FUSE).tobuf() + b"\0" * 1024


def test_a_pax_number_of_millions_of_digits_costs_a_few_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(take_module, "SECONDS", 120)  # the processor's are limited
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(pax(b"9" * (8 << 20))))
    assert path.stat().st_size < 10_000
    began = os.times().children_user
    assert take(path, WANTED).notes == ["nothing could be read: it takes too much time or memory"]
    assert os.times().children_user - began < 6


def test_long_names_are_read(tmp_path):
    long = f"{'a' * 90}/{'b' * 90}/{FUSE}"
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = At(tmp_path).tarred({long: "fuse"}, format=format)
        assert take(path, WANTED).files == {FUSE: b"fuse"}


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("b'x' * (1 << 31)", "too much memory"),
        ("open('/tmp/' + 'x' * 9, 'wb', buffering=0).write(b'x')", "failed|too much"),
        ("while True: pass", "too much time or memory"),
    ],
)
def test_the_reader_has_limits_of_its_own(tmp_path, monkeypatch, code, words):
    """Whatever a hole in a library makes of it: memory, files and time are bounded."""
    reader = tmp_path / "reader.py"
    text = take_module.READER.read_text().replace("parents[2]", f"parents[0] / {str(ROOT)!r}")
    text = text.replace("SECONDS = 5", "SECONDS = 1")
    text = text.replace("    found = Found()\n", f"    found = Found()\n    {code}\n", 1)
    reader.write_text(text)
    monkeypatch.setattr(take_module, "READER", reader)
    At(tmp_path).zipped({FUSE: "fuse"})
    assert re.search(words, take(tmp_path / "ada.zip", WANTED).notes[0])
