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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shared.errors import UserError
from step3_rag import chunk, load
from step3_rag.embed import Embedder
from step3_rag.index import Draft, Index

AT_ONCE = 256  # chunks that are embedded and written together
HEADER = 24  # tokens of a chunk's title, at most
DEFAULT_COLLECTION = "documents"


class Source(Protocol):
    """Something that becomes a document."""

    @property
    def key(self) -> str: ...  # what it is known by from one ingest to the next
    @property
    def name(self) -> str: ...  # what people call it
    @property
    def collection(self) -> str: ...
    def stat(self) -> tuple[int, int]: ...  # size, time of change (-1: none): both the same, all the same
    def digest(self) -> str: ...  # sha256 of the contents
    def pieces(self) -> Iterator[load.Piece]: ...
    def title(self, text: str) -> str: ...  # the text's beginning is given


@dataclass(frozen=True)
class File:
    """A file, and what it is called in the index."""

    path: Path
    name: str
    collection: str

    @property
    def key(self) -> str:
        return str(self.path)

    def stat(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns

    def digest(self) -> str:
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def pieces(self) -> Iterator[load.Piece]:
        return load.pieces(self.path)

    def title(self, text: str) -> str:
        return load.title_of(self.path, text)


@dataclass
class Report:
    """What an ingest did; documents by name, `failed` and `passed_over` with the reason."""

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
            pid = "?"
            with contextlib.suppress(OSError):  # it may end in this moment
                pid = holder.read_text().strip() or pid
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
    if os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises where a folder above may not be read)
        return [File(path.resolve(), path.name, collection or DEFAULT_COLLECTION)]
    if not os.path.isdir(path):  # noqa: PTH112
        raise UserError(f"{path} does not exist: give files or folders that do")
    root, found = path.resolve(), list[File]()

    def failed(error: OSError) -> None:
        name = Path(error.filename or root).relative_to(root).as_posix()
        report.failed[f"{name}/"] = error.strerror or str(error)

    for folder, folders, names in os.walk(root, onerror=failed):
        here = Path(folder)
        for name in sorted(folders):  # a copy: what is removed below is not walked into
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
            shown = os.fsencode(relative).decode(errors="replace")
            if "\N{REPLACEMENT CHARACTER}" in shown:
                report.failed[shown] = "its name is no UTF-8: rename it"
            elif not Path(os.path.realpath(file)).is_relative_to(root):  # Path.resolve raises on a circle
                report.passed_over[relative.as_posix()] = "a link that leads out of the folder"
            elif not os.path.isfile(file):  # noqa: PTH113
                report.failed[relative.as_posix()] = "no file behind it (a broken link?)"
            else:
                first = relative.parts[0] if len(relative.parts) > 1 else DEFAULT_COLLECTION
                found.append(File(file, relative.as_posix(), collection or first))
    return found


def find(paths: Sequence[Path], known: dict[str, str], collection: str | None, report: Report) -> list[File]:
    """The files under the paths, each with a name that is its own; `known` has the index's names by key.

    Raises:
        UserError: a path doesn't exist, or holds nothing that can be read.
    """
    owner = {name: key for key, name in known.items()}
    files: dict[str, File] = {}
    for path in paths:
        failed = len(report.failed)
        below = files_in(path, collection, report)
        if not below and len(report.failed) == failed:
            raise UserError(f"{path} holds no document: readable are {' '.join(load.SUFFIXES)}")
        for file in below:
            # The same name below two folders: the second gets its folder's name before it, or its whole path.
            names = (file.name, f"{path.resolve().name}/{file.name}", file.path.as_posix())
            name = next(name for name in names if owner.setdefault(name, file.key) == file.key)
            files[file.key] = File(file.path, known.get(file.key, name), file.collection)
    return list(files.values())


