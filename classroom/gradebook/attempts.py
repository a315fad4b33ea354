"""The submissions of a folder: a learner's name, which attempt, and when it was handed in.

    ada/  bob.zip  cleo.tar.gz          a submission each: a folder or an archive
    ada-2.zip                           ada's second attempt, since there is an `ada` too
    team-1/  team-2/                    two teams: there is no `team`

Two downloads are known by their names: Canvas's "Download submissions"
(lovelaceada_LATE_123_456_work.zip; 123 is the learner's ID there) and Moodle's (Ada
Lovelace_123_assignsubmission_file_/). A folder that holds one archive and nothing else stands for it.

The time is the newest date of a file inside: a learner's own claim, and for a clone the time of the
cloning. Nothing is unpacked, and no link is followed.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from classroom.intake.harmless import harmless
from classroom.intake.take import take
from shared.errors import UserError

HIDDEN = (".", "__MACOSX")  # names that begin so are no submissions
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
NUMBERED = re.compile(r"(?P<name>.+)-(?P<number>\d{1,3})")
CANVAS = re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<id>\d+)_\d+_.+")
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_file_?.*")
MOST = 20  # attempts of a learner that are graded: the last ones
LATE = "late, as Canvas says"
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Attempt:
    """One submission of one learner."""

    name: str  # of the learner, harmless
    number: int
    path: Path
    key: str = ""  # a unique file name
    submitted: datetime | None = None
    canvas_id: str = ""
    moodle_id: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The submissions of a folder, and the names of everything else in it."""

    attempts: list[Attempt]
    ignored: list[str]


def find(folder: Path, besides: Iterable[Path] = (), most: int = MOST) -> Found:
    """The submissions by name and attempt, the last `most` of each learner.

    `besides` are folders to leave out.

    Raises:
        UserError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}; name the one that holds the submissions")
    excluded = {path.resolve() for path in besides}
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(HIDDEN)]
    stems = {path: _stem(path) for path in paths if path.resolve() not in excluded}
    submissions = {path: stem for path, stem in stems.items() if stem}
    if not submissions:
        raise UserError(f"{str(folder)!r} holds no submission, that is a folder, a .zip or a .tar.gz each")
    others = stems.keys() - submissions.keys()
    ignored = sorted(f"{path.name} (a link)" if path.is_symlink() else path.name for path in others)
    attempts = [_by_name(path, stem, {*submissions.values()}) for path, stem in submissions.items()]
    attempts.sort(key=lambda each: (each.name, each.number, each.path))
    kept: list[Attempt] = []
    for name, group in groupby(attempts, key=lambda each: each.name):
        own = [*group]
        kept += [replace(each, submitted=take(each.path).newest) for each in own[-most:]]
        if len(own) > most:
            ignored.append(f"{name}: {len(own) - most} attempts before the last {most}")
    return Found(_distinct(kept), ignored)


def _stem(path: Path) -> str:
    """`ada` of ada/, ada.zip and ada.tar.gz; nothing of what is no submission."""
    if path.is_dir() and not path.is_symlink():
        return path.name
    ending = next((each for each in ARCHIVES if path.name.lower().endswith(each)), "")
    return path.name[: -len(ending)] if ending and path.is_file() and not path.is_symlink() else ""


def _by_name(path: Path, name: str, stems: set[str]) -> Attempt:
    """The attempt that an entry of this name stands for; `stems` are the names of all."""
    number, canvas_id, moodle_id, notes = 1, "", "", ()
    if moodle := MOODLE.fullmatch(name):
        name, moodle_id = moodle["name"], moodle["id"]
    elif canvas := CANVAS.fullmatch(name):
        name, canvas_id, notes = canvas["name"], canvas["id"], (LATE,) if canvas["late"] else ()
    elif (numbered := NUMBERED.fullmatch(name)) and numbered["name"] in stems:
        name, number = numbered["name"], int(numbered["number"])
    if path.is_dir():
        entries = [each for each in path.iterdir() if not each.name.startswith(HIDDEN)]
        if len(entries) == 1 and not entries[0].is_dir() and _stem(entries[0]):
            path = entries[0]
    plain = harmless(" ".join(name.split()), 100) or "unnamed"
    return Attempt(plain, number, path, canvas_id=canvas_id, moodle_id=moodle_id, notes=notes)


def _distinct(attempts: list[Attempt]) -> list[Attempt]:
    """In order, each with a number and a key that no other has."""
    order = lambda each: (each.name, each.number, each.submitted or LONG_AGO, each.path.name)  # noqa: E731
    numbers: set[tuple[str, int]] = set()
    keys: set[str] = set()
    distinct = []
    for each in sorted(attempts, key=order):
        number, notes = each.number, each.notes
        while (each.name, number) in numbers:
            number += 1
        if number != each.number:
            notes = (*notes, f"{harmless(each.path.name, 100)}, too, is named as attempt {each.number}")
        numbers.add((each.name, number))
        key = _file_name(each.name) + (f"-{number}" if number > 1 else "")
        if key.casefold() in keys:
            key += "_" + hashlib.sha256(f"{each.name} {number}".encode()).hexdigest()[:6]
        keys.add(key.casefold())
        distinct.append(replace(each, number=number, key=key, notes=notes))
    return distinct


def _file_name(name: str) -> str:
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-")
    return plain.encode()[:120].decode(errors="ignore") or "submission"
