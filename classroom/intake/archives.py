"""Submitted archives, read in memory: .zip, .tar and .tar.gz, told apart by their first bytes. Used by
reader.py, in its own process.

Of a file no more is unpacked than it may hold, whatever the archive declares. A name that occurs twice is
refused, since programs differ in which of the two they take.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from classroom.intake.folders import MAX_BYTES, MAX_ENTRIES, Missing, Refused, limited, read_file

MAX_ARCHIVE = 64 << 20  # bytes of the file; of a .tar.gz, also of the .tar inside
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
IS_ENCRYPTED = 0x1
TOO_MANY = f"the archive has more than {MAX_ENTRIES:,} entries"


def open_archive(path: Path) -> Archive:
    """The archive at this path.

    Raises:
        Refused: it is not an archive, or not one that can be read.
    """
    content = read_file(path, MAX_ARCHIVE)
    try:
        if content.startswith(b"PK"):
            return Archive(_zip(content))
        if content.startswith(b"\x1f\x8b"):
            content = _unzipped(content)
        if content[257:262] == b"ustar":
            return Archive(_tar(content))
    except Refused:
        raise
    except Exception as error:  # the libraries raise anything on broken data
        raise Refused(f"a damaged archive ({type(error).__name__})") from None
    raise Refused("it is neither a folder nor a .zip, .tar or .tar.gz")


class Entry(NamedTuple):
    """A file in an archive. `date` is in seconds since 1970, None where there is none."""

    name: str
    read: Callable[[], bytes]
    date: float | None


class Archive:
    """Entries by their names, with the methods of `Folder`."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries: dict[str, list[Entry]] = {}
        for each in entries:
            self._entries.setdefault(each.name.replace("\\", "/").removeprefix("./"), []).append(each)

    def names(self, folder: str) -> tuple[list[str], list[str]]:
        start = f"{folder}/" if folder else ""
        inside = [name.removeprefix(start) for name in self._entries if name.startswith(start)]
        folders = {name.partition("/")[0] for name in inside if "/" in name}
        return sorted(folders), [name for name in inside if name and "/" not in name]

    def read(self, name: str) -> bytes:
        if name not in self._entries:
            raise Missing("it is not there")
        entries = self._entries[name]
        if len(entries) > 1:
            raise Refused(f"it is in the archive {len(entries)} times")
        try:
            return limited(entries[0].read())
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"it is damaged ({type(error).__name__})") from None

    def dates(self) -> Iterator[float]:
        entries = chain(*self._entries.values())
        return (entry.date for entry in entries if entry.date is not None)


def _zip(content: bytes) -> list[Entry]:
    if content.count(b"PK\x01\x02") > MAX_ENTRIES:  # before zipfile makes an object for each
        raise Refused(TOO_MANY)
    archive = zipfile.ZipFile(io.BytesIO(content))
    return [
        Entry(entry.filename, partial(_read_zip, archive, entry), _date_in_zip(entry))
        for entry in archive.infolist()
        if not entry.is_dir()
    ]


def _date_in_zip(entry: zipfile.ZipInfo) -> float | None:
    """The local time of the machine that made it. Its zone is unknown: this machine's is taken."""
    try:
        return datetime(*entry.date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _read_zip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    kind = entry.external_attr >> 16
    if stat.S_IFMT(kind) not in (0, stat.S_IFREG):
        raise Refused("it is a symbolic link" if stat.S_ISLNK(kind) else "it is not an ordinary file")
    if entry.flag_bits & IS_ENCRYPTED:
        raise Refused("it is encrypted")
    if entry.compress_type not in METHODS:
        raise Refused("it is compressed in an unusual way: use an ordinary .zip")
    with archive.open(entry) as file:
        return file.read(MAX_BYTES + 1)


def _unzipped(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as file:
        inside = file.read(MAX_ARCHIVE + 1)
    if len(inside) > MAX_ARCHIVE:
        raise Refused(f"the archive holds more than {MAX_ARCHIVE >> 20} MiB")
    return inside


def _tar(content: bytes) -> list[Entry]:
    archive = tarfile.open(fileobj=io.BytesIO(content), mode="r:")  # noqa: SIM115  (read later, from memory)
    found = [*islice(archive, MAX_ENTRIES + 1)]
    if len(found) > MAX_ENTRIES:
        raise Refused(TOO_MANY)
    return [
        Entry(entry.name, partial(_read_tar, archive, entry), float(entry.mtime) if entry.isfile() else None)
        for entry in found
        if not entry.isdir()
    ]


def _read_tar(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    if not entry.isfile() or entry.issparse():
        raise Refused("it is a link" if entry.issym() or entry.islnk() else "it is not an ordinary file")
    file = archive.extractfile(entry)
    return file.read(MAX_BYTES + 1) if file else b""