def ingest(
    index: Index,
    sources: Sequence[Source],
    embedder: Embedder,
    sizes: Sizes,
    report: Report | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Make the index hold these sources as they are now. The lock has to be held.

    `progress` gets the number of sources that are done and of all.

    Raises:
        UserError: chunks of these sizes make no sense, or the embedder could not read them whole.
    """
    if not 0 <= sizes.overlap < sizes.chunk <= embedder.longest:
        raise UserError(
            f"chunks of {sizes.chunk} tokens that overlap by {sizes.overlap} can't be: {embedder.name} reads "
            f"{embedder.longest} tokens at once, and an overlap has to be shorter than a chunk"
        )
    report = report or Report()
    index.clear_incomplete()
    known = {row["path"]: row for row in index.documents()}
    writer = Writer(index, embedder, sizes)
    for done, source in enumerate(sources):
        progress(done, len(sources))
        _one(index, writer, source, known.get(source.key), report)
    writer.flush()
    progress(len(sources), len(sources))
    return report


def remove_gone(index: Index, folders: Sequence[Path], report: Report) -> None:
    """Take out the documents below these folders whose files are there no more."""
    roots = [folder.resolve() for folder in folders if folder.is_dir()]
    gone = [
        row
        for row in index.documents()
        if any(Path(row["path"]).is_relative_to(root) for root in roots) and _is_gone(row["path"])
    ]
    if gone:
        index.remove([row["id"] for row in gone])
    report.removed = [row["name"] for row in gone]


def _is_gone(path: str) -> bool:
    """Surely not there any more; one that can't be looked at may be."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _one(index: Index, writer: Writer, source: Source, known: dict[str, Any] | None, report: Report) -> None:
    """One source: nothing to do, a new time of change, or a new version."""
    try:
        size, mtime_ns = source.stat()
        same = known if known and known["collection"] == source.collection else None
        if same and mtime_ns >= 0 and (same["size"], same["mtime_ns"]) == (size, mtime_ns):
            report.unchanged += 1
            return
        facts = (source.digest(), size, mtime_ns)
        if same and same["sha256"] == facts[0]:
            if (same["size"], same["mtime_ns"]) != (size, mtime_ns):
                index.touch(same["id"], facts)
            report.unchanged += 1
            return
        writer.write(source, facts)
    except (load.UnreadableError, OSError) as error:
        report.failed[source.name] = getattr(error, "strerror", None) or str(error)
        return
    (report.changed if known else report.new).append(source.name)


class Writer:
    """Cuts, embeds and writes: chunks of many small files together, those of a large one in parts."""

    def __init__(self, index: Index, embedder: Embedder, sizes: Sizes) -> None:
        self.index, self.embedder, self.sizes = index, embedder, sizes
        self._waiting: list[tuple[int, int, Draft]] = []  # document, place, chunk
        self._whole: list[int] = []  # documents of which nothing but what waits is still to be written

    def write(self, source: Source, facts: tuple[str, int, int]) -> None:
        """One document; nothing of it is in the index when this raises.

        Raises:
            UnreadableError, OSError: it can't be read.
        """
        found = source.pieces()
        first = next(found, load.Piece(""))
        title = load.clean(source.title(first.text))
        document, place = self.index.begin(source.name, source.key, source.collection, title, facts), 0
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
    whole = load.clean(piece.text)
    headings = chunk.headings(whole)
    places = [place for place, _ in headings]
    for start, end, room in _fitting(whole, embedder, sizes):
        text = whole[start:end]
        number = bisect_right(places, start)
        heading = headings[number - 1][1] if number else ""
        path = heading.split(" > ") if heading else []
        if number and places[number - 1] == start:  # it stands in the text itself
            path = path[:-1]
        above = " > ".join(dict.fromkeys([title, *path]))
        spans = embedder.token_spans(above)[: min(HEADER, room)]
        header = above[: spans[-1][1]] if spans and not text.lstrip("# ").startswith(title) else ""
        yield Draft(piece.page, heading, text, f"{header}\n{text}" if header else text)


def _fitting(text: str, embedder: Embedder, sizes: Sizes) -> Iterator[tuple[int, int, int]]:
    """Chunks that the embedder reads whole: begin, end, and for how many more tokens there is room.

    A chunk is measured again by itself, since a word that was cut may have more tokens than it had as one.
    """
    for span in chunk.chunk(text, embedder.token_spans, sizes.chunk, sizes.overlap):
        todo = [span]
        while todo:
            start, end = todo.pop()
            spans = embedder.token_spans(text[start:end])
            middle = start + spans[len(spans) // 2][0] if spans else start
            if len(spans) > embedder.longest and start < middle:
                todo += [(middle, end), (start, middle)]
            else:
                yield start, end, max(0, embedder.longest - len(spans) - 1)  # 1 for the line break between
