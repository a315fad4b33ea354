"""Bring files into the index: only what is new or has changed is read, and only what was deleted is removed.

    $ python -m step3_rag ingest contracts/ handbook.pdf
    52 documents, 214 chunks: 3 new, 1 changed, 0 removed, 48 unchanged

A file counts as unchanged while the hash of its contents is the same. If a file can't be read any more, the
index keeps what it has of it. A document's name is its path below the given folder; its collection is the
first folder of that path, unless one is named.
"""

import contextlib
import itertools
import os
import shutil
import sqlite3
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.errors import UserError
from shared.progress import count_bar, spinner
from step3_rag.ingest import chunk, load
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index, NewChunk, NewDocument, RebuildNeeded
from step3_rag.ingest.sources import DocumentSource, Report, find
from step3_rag.ingest.stored import StoredDocument, documents_without_file
from step3_rag.ingest.text import UnreadableError

AT_ONCE = 256  # chunks that are embedded and written together
PART = 1_000_000  # characters of a text whose tokens are in memory together, at most
HEADER = 24  # tokens of a chunk's title, at most


def check_sizes(chunk: int, overlap: int, embedder: Embedder) -> None:
    """Refuse sizes (in tokens) that make no chunks, or chunks that the embedder would cut off."""
    longest = embedder.longest
    if not 8 <= chunk <= longest:
        raise UserError(
            f"--chunk-size {chunk} is not allowed: {embedder.name} reads {longest} tokens, use 8 to {longest}"
        )
    if not 0 <= overlap <= chunk // 2:
        raise UserError(f"--chunk-overlap {overlap} is not allowed: use 0 to half of the chunk, {chunk // 2}")


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock the index for writing; if another process holds the lock, wait for it and say so.

    Raises:
        filelock.Timeout: another process holds it, and we should not wait.
        UserError: nothing can be written there.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        with spinner(f"another process is writing to {folder}; waiting for it"):
            lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error}): name another place with --index") from None
    try:
        yield
    except sqlite3.OperationalError as error:  # a full disk, for example; nothing is half written
        raise UserError(f"cannot write to {folder} ({error}): name another place with --index") from None
    finally:
        lock.release()


# The functions below change an index; the caller holds its lock. The sizes of chunks are facts of the index.


def ingest_paths(index: Index, paths: Sequence[Path], collection: str | None, embedder: Embedder) -> Report:
    """Make the index hold the files under these paths as they are now.

    Raises:
        UserError: a path does not exist, or holds nothing that can be read.
    """
    report = Report()
    known = {row["path"]: row["name"] for row in index.documents()}
    files = find(paths, known, collection, report)
    with count_bar("reading files", len(files)) as progress:
        ingest(index, files, embedder, report, progress)
    deleted = deleted_documents(index, paths)
    index.remove([row["id"] for row in deleted])
    report.removed = [row["name"] for row in deleted]
    return report


