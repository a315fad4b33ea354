"""The submissions of a folder: whose they are, which attempt, and when they were handed in.

    ada/  bob.zip  cleo.tar.gz          a submission each: a folder or an archive
    ada-2.zip                           ada's second attempt, since there is an `ada` too
    team-1/  team-2/                    two teams: there is no `team`

Two downloads are known by their names: Canvas's "Download submissions"
(lovelaceada_LATE_123_456_work.zip; 123 is the learner's ID there) and Moodle's (Ada
Lovelace_123_assignsubmission_file_/). Both write the learner's name and id first and what the learner called
the file last, so only the first name and id count. People are told apart by these ids: two of one name stay
two. With a roster, a name only finds the row, and what finds none is listed and not graded.

A folder that holds one archive and nothing else stands for it. The time is the newest date of a file inside;
for a clone it is that of the last commit, and not of the cloning. Both are the learner's own claims.
Nothing is unpacked, and no link is followed.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from classroom.gradebook import roster
from classroom.gradebook.roster import CANVAS, MOODLE, Person, Roster
from classroom.intake.harmless import harmless
from classroom.intake.history import last_commit
from classroom.intake.take import take
from shared.errors import UserError

HIDDEN = (".", "__MACOSX")  # names that begin so are no submissions
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
NUMBERED = re.compile(r"(?P<name>.+)-(?P<number>\d{1,3})", re.DOTALL)
# Both systems write no underscore into the name, so the first ones end it: what follows is the learner's.
DOWNLOADS = {
    MOODLE: re.compile(r"(?P<name>[^_]+)_(?P<id>\d+)_assignsubmission_file(_.*)?", re.DOTALL | re.ASCII),
    CANVAS: re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<id>\d+)_\d+_.+", re.DOTALL | re.ASCII),
}
MOST = 20  # attempts of a learner that are graded: the last ones
LATE = "late, as Canvas says"
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Attempt:
    """One submission of one learner."""

    person: Person
    number: int
    path: Path
    key: str = ""  # a unique file name
    submitted: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The learner's, harmless."""
        return self.person.name


@dataclass(frozen=True)
class Found:
    """The submissions of a folder, and the names of everything else in it."""

    attempts: list[Attempt]
    ignored: list[str]
    unknown: list[str] = field(default_factory=list)  # submissions of nobody on the roster, and why
    missing: list[Person] = field(default_factory=list)  # people on the roster without a submission


@dataclass(frozen=True)
class NameParts:
    """What the name of an entry says, without its ending."""

    name: str
    system: str = ""  # whose download it is
    id: str = ""
    is_late: bool = False


def find(folder: Path, besides: Iterable[Path] = (), most: int = MOST, people: Roster | None = None) -> Found:
    """The submissions by learner and attempt, the last `most` of each learner.

    `besides` are folders to leave out; `people` are those who can have a grade, if that is known.

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
    ignored = sorted(_told(path) for path in others)
    attempts: list[Attempt] = []
    unknown: list[str] = []
    for path, stem in submissions.items():
        attempt = _attempt(path, stem, {*submissions.values()}, people)
        if isinstance(attempt, Attempt):
            attempts.append(attempt)
        else:
            unknown.append(f"{harmless(path.name, 100)}: {attempt}")
    attempts.sort(key=lambda attempt: (attempt.name, attempt.person.key, attempt.number, attempt.path))
    kept: list[Attempt] = []
    for _, group in groupby(attempts, key=lambda attempt: attempt.person.key):
        own = [*group]
        kept += [replace(attempt, submitted=_handed_in(attempt.path)) for attempt in own[-most:]]
        if len(own) > most:
            ignored.append(f"{own[0].person.label}: {len(own) - most} attempts before the last {most}")
    without = roster.missing(people, [attempt.person for attempt in kept]) if people else []
    return Found(_distinct(kept), ignored, unknown, without)


def _handed_in(path: Path) -> datetime | None:
    """When a submission was handed in: the date of a clone's last commit, or else the newest of its files."""
    return last_commit(path) or take(path).newest


def _told(path: Path) -> str:
    name = harmless(path.name, 100)
    return f"{name} (a link)" if path.is_symlink() else name


