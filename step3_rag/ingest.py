"""Bring files into the index: only what is new or has changed is read, and only what is gone is taken out.

    $ python -m step3_rag ingest contracts/ handbook.pdf
    52 documents, 214 chunks: 3 new, 1 changed, 0 removed, 48 unchanged

A file counts as unchanged while its size and time of change are the same, or else its contents' hash. One
that can't be read any more keeps what the index has of it. The name of a document is its path below the
folder that was given; its collection is the first folder of that path, unless one is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step3_rag import chunk, load
from step3_rag.embed import Embedder
from step3_rag.index import Draft, Index

AT_ONCE = 512  # chunks that are embedded and written together
HEADER = 24  # tokens of a chunk's title, at most
DEFAULT_COLLECTION = "documents"


@dataclass(frozen=True)
class File:
    """A file on its way in: its path, and what it is called in the index."""

    path: Path
    name: str
    collection: str


@dataclass
class Report:
    """What an ingest did; documents by name, `failed` with the reason."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """How texts are cut, in tokens of the embedder."""

    chunk: int = 128
    overlap: int = 32


@contextlib.contextmanager
def locked(folder: Path, wait: Callable[[str], contextlib.AbstractContextManager[None]]) -> Iterator[None]:
    """Hold the index for writing; while somebody else does, wait and say who that is.

    Raises:
        UserError: nothing can be written there.
    """
    from filelock import FileLock, Timeout

    lock, holder = folder / ".lock", folder / ".lock.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            pid = holder.read_text().strip() if holder.exists() else "?"
            with wait(f"process {pid} is writing to {folder}; waiting for it"):
                held.acquire()
        holder.write_text(str(os.getpid()))
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; name another place with --index"
        ) from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def files_in(path: Path, collection: str | None, report: Report) -> list[File]:
    """The files that a path stands for, sorted: itself, or all below it of a format that can be read.

    A link that leads out of the folder, or round in a circle, is not followed; hidden files are left alone.

    Raises:
        UserError: there is no such path.
    """
    if path.is_file():
        return [File(path.resolve(), path.name, collection or DEFAULT_COLLECTION)]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: give files or folders that do")
    root, found = path.resolve(), []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        for name in sorted(folders):
            if name.startswith(".") or (here / name).is_symlink():
                folders.remove(name)
                if not name.startswith("."):
                    report.passed_over[(here / name).relative_to(root).as_posix()] = "a link to a folder"
        folders.sort()
        for name in sorted(names):
            file = here / name
            relative = file.relative_to(root)
            if name.startswith(".") or file.suffix.lower() not in load.SUFFIXES:
                continue
            if not file.resolve().is_relative_to(root):
                report.passed_over[relative.as_posix()] = "a link that leads out of the folder"
            elif not file.is_file():
                report.failed[relative.as_posix()] = "no file behind it (a broken link?)"
            else:
                first = relative.parts[0] if len(relative.parts) > 1 else DEFAULT_COLLECTION
                found.append(File(file, relative.as_posix(), collection or first))
    return found


def ingest(
    index: Index,
    paths: list[Path],
    embedder: Embedder,
    sizes: Sizes,
    collection: str | None = None,
    progress: Callable[[str, int, int], None] = lambda _name, _done, _all: None,
) -> Report:
    """Make the index hold what stands under the paths now. The lock has to be held.

    `progress` gets the name of the file that is read, the bytes that are done and those of all.

    Raises:
        UserError: a path doesn't exist, or nothing under it can be read.
    """
    report = Report()
    index.clear_incomplete()
    known = {row["path"]: row for row in index.documents()}
    taken = {row["name"]: row["path"] for row in known.values()}
    files: dict[str, File] = {}
    for path in paths:
        below = files_in(path, collection, report)
        if not below and not report.failed:
            raise UserError(f"{path} holds no document: readable are {' '.join(load.SUFFIXES)}")
        for file in below:
            name = file.name
            if taken.setdefault(name, str(file.path)) != str(file.path):  # the same name below another folder
                name = f"{path.resolve().name}/{name}"
                if taken.setdefault(name, str(file.path)) != str(file.path):
                    name = file.path.as_posix()
            files[str(file.path)] = File(file.path, name, file.collection)
    writer = Writer(index, embedder, sizes)
    sizes_of = {key: _size(file.path) for key, file in files.items()}
    done, total = 0, sum(sizes_of.values())
    for key, file in files.items():
        progress(file.name, done, total)
        _one(index, writer, file, known.get(key), report)
        done += sizes_of[key]
        progress(file.name, done, total)
    writer.flush()
    folders = [path.resolve() for path in paths if path.is_dir()]
    gone = [
        row
        for key, row in known.items()
        if key not in files
        and any(Path(key).is_relative_to(folder) for folder in folders)
        and not Path(key).exists()
    ]
    if gone:
        index.remove([row["id"] for row in gone])
        report.removed = [row["name"] for row in gone]
    return report


def _one(index: Index, writer: Writer, file: File, known: dict[str, Any] | None, report: Report) -> None:
    """One file: nothing, a new time of change, or a new version."""
    try:
        stat = file.path.stat()
        same_place = known is not None and known["collection"] == file.collection
        if known and same_place and (known["size"], known["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns):
            report.unchanged += 1
            return
        with file.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        facts = (digest, stat.st_size, stat.st_mtime_ns)
        if known and same_place and known["sha256"] == digest:
            index.touch(known["id"], facts)
            report.unchanged += 1
            return
        writer.write(file, known["name"] if known else file.name, facts)
    except (load.UnreadableError, OSError) as error:
        report.failed[file.name] = getattr(error, "strerror", None) or str(error)
        return
    (report.changed if known else report.new).append(file.name)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


class Writer:
    """Cuts, embeds and writes: chunks of many small files together, those of a large one in parts."""

    def __init__(self, index: Index, embedder: Embedder, sizes: Sizes) -> None:
        self.index, self.embedder, self.sizes = index, embedder, sizes
        self._waiting: list[tuple[int, int, Draft]] = []  # document, place, chunk
        self._whole: list[int] = []  # documents of which nothing but what waits is still to be written

    def write(self, file: File, name: str, facts: tuple[str, int, int]) -> None:
        """One document; nothing of it is in the index when this raises.

        Raises:
            UnreadableError, OSError: it can't be read.
        """
        found = load.pieces(file.path)
        first = next(found)
        title = load.title_of(file.path, first.text)
        document, place = self.index.begin(name, str(file.path), file.collection, title, facts), 0
        try:
            for piece in itertools.chain([first], found):
                for draft in drafts(piece, title, self.embedder, self.sizes):
                    self._waiting.append((document, place, draft))
                    place += 1
                    if len(self._waiting) >= AT_ONCE:
                        self.flush()
        except (load.UnreadableError, OSError):
            self._waiting = [each for each in self._waiting if each[0] != document]
            self.index.remove([document])
            raise
        self._whole.append(document)

    def flush(self) -> None:
        """Embed and write what waits, and make the documents visible that are whole by now."""
        encoded = self.embedder.encode([draft.embedded for _, _, draft in self._waiting])
        self.index.add(
            (document, place, draft, one)
            for (document, place, draft), one in zip(self._waiting, encoded, strict=True)
        )
        self._waiting = []
        if self._whole:
            self.index.finish(self._whole)
        self._whole = []


def drafts(piece: load.Piece, title: str, embedder: Embedder, sizes: Sizes) -> Iterator[Draft]:
    """The chunks of a piece of text, each with its title and headings above it for the embedder to read."""
    headings = chunk.headings(piece.text)
    places = [place for place, _ in headings]
    for start, end in chunk.chunk(piece.text, embedder.token_spans, sizes.chunk, sizes.overlap):
        text = piece.text[start:end]
        number = bisect_right(places, start)
        heading = headings[number - 1][1] if number else ""
        path = heading.split(" > ") if heading else []
        if number and places[number - 1] == start:  # it stands in the text itself
            path = path[:-1]
        above = " > ".join(dict.fromkeys([title, *path]))
        spans = embedder.token_spans(above)[:HEADER]
        header = above[: spans[-1][1]] if spans and not text.lstrip("# ").startswith(title) else ""
        yield Draft(piece.page, heading, text, f"{header}\n{text}" if header else text)
