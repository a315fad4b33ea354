"""Whose submissions lie in a folder: a learner's name, which attempt, and when it was handed in.

    ada/  bob.zip  cleo.tar.gz          a submission each: a folder or an archive
    ada-2.zip                           ada's second attempt, since there is an `ada` too
    team-1/  team-2/                    two teams: there is no `team`

Three downloads are known by their names: Gradescope's "Export submissions" (submission_123/, with names and
times in submission_metadata.yml), Canvas's "Download submissions" (lovelaceada_LATE_123_456_work.zip; 123 is
the learner's ID there) and Moodle's (Ada Lovelace_123_assignsubmission_file_/). A folder that holds one
archive and nothing else stands for it.

The time is the service's, where there is one; else the newest date of a file inside: a learner's own claim,
and for a clone the time of the cloning. Nothing is unpacked, and no link is followed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from classroom.intake.harmless import harmless
from classroom.intake.take import take
from shared.errors import UserError

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
METADATA = "submission_metadata.yml"
NUMBERED = re.compile(r"(?P<name>.+)-(?P<number>\d{1,3})")
CANVAS = re.compile(r"(?P<name>[^_]+)(?:_LATE)?_(?P<id>\d+)_\d+_.+")
MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_file_?.*")
FROM_SERVICE = "Gradescope"
MOST = 20  # attempts of a learner that are graded: the last ones


@dataclass(frozen=True)
class Attempt:
    """One submission of one learner."""

    name: str  # of the learner, harmless
    number: int
    path: Path
    key: str  # a file's name that is its own
    submitted: datetime | None = None
    time_from: str = ""  # Gradescope, or file dates
    canvas_id: str = ""
    moodle_id: str = ""
    login: str = ""  # an address or a number by which a service knows the learner
    notes: tuple[str, ...] = ()


@dataclass
class Found:
    """The submissions of a folder, and the names of what is none."""

    attempts: list[Attempt] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def find(folder: Path, besides: Iterable[Path] = (), most: int = MOST) -> Found:
    """The submissions by name and attempt, the last `most` of each learner.

    `besides` are folders that are none.

    Raises:
        UserError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}; name the one that holds the submissions")
    found = Found()
    others = {path.resolve() for path in besides}
    entries, told = _entries(folder, others, found), _told_by_gradescope(folder)
    bare = {_stem(path) for path in entries}
    for path in entries:
        if path.name in told:
            found.attempts.append(_by_gradescope(path, told[path.name]))
        else:
            found.attempts.append(_by_name(path, bare))
    if not found.attempts:
        raise UserError(f"{str(folder)!r} holds no submission, that is a folder, a .zip or a .tar.gz each")
    found.attempts = _distinct([_dated(each) for each in _last(found, most)])
    return found


def _last(found: Found, most: int) -> list[Attempt]:
    """The last attempts of each learner; how many were left out is said among what is ignored."""
    by_name: dict[str, list[Attempt]] = {}
    for each in found.attempts:
        by_name.setdefault(each.name, []).append(each)
    kept = []
    for name, attempts in by_name.items():
        attempts.sort(key=lambda each: (each.number, each.path.name))
        kept += attempts[-most:]
        if (left := len(attempts) - most) > 0:
            found.ignored.append(f"{name}: {left} attempts before the last {most}")
    return kept


def _dated(attempt: Attempt) -> Attempt:
    """With the newest date of a file inside, where no service said when it came."""
    if attempt.submitted is not None:
        return attempt
    submitted = take(attempt.path).newest
    future = submitted is not None and submitted > datetime.now(UTC) + timedelta(days=1)
    notes = (*attempt.notes, "the dates of its files lie in the future") if future else attempt.notes
    return replace(attempt, submitted=submitted, time_from="file dates" if submitted else "", notes=notes)


def _entries(folder: Path, others: set[Path], found: Found) -> list[Path]:
    entries = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")) or path.name == METADATA or path.resolve() in others:
            continue
        if path.is_symlink():
            found.ignored.append(f"{path.name} (a link)")
        elif _holds_files(path):
            entries.append(path)
        else:
            found.ignored.append(path.name)
    return entries


def _holds_files(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.name.lower().endswith(ARCHIVES))


def _stem(path: Path) -> str:
    """`ada` of ada/, ada.zip and ada.tar.gz."""
    lowered = path.name.lower()
    ending = next((each for each in ARCHIVES if lowered.endswith(each)), "")
    return path.name if path.is_dir() or not ending else path.name[: -len(ending)]


def _by_name(path: Path, bare: set[str]) -> Attempt:
    """The attempt that an entry stands for."""
    stem = _stem(path)
    if moodle := MOODLE.fullmatch(stem):
        return replace(_attempt(moodle["name"], 1, _only_archive(path)), moodle_id=moodle["id"])
    if canvas := CANVAS.fullmatch(stem):
        return replace(_attempt(canvas["name"], 1, path), canvas_id=canvas["id"])
    path = _only_archive(path)
    numbered = NUMBERED.fullmatch(stem)
    if numbered and numbered["name"] in bare:
        return _attempt(numbered["name"], int(numbered["number"]), path)
    return _attempt(stem, 1, path)


def _only_archive(path: Path) -> Path:
    """The archive that a folder holds, where it holds nothing else."""
    if not path.is_dir():
        return path
    entries = [each for each in path.iterdir() if not each.name.startswith((".", "__MACOSX"))]
    if len(entries) == 1 and entries[0].name.lower().endswith(ARCHIVES):
        only = entries[0]
        return only if only.is_file() and not only.is_symlink() else path
    return path


def _attempt(name: str, number: int, path: Path) -> Attempt:
    return Attempt(harmless(" ".join(name.split()), 100) or "unnamed", number, path, "")


def _distinct(attempts: list[Attempt]) -> list[Attempt]:
    """In order, each with a number and a key that no other has."""
    long_ago = datetime.fromtimestamp(0, UTC)
    attempts = sorted(
        attempts, key=lambda each: (each.name, each.number, each.submitted or long_ago, each.path.name)
    )
    numbers: set[tuple[str, int]] = set()
    keys: set[str] = set()
    distinct = []
    for each in attempts:
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


def _told_by_gradescope(folder: Path) -> dict[str, dict[str, object]]:
    """What an export says of each submission: its keys are Ruby's symbols."""
    path = folder / METADATA
    if not path.is_file():
        return {}
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes objects of Ruby's, which say nothing here, for nothing."""

    Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)
    try:
        told = yaml.load(path.read_text("utf-8"), Loader=Loader)
        return {str(name): each for name, each in told.items() if isinstance(each, dict)}
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{str(path)!r} can't be read: {' '.join(str(error).split())[:200]}") from None


def _by_gradescope(path: Path, told: dict[str, object]) -> Attempt:
    people = told.get(":submitters")
    people = [each for each in people if isinstance(each, dict)] if isinstance(people, list) else []
    names = [str(each.get(":name") or each.get(":email") or each.get(":sid")) for each in people]
    attempt = _attempt(" & ".join(names) or path.name, 1, _only_archive(path))
    logins = [str(each.get(":email") or each.get(":sid") or "") for each in people]
    when = told.get(":created_at")
    if isinstance(when, datetime):
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
        attempt = replace(attempt, submitted=when, time_from=FROM_SERVICE)
    return replace(attempt, login=harmless(logins[0], 100) if len(logins) == 1 else "")