def _stem(path: Path) -> str:
    """`ada` of ada/, ada.zip and ada.tar.gz; nothing of what is no submission."""
    if path.is_dir() and not path.is_symlink():
        return path.name
    ending = next((each for each in ARCHIVES if path.name.lower().endswith(each)), "")
    return path.name[: -len(ending)] if ending and path.is_file() and not path.is_symlink() else ""


def _attempt(path: Path, stem: str, stems: Collection[str], people: Roster | None) -> Attempt | str:
    """The attempt that an entry stands for, or why it is nobody's; `stems` are the names of all entries."""
    parts = parsed(stem)
    number = 1
    numbered = None if parts.id else NUMBERED.fullmatch(stem)
    if people is None:
        if numbered and numbered["name"] in stems:
            parts, number = NameParts(numbered["name"]), int(numbered["number"])
        person: Person | str = _unlisted(parts)
    else:
        person = _listed(parts, people)
        if isinstance(person, str) and numbered and not people.named(stem):
            person, number = _listed(NameParts(numbered["name"]), people), int(numbered["number"])
    if isinstance(person, str):
        return person
    notes = (LATE,) if parts.is_late else ()
    return Attempt(person, number, only_archive(path), notes=notes)


def parsed(stem: str) -> NameParts:
    """What a name says: that of a download, or a plain one.

    >>> parsed("lovelaceada_LATE_123_456_work")
    NameParts(name='lovelaceada', system='canvas', id='123', is_late=True)
    >>> parsed("Eve_124_assignsubmission_file_Zz_999_assignsubmission_file_").id
    '124'
    """
    for system, pattern in DOWNLOADS.items():
        match = pattern.fullmatch(stem)
        if match:
            parts = match.groupdict()
            return NameParts(parts["name"], system, parts["id"], bool(parts.get("late")))
    return NameParts(stem)


def _unlisted(parts: NameParts) -> Person:
    """A person without a roster: the system's id says who it is, or else the name as it stands."""
    name = harmless(" ".join(parts.name.split()), 100) or "unnamed"
    if parts.id:
        return Person(f"{parts.system} {parts.id}", name, parts.id, parts.system)
    return Person(f"name {parts.name}", name)


def _listed(parts: NameParts, people: Roster) -> Person | str:
    """The person of the roster, or why it is nobody."""
    if parts.id:
        person = people.numbered(parts.system, parts.id)
        if person is None:
            return f"no {parts.system} id {parts.id} on the roster"
        # A learner may be called `x_5` in Canvas, and then `5` is not the id: both have to fit.
        if parts.system == CANVAS and not roster.spelled_alike(person.name, parts.name):
            return f"the roster calls {parts.id} {person.name}"
        return person
    matches = people.named(parts.name)
    if len(matches) > 1:
        labels = ", ".join(person.label for person in matches)
        return f"several people on the roster have this name: {labels}"
    return matches[0] if matches else "not on the roster"


def only_archive(path: Path) -> Path:
    """The archive that a folder holds and nothing else; else the path itself."""
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(HIDDEN)]
        if len(entries) == 1 and not entries[0].is_dir() and _stem(entries[0]):
            return entries[0]
    return path


def _distinct(attempts: list[Attempt]) -> list[Attempt]:
    """In order, each with a number and a key that no other has."""
    numbers: set[tuple[str, int]] = set()
    keys: set[str] = set()
    distinct = []
    for attempt in sorted(attempts, key=_order):
        person, number, notes = attempt.person, attempt.number, attempt.notes
        while (person.key, number) in numbers:
            number += 1
        if number != attempt.number:
            notes = (*notes, f"{harmless(attempt.path.name, 100)}, too, is named as attempt {attempt.number}")
        numbers.add((person.key, number))
        key = _file_name(f"{person.name} {person.id}") + (f"-{number}" if number > 1 else "")
        if key.casefold() in keys:
            key += (
                "_"
                + hashlib.sha256(f"{person.key} {number}".encode(errors="surrogateescape")).hexdigest()[:6]
            )
        keys.add(key.casefold())
        distinct.append(replace(attempt, number=number, key=key, notes=notes))
    return distinct


def _order(attempt: Attempt) -> tuple[str, str, int, datetime, str]:
    when = attempt.submitted or LONG_AGO
    return (attempt.name, attempt.person.key, attempt.number, when, attempt.path.name)


def _file_name(name: str) -> str:
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).strip("._-")
    return plain.encode()[:120].decode(errors="ignore") or "submission"