def ingest(
    index: Index,
    sources: Sequence[DocumentSource],
    embedder: Embedder,
    report: Report | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Report:
    """Make the index hold these sources as they are now.

    `progress` is called with the number of finished sources and of all.
    """
    report = report or Report()
    known = {row["path"]: row for row in index.documents()}
    sizes = index.facts["chunk_size"], index.facts["chunk_overlap"]
    read: list[tuple[NewDocument, list[NewChunk]]] = []  # and not yet written
    for done, source in enumerate(sources):
        progress(done, len(sources))
        row = known.get(source.key)
        try:
            sha256 = source.digest()
            if row and (row["collection"], row["sha256"]) == (source.collection, sha256):
                report.unchanged += 1
                continue
            document = source.read()
            about = source.name, source.key, source.collection, document.title, sha256, source.size()
            chunks = new_chunks(document, embedder, *sizes)
            read.append((NewDocument(*about, document.superseded), chunks))
            (report.changed if row else report.new).append(source.name)
        except (UnreadableError, OSError) as error:
            report.failed[source.name] = getattr(error, "strerror", None) or str(error)
        if sum(len(chunks) for _, chunks in read) >= AT_ONCE:
            _write(index, read, embedder)
            read = []
    _write(index, read, embedder)
    progress(len(sources), len(sources))
    return report


def rebuild(
    folder: Path,
    facts: dict[str, Any],
    embedder: Embedder,
    paths: Sequence[Path],
    collection: str | None,
) -> Report:
    """Make the index in a folder again, with these facts and only from the files under these paths.

    For another embedder, other chunk sizes, or a damaged index. Until the new index is complete, the old one
    stays as it is; then `removed` names every document that the old one has and the new one has not.
    Documents that never had a file (step 5 takes uploads) are made again from the old index's text.

    Raises:
        UserError: there is nothing under the paths, or the index can't be opened now, for example because the
            disk is full; it is as it was.
    """
    if Index.exists(folder) and not _is_sound(folder):
        return _replace_damaged(folder, facts, embedder, paths, collection)
    index = Index.open(folder, {} if Index.exists(folder) else facts, create=True)
    with contextlib.closing(index), index.transaction():  # searches see the old index until it ends
        before = {row["name"] for row in index.documents()}
        stored = documents_without_file(index)
        index.begin_anew(facts)
        report = _ingest_all(index, stored, paths, collection, embedder)
        report.removed = sorted(before - {row["name"] for row in index.documents()})
        shutil.rmtree(folder / "chroma", ignore_errors=True)  # it only takes vectors of one length
    return report


def _is_sound(folder: Path) -> bool:
    """Whether the index in a folder can be read.

    Raises:
        UserError: it can't be opened now, which says nothing about it.
    """
    try:
        with contextlib.closing(Index.open(folder, {})) as index:
            return bool(index.rows("PRAGMA quick_check(1)") == [("ok",)])
    except RebuildNeeded:
        return False


def _ingest_all(
    index: Index,
    stored: Sequence[StoredDocument],
    paths: Sequence[Path],
    collection: str | None,
    embedder: Embedder,
) -> Report:
    """Ingest documents without a file first: so they keep their names, and files get others."""
    ingest(index, stored, embedder)
    report = ingest_paths(index, paths, collection, embedder)
    report.unchanged += len(stored)
    return report


def _replace_damaged(
    folder: Path,
    facts: dict[str, Any],
    embedder: Embedder,
    paths: Sequence[Path],
    collection: str | None,
) -> Report:
    """Make a new index beside a damaged one, then put it in its place."""
    stored, is_complete = _rescue(folder)
    beside = folder / "new-index"
    shutil.rmtree(beside, ignore_errors=True)  # of a rebuild that was killed
    try:
        with contextlib.closing(Index.open(beside, facts, create=True)) as index, index.transaction():
            report = _ingest_all(index, stored, paths, collection, embedder)
        aside = _move_aside(folder)
        clear(folder)  # the store: in the new index, other chunks get the same ids
        (beside / "index.sqlite").rename(folder / "index.sqlite")
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if is_complete:
        for file in folder.glob(f"{aside.name}*"):
            file.unlink()
    else:
        advice = "if documents were uploaded, upload them again, then delete it"
        print(f"the damaged index is kept as {aside}: {advice}", file=sys.stderr)
    return report


def _rescue(folder: Path) -> tuple[list[StoredDocument], bool]:
    """The documents without a file that a damaged index still has, and whether these are all."""
    try:
        with contextlib.closing(sqlite3.connect(folder / "index.sqlite")) as db:
            return documents_without_file(Index(folder, db)), True
    except (UserError, sqlite3.Error):
        return [], False


def _move_aside(folder: Path) -> Path:
    """Give an index's files another name, `damaged-1.sqlite`."""
    numbers = itertools.count(1)
    aside = next(name for number in numbers if not (name := folder / f"damaged-{number}.sqlite").exists())
    for ending in ("-wal", "-shm", ""):  # what has not reached the file yet, and the file
        part = folder / f"index.sqlite{ending}"
        if part.exists():
            part.rename(folder / f"{aside.name}{ending}")
    return aside


def clear(folder: Path) -> None:
    """Delete an index's files; the store first, since in a new index other chunks get the same ids."""
    for pattern in ("chroma", "index.sqlite*", "bm25-*", "entity-graph.json"):  # two are of older versions
        for file in folder.glob(pattern):
            shutil.rmtree(file) if file.is_dir() else file.unlink()


def deleted_documents(index: Index, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The documents of an index whose files lay below these folders and no longer exist."""
    roots = [folder.resolve() for folder in folders if folder.is_dir()]
    return [
        row
        for row in index.documents()
        if any(Path(row["path"]).is_relative_to(root) for root in roots) and _is_deleted(row["path"])
    ]


def _is_deleted(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:  # after any other error the file may still exist
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _write(index: Index, read: list[tuple[NewDocument, list[NewChunk]]], embedder: Embedder) -> None:
    """Embed and write documents, in one transaction."""
    texts: list[str] = []
    for _, chunks in read:
        texts += [chunk.embedded for chunk in chunks]
    parts = (texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))
    encoded = itertools.chain.from_iterable(map(embedder.encode_documents, parts))
    with index.transaction():
        for document, chunks in read:
            index.add(index.replace(document), chunks, itertools.islice(encoded, len(chunks)))


def new_chunks(document: load.Document, embedder: Embedder, size: int, overlap: int) -> list[NewChunk]:
    """The chunks of a document. The embedder reads each under the document's title and its headings."""
    text, title = document.text, document.title
    headings = chunk.headings(text)
    places = [begin for begin, _ in headings]
    chunks = []
    for start, end in _spans(text, embedder, size, overlap):
        own = text[start:end]
        number = bisect_right(places, start)
        heading = headings[number - 1][1] if number else ""
        path = heading.split(" > ") if heading else []
        if number and places[number - 1] == start:  # the chunk begins with this heading
            path = path[:-1]
        above = " > ".join(dict.fromkeys([title, *path]))
        room = max(0, embedder.longest - len(embedder.token_spans(own)) - 1)  # 1 for a line break
        spans = embedder.token_spans(above)[: min(HEADER, room)]
        header = above[: spans[-1][1]] if spans and not own.lstrip("# ").startswith(title) else ""
        embedded = f"{header}\n{own}" if header else own
        chunks.append(NewChunk(len(chunks), start, document.page_at(start), heading, own, embedded))
    return chunks


def _spans(text: str, embedder: Embedder, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where the chunks of a text begin and end; a long text is cut in parts, at the end of a line or word."""
    begin = 0
    while begin < len(text):
        end = begin + PART
        if end < len(text):
            places = (text.rfind(mark, begin + PART // 2, end) + 1 for mark in "\n ")
            end = next(filter(None, places), end)
        spans = chunk.chunk(text[begin:end], embedder.token_spans, size, overlap)
        for start, stop in spans:
            yield begin + start, begin + stop
        begin = end
