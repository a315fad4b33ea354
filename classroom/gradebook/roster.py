"""The roster: who can have a grade, as Canvas, Moodle or a register lists them.

    id,name,e-mail,login,section            a list of your own
    7,Ada Lovelace,ada@example.org,ada,A

Three kinds of CSV files are read: Canvas's "Export Entire Gradebook", Moodle's "Download grading worksheet",
and a list of your own with these columns, of which only `id` and `name` are needed. The id is the system's:
the number that Canvas and Moodle write into the names of what they download.

A submission finds its row by the id in its file's name, or else by exactly one id, login, e-mail or name.
Nobody is guessed: what fits nobody, or several people, is listed.
"""

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classroom.intake.harmless import harmless
from shared.errors import UserError, reason

CANVAS, MOODLE = "canvas", "moodle"
MOST_BYTES = 4 << 20  # of a roster
NAMES = {  # the columns of each kind of file, without case, spaces and signs
    CANVAS: {"id": "id", "name": "student", "login": "sisloginid", "section": "section"},
    MOODLE: {"id": "identifier", "name": "fullname", "email": "emailaddress"},
    "": {"id": "id", "name": "name", "email": "email", "login": "login", "section": "section"},
}
TEST_STUDENT = "Student, Test"  # of Canvas: the instructor's own view of the course


@dataclass(frozen=True)
class Person:
    """Somebody who can have a grade. Two people never share a `key`, whatever their names are."""

    key: str
    name: str
    id: str = ""  # the system's
    system: str = ""  # whose id it is: canvas, moodle, or unknown
    identifier: str = ""  # the cell of Moodle's worksheet, in the site's language
    email: str = ""
    login: str = ""
    section: str = ""

    @property
    def label(self) -> str:
        """The name, with the id where there is one: no two people look alike."""
        return f"{self.name} ({self.id})" if self.id else self.name

    @property
    def canvas_id(self) -> str:
        """The id, unless it is Moodle's."""
        return "" if self.system == MOODLE else self.id

    @property
    def moodle_identifier(self) -> str:
        """`Participant 77`, unless the id is Canvas's."""
        if self.identifier:
            return self.identifier
        return f"Participant {self.id}" if self.id and self.system != CANVAS else ""

    @property
    def handles(self) -> set[str]:
        """All that an instructor may call this person, case-folded."""
        first, comma, last = self.name.partition(",")
        turned = f"{last} {first}" if comma else ""  # "Lovelace, Ada", as Canvas writes names
        return {folded(text) for text in (self.id, self.login, self.email, self.name, turned)} - {""}


@dataclass(frozen=True)
class Roster:
    """The people of a course. `system` is whose ids it holds; empty where the file doesn't say."""

    people: tuple[Person, ...]
    system: str = ""
    _by_handle: Mapping[str, list[Person]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_handle: dict[str, list[Person]] = defaultdict(list)
        for person in self.people:
            for handle in person.handles:
                by_handle[handle].append(person)
        object.__setattr__(self, "_by_handle", by_handle)

    def named(self, text: str) -> list[Person]:
        """Everybody who has this id, login, e-mail or name."""
        return self._by_handle.get(folded(text), [])

    def numbered(self, system: str, id: str) -> Person | None:
        """Who has this id of a system; nobody where the roster has another system's ids."""
        if self.system not in ("", system):
            return None
        return next((person for person in self.people if person.id == id), None)


def folded(text: str) -> str:
    """Text for comparing: case, composition and white space don't matter."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def spelled_alike(name: str, file_name: str) -> bool:
    """Whether Canvas may have made `lovelaceada` of this name: the same letters in any order.

    Canvas may drop letters that are not ASCII, or keep them.
    """
    plain = unicodedata.normalize("NFKD", name)
    spellings = {_letters(name), _letters(plain), _letters(plain.encode("ascii", "ignore").decode())}
    spellings.add(_letters(name.encode("ascii", "ignore").decode()))
    return _letters(file_name) in spellings


def _letters(text: str) -> str:
    return "".join(sorted(sign for sign in text.casefold() if sign.isalnum()))


def read(path: Path) -> Roster:
    """The roster in a CSV file.

    Raises:
        UserError: it can't be read, is of no known kind, or has an id twice.
    """
    lines = _lines(path)
    columns = (
        {re.sub(r"[^a-z]", "", title.casefold()): i for i, title in enumerate(lines[0])} if lines else {}
    )
    system = _kind(columns)
    if system is None:
        raise UserError(
            f"{path} is no roster: its first line must name the columns id and name, "
            "or be that of Canvas's gradebook or Moodle's grading worksheet"
        )
    known = {what: columns[title] for what, title in NAMES[system].items() if title in columns}
    people: dict[str, Person] = {}
    for number, line in enumerate(lines[1:], 2):
        cells = {what: line[i].strip() if i < len(line) else "" for what, i in known.items()}
        if not cells["id"] or cells["name"] == TEST_STUDENT:  # "Points Possible" has no id, for one
            continue
        person = _person(cells, system)
        if person.key in people:
            raise UserError(f"{path}, line {number}: the id {person.id} is there twice; everybody needs one")
        people[person.key] = person
    if not people:
        raise UserError(f"{path} names nobody: every line needs an id and a name")
    return Roster(tuple(people.values()), system)


def _lines(path: Path) -> list[list[str]]:
    """The lines of a CSV file, separated by commas or semicolons.

    Raises:
        UserError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UserError(f"{path} is larger than {MOST_BYTES >> 20} MiB: that is no roster")
        text = content.decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = ";" if first.count(";") > first.count(",") else ","
        return list(csv.reader(text.splitlines(), delimiter=separator))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} can't be read: {reason(error)}") from None


def _kind(columns: Mapping[str, int]) -> str | None:
    """Whose file has these columns; None: nobody's."""
    for system, titles in NAMES.items():
        if titles["id"] in columns and titles["name"] in columns:
            return system
    return None


def _person(cells: Mapping[str, str], system: str) -> Person:
    plain = {what: harmless(" ".join(text.split()), 200) for what, text in cells.items()}
    identifier, id = "", plain.pop("id")
    if system == MOODLE:
        identifier = id
        digits = re.search(r"\d+$", id)  # "Participant 77", in the site's language
        id = digits[0] if digits else id
    return Person(f"roster {id}", id=id, system=system, identifier=identifier, **plain)


def missing(roster: Roster, handed_in: Sequence[Person]) -> list[Person]:
    """Who handed nothing in."""
    keys = {person.key for person in handed_in}
    return [person for person in roster.people if person.key not in keys]
