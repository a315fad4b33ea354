"""Bring files into the index: only what is new or has changed is read, and only what is gone is taken out.

    $ python -m step3_rag ingest contracts/ handbook.pdf
    52 documents, 214 chunks: 3 new, 1 changed, 0 removed, 48 unchanged

A file counts as unchanged while the hash of its contents is the same. One that can't be read any more keeps
what the index has of it. The name of a document is its path below the folder that was given; its collection
is the first folder of that path, unless one is named.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.progress import count_bar
from step3_rag.ingest import chunk, load
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Draft, Index
from step3_rag.ingest.piece import clean
from step3_rag.ingest.sources import Report, Source, find

AT_ONCE = 256  # chunks that are embedded and written together
HEADER = 24  # tokens of a chunk's title, at most


@dataclass(frozen=True)
class Sizes:
    """How texts are cut, in tokens of the embedder."""

    chunk: int = 128
    overlap: int = 32


def checked_sizes(chunk: int, overlap: int, embedder: Embedder) -> Sizes:
    """The sizes of chunks.

    Raises:
        UserError: they make no chunks, or chunks of which the embedder would not read the end.
    """
    longest = embedder.longest
    if not 8 <= chunk <= longest:
        raise UserError(
            f"--chunk-size {chunk} is not allowed: {embedder.name} reads {longest} tokens, use 8 to {longest}"
        )
    if not 0 <= overlap <= chunk // 2:
        raise UserError(f"--chunk-overlap {overlap} is not allowed: use 0 to half of the chunk, {chunk // 2}")
    return Sizes(chunk, overlap)


@contextlib.contextmanager
def locked(
    folder: Path, wait: Callable[[str], contextlib.AbstractContextManager[None]] | None
) -> Iterator[bool]:
    """Hold the index for writing; yields whether it is held.

    While another process holds it, `wait` gets a line that says which one, and then this one waits; without
    `wait`, it goes on and holds nothing.

    Raises:
        UserError: nothing can be written there.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / ".lock"), folder / ".lock.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
        if wait and not lock.is_locked:
            pid = holder.read_text() if holder.exists() else "?"
            with wait(f"process {pid} is writing to {folder}; waiting for it"):
                lock.acquire()
        if lock.is_locked:
            holder.write_text(str(os.getpid()))
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error}): name another place with --index") from None
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            holder.unlink(missing_ok=True)
            lock.release()


def bring_in(
    index: Index, paths: Sequence[Path], collection: str | None, embedder: Embedder, sizes: Sizes
) -> Report:
    """Make the index hold the files under these paths as they are now. The lock has to be held.

    Raises:
        UserError: a path does not exist, or holds nothing that can be read.
    """
    report = Report()
    known = {row["path"]: row["name"] for row in index.documents()}
    files = find(paths, known, collection, report)
    with count_bar(f"reading {len(files)} files", len(files)) as progress:
        ingest(index, files, embedder, sizes, report, progress)
    gone = gone_from(index, paths)
    if gone:
        index.remove([row["id"] for row in gone])
    report.removed = [row["name"] for row in gone]
    return report


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
    """
    report = report or Report()
    index.clear_incomplete()
    known = {row["path"]: row for row in index.documents()}
    writer = Writer(index, embedder, sizes)
    for done, source in enumerate(sources):
        progress(done, len(sources))
        row = known.get(source.key)
        try:
            sha256 = source.digest()
            if row and (row["collection"], row["sha256"]) == (source.collection, sha256):
                report.unchanged += 1
                continue
            if problem := writer.write(source, sha256):
                report.warnings[source.name] = problem
            (report.changed if row else report.new).append(source.name)
        except (load.UnreadableError, OSError) as error:
            report.failed[source.name] = getattr(error, "strerror", None) or str(error)
    writer.flush()
    progress(len(sources), len(sources))
    return report


def gone_from(index: Index, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The documents of an index that lay below these folders and are there no more."""
    roots = [folder.resolve() for folder in folders if folder.is_dir()]
    return [
        row
        for row in index.documents()
        if any(Path(row["path"]).is_relative_to(root) for root in roots) and _is_gone(row["path"])
    ]


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:  # any other means that it can't be looked at, and may be there
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


class Writer:
    """Cuts, embeds and writes: chunks of many small files together, those of a large one in parts."""

    def __init__(self, index: Index, embedder: Embedder, sizes: Sizes) -> None:
        self.index, self.embedder, self.sizes = index, embedder, sizes
        self._waiting: list[tuple[int, int, Draft]] = []  # document, place, chunk
        self._whole: list[int] = []  # documents of which nothing but what waits is still to be written

    def write(self, source: Source, sha256: str) -> str:
        """One document; returns what is wrong with its front matter, or nothing.

        Raises:
            UnreadableError, OSError: it can't be read; then nothing of it is in the index.
        """
        found = source.pieces()
        first = next(found, load.Piece(""))
        title = clean(source.title(first.text))
        where = source.name, source.key, source.collection
        document = self.index.begin(*where, title, sha256, source.size(), first.superseded)
        place = 0
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
        return first.problem

    def flush(self) -> None:
        """Embed and write what waits, and make the documents visible that are whole by now."""
        encoded = self.embedder.encode_documents([draft.embedded for _, _, draft in self._waiting])
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
    whole = clean(piece.text)
    headings = chunk.headings(whole)
    places = [place for place, _ in headings]
    for start, end in chunk.chunk(whole, embedder.token_spans, sizes.chunk, sizes.overlap):
        text = whole[start:end]
        number = bisect_right(places, start)
        heading = headings[number - 1][1] if number else ""
        path = heading.split(" > ") if heading else []
        if number and places[number - 1] == start:  # it stands in the text itself
            path = path[:-1]
        above = " > ".join(dict.fromkeys([title, *path]))
        room = max(0, embedder.longest - len(embedder.token_spans(text)) - 1)  # 1 for the line break between
        spans = embedder.token_spans(above)[: min(HEADER, room)]
        header = above[: spans[-1][1]] if spans and not text.lstrip("# ").startswith(title) else ""
        yield Draft(piece.page_at(start), heading, text, f"{header}\n{text}" if header else text)
