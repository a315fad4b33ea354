"""Files made to cost hours or gigabytes: each is refused in one line, and the others are read."""

import json
import os
import signal
import subprocess
import sys

import pytest

from step3_rag.ingest.text import UnreadableError
from step3_rag.ingest.worker import Worker, seconds_for
from tests.step3.bombs import BOMBS
from tests.step3.conftest import DOCUMENTS, names, write

posix = pytest.mark.skipif(os.name == "nt", reason="Windows doesn't limit memory")


def ingest(*args):
    """`ingest` in a process of its own, on the tiny model."""
    line = [sys.executable, "-m", "step3_rag", "ingest", *args, "--smoke"]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


@posix
def test_bombs_of_every_format_are_refused_and_the_other_files_ingested(tmp_path):
    write(tmp_path / "d", {**DOCUMENTS, **{name: make() for name, (make, _) in BOMBS.items()}})
    got = ingest("d", "--json")
    assert got.returncode == 1, got.stderr
    assert "Traceback" not in got.stderr
    failed = json.loads(got.stdout)["failed"]
    assert failed.keys() == BOMBS.keys()
    for name, (_, why) in BOMBS.items():
        assert failed[name].startswith(why)
        assert "\n" not in failed[name]
    assert names(tmp_path / "rag-index") == sorted(DOCUMENTS)


FIELDS = [
    ("author: {name: Ann}", "'author' in its front matter is a mapping"),
    ("tags: [[a]]", "'tags' in its front matter is a list in a list"),
    ("made: !!python/object:os.system x", "'made' in its front matter is a tag (!)"),
    (f"tags: [{'a,' * 101}]", "'tags' in its front matter has more than 100 items: shorten it"),
    (f"about: {'long ' * 4_000}", "its front matter has 20,009 characters, 20,000 at most"),
]


def test_only_strings_numbers_dates_and_short_lists_are_front_matter(tmp_path):
    fine = "---\ntitle: Fees\nversion: 2.1\nsince: 2025-03-01\ntags: [money]\nof:\n- Ann\n- Bo\n---\nText.\n"
    odd = {f"{n}.md": f"---\n{field}\n---\nText.\n" for n, (field, _) in enumerate(FIELDS)}
    write(tmp_path / "d", {"fine.md": fine, **odd})
    got = ingest("d")
    assert got.returncode == 1, got.stderr
    for n, (_, why) in enumerate(FIELDS):
        assert f"could not be read: {n}.md: {why}" in " ".join(got.stdout.split())
    assert names(tmp_path / "rag-index") == ["fine.md"]


@posix
def test_a_worker_that_was_killed_is_started_again(tmp_path):
    write(tmp_path, {"a.md": "# A\n\nText."})
    worker = Worker()
    assert worker.read(tmp_path / "a.md").title == "A"
    first = worker._process
    os.kill(first.pid, signal.SIGKILL)
    first.wait(30)
    assert worker.read(tmp_path / "a.md").title == "A"
    assert worker._process is not first
    assert worker.close() == 0


@posix
def test_a_file_that_needs_too_much_memory_says_so(tmp_path):
    text = "\N{GRINNING FACE}" + "The contract renews every year.\n" * 3_000_000  # four bytes a character
    write(tmp_path, {"a.md": text})
    worker = Worker()
    with pytest.raises(UnreadableError, match=r"^reading it takes more than 1\.1 GB of memory: split it, or"):
        worker.read(tmp_path / "a.md")
    write(tmp_path, {"a.md": "# A\n\nText."})
    assert worker.read(tmp_path / "a.md").title == "A"
    worker.close()


def test_long_documents_get_more_time():
    assert (seconds_for(100), seconds_for(2_000_000), seconds_for(10**9)) == (10.001, 30, 120)
