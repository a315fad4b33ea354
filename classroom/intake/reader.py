"""Reads one submission in a process of its own, so that nothing is unpacked in the grader's.

    python -I -S reader.py     {"path": "ada.zip", "wanted": ["step3_rag/retrieve/fuse.py"]} comes on stdin

The result goes to stdout as JSON: see take.py, which starts it. Whatever exceeds a limit ends it.
"""

import base64
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))

from classroom.intake.archives import Archive, open_archive
from classroom.intake.folders import Folder, Missing, Refused

NESTED = 3  # folders around a submission
MANIFEST = "classroom.json"
MEMORY = 512 << 20  # bytes
SECONDS = 5  # of processor time: some broken archives are parsed for ever


@dataclass
class Found:
    """What was read."""

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    variant: int | None = None
    newest: float | None = None

    def to_json(self) -> str:
        files = {name: base64.b64encode(content).decode() for name, content in self.files.items()}
        return json.dumps({**vars(self), "files": files})


def read(path: Path, wanted: Sequence[str]) -> Found:
    """Read the wanted files of a folder or an archive; problems become notes."""
    found = Found()
    try:
        source = Folder(path) if path.is_dir() else open_archive(path)
    except Refused as refused:
        found.notes.append(f"nothing could be read: {refused}")
        return found
    top = _top(source, wanted)
    if top:
        found.notes.append(f"the submission lies in the folder {top!r}")
    for name in wanted:
        _read_file(source, top, name, wanted, found)
    found.variant = _claimed_variant(source, top)
    with contextlib.suppress(OSError, ValueError):  # an odd date: it is graded all the same
        found.newest = max(source.dates(), default=None)
    return found


def _read_file(source: Folder | Archive, top: str, name: str, wanted: Sequence[str], found: Found) -> None:
    """Read a file from its path, or from the top if no other wanted file has its name."""
    base = name.rpartition("/")[2]
    alone = sum(each.rpartition("/")[2] == base for each in wanted) == 1
    for place in dict.fromkeys([name, base] if alone else [name]):
        try:
            found.files[name] = source.read(_join(top, place))
        except Missing:
            continue
        except Refused as refused:
            found.notes.append(f"{place} was refused: {refused}")
            return
        if place != name:
            found.notes.append(f"{place} was taken for {name}")
        return
    found.notes.append(f"{name} is missing: the starter's is graded")


def _top(source: Folder | Archive, wanted: Sequence[str]) -> str:
    """The folder that the submission lies in; usually none."""
    top = ""
    for _ in range(NESTED):
        folders, files = source.names(top)
        inside = {each.partition("/")[0] for each in wanted} | {each.rpartition("/")[2] for each in wanted}
        folders = [each for each in folders if not each.startswith((".", "__MACOSX"))]
        if len(folders) != 1 or inside & {*folders, *files}:
            return top
        top = _join(top, folders[0])
    return top


def _claimed_variant(source: Folder | Archive, top: str) -> int | None:
    try:
        told = json.loads(source.read(_join(top, MANIFEST)))
        return told["variant"] if type(told["variant"]) is int and abs(told["variant"]) < 1 << 63 else None
    except (Refused, ValueError, KeyError, TypeError, RecursionError):
        return None


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def limit() -> None:
    """Limit this process: memory, processor time, and no file may be written."""
    import resource  # not on Windows, where nothing is graded

    limits = {"AS": MEMORY, "CPU": SECONDS, "FSIZE": 0, "CORE": 0, "NOFILE": 64}
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        there_is = resource.getrlimit(kind)[1]
        value = value if there_is == resource.RLIM_INFINITY else min(value, there_is)
        resource.setrlimit(kind, (value, value))


def main() -> None:
    """Read what stdin asks for."""
    limit()
    told = json.loads(sys.stdin.buffer.read())
    try:
        found = read(Path(told["path"]), told["wanted"])
    except MemoryError:
        found = Found(notes=["nothing could be read: it needs too much memory"])
    sys.stdout.write(found.to_json())


if __name__ == "__main__":
    main()
