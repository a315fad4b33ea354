"""What goes into an index: files below a path, each with a name and a collection.

>>> [file.name for file in find([Path("documents")], known={}, collection=None, report=Report())]
['contracts/price-list.csv', 'contracts/supply.md', 'handbook/leave.md']
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from shared.errors import UserError
from step3_rag.ingest import load, worker
from step3_rag.ingest.index import Index
from step3_rag.ingest.text import clean

DEFAULT_COLLECTION = "documents"


class DocumentSource(Protocol):
    """Something that becomes a document."""

    @property
    def key(self) -> str: ...  # identifies it from one ingest to the next
    @property
    def name(self) -> str: ...  # shown to people
    @property
    def collection(self) -> str: ...
    def size(self) -> int: ...  # bytes of the contents
    def digest(self) -> str: ...  # sha256 of the contents
    def read(self) -> load.Document: ...


@dataclass(frozen=True)
class File:
    """A file, and its name and collection in the index."""

    path: Path
    name: str
    collection: str

    @property
    def key(self) -> str:
        return str(self.path)

    def size(self) -> int:
        return self.path.stat().st_size

    def digest(self) -> str:
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def read(self) -> load.Document:
        return worker.read(self.path)


@dataclass
class Report:
    """What an ingest did: names of documents; with the reason in `failed` and `passed_over`."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)


def files_in(path: Path, collection: str | None, report: Report) -> list[File]:
    """The files at or below a path that have a readable format, sorted.

    Links that lead out of the folder or in a circle are not followed; hidden files and indexes are skipped.

    Raises:
        UserError: there is no such path, or the collection's name can't be shown.
    """
    if not (collection or "").isprintable():
        raise UserError(f"the collection {collection!r} is not allowed: use letters")
    root = path.resolve()
    if os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises where a folder above may not be read)
        files = [(root, path.name)]
    elif os.path.isdir(path):  # noqa: PTH112
        files = [(file, file.relative_to(root).as_posix()) for file in _walk(root, report)]
    else:
        raise UserError(f"{path} does not exist: name existing files or folders")
    readable: list[File] = []
    for file, name in files:
        if clean(str(file)) != str(file):
            report.failed[clean(name)] = (
                "its name, or that of a folder above it, is not UTF-8 or has control characters: rename it"
            )
            continue
        first, _, rest = name.partition("/")
        own_collection = first if rest else DEFAULT_COLLECTION
        readable.append(File(file, name, collection or own_collection))
    return readable


def _walk(root: Path, report: Report) -> Iterator[Path]:
    """The files below a folder that have a readable format; the others are reported."""
    other_types = Counter[str]()  # how many files have each other ending

    def failed(error: OSError) -> None:
        folder = Path(error.filename or root).relative_to(root).as_posix()
        report.failed[f"{folder}/"] = error.strerror or str(error)

    for folder, folders, names in os.walk(root, onerror=failed):  # links to folders are not walked into
        here = Path(folder)
        visible = (name for name in folders if not name.startswith(".") and not Index.exists(here / name))
        folders[:] = sorted(visible)  # os.walk goes into these
        for folder_name in folders:
            link = here / folder_name
            if link.is_symlink():
                report.passed_over[link.relative_to(root).as_posix()] = "a link to a folder"
        for file_name in sorted(names):
            if file_name.startswith("."):
                continue
            file = here / file_name
            name = file.relative_to(root).as_posix()
            ending = file.suffix.lower()
            if ending not in load.SUFFIXES:
                other_types[ending or "without an ending"] += 1
            elif not Path(os.path.realpath(file)).is_relative_to(root):  # Path.resolve raises on a circle
                report.passed_over[name] = "a link that leads out of the folder"
            elif not os.path.isfile(file):  # noqa: PTH113
                report.failed[name] = "not a regular file (a broken link?)"
            else:
                yield file
    if other_types:
        counts = ", ".join(f"{count} {ending}" for ending, count in other_types.most_common())
        report.passed_over[str(root)] = f"{counts}: types that are not read"


def find(paths: Sequence[Path], known: dict[str, str], collection: str | None, report: Report) -> list[File]:
    """The files under the paths, each with a unique name; `known` has the names in the index by key.

    Raises:
        UserError: a path doesn't exist, or holds nothing that can be read.
    """
    owner = {name: key for key, name in known.items()}
    files: dict[str, File] = {}
    for path in paths:
        failed = len(report.failed)
        below = files_in(path, collection, report)
        if not below and len(report.failed) == failed:
            raise UserError(f"{path} has no documents that can be read: use {' '.join(load.SUFFIXES)}")
        for file in below:
            # If two folders have a file of the same name, the second file's name begins with its folder, or
            # is its whole path.
            names = (file.name, f"{path.resolve().name}/{file.name}", file.path.as_posix())
            name = next(name for name in names if owner.setdefault(name, file.key) == file.key)
            files[file.key] = File(file.path, known.get(file.key, name), file.collection)
    return list(files.values())
