"""Whose row a submission finds: no learner's file name changes another's, and nobody is guessed or merged."""

import csv
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classroom.gradebook import attempts, deadline, defend, roster, table
from classroom.gradebook.attempts import find
from classroom.gradebook.roster import Person, Roster
from classroom.gradebook.table import Graded, counted_attempts
from shared.errors import UserError
from tests.classroom.results import FULL, PARTIAL

OWN = "id,name,e-mail,login,section\n101,Anna Kim,ak1@example.org,ak1,A\n102,Anna Kim,ak2@example.org,ak2,B\n"
OWN += '7,"Lovelace, Ada",ada@example.org,ada,A\n9,Eve Xavier,eve@example.org,eve,B\n'
CANVAS = "Student,ID,SIS User ID,SIS Login ID,Section,Essay (3)\n    Points Possible,,,,,10\n"
CANVAS += '"Kim, Anna",101,s1,ak1,A,\n"Kim, Anna",102,s2,ak2,B,\n"Lovelace, Ada",7,s3,ada,A,\n'
CANVAS += '"Student, Test",44,,x,A,\n'
MOODLE = "Identifier,Full name,Email address,Status,Grade\nTeilnehmer/in 101,Anna Kim,ak1@example.org,,\n"
MOODLE += "Teilnehmer/in 102,Anna Kim,ak2@example.org,,\nTeilnehmer/in 7,Ada Lovelace,ada@example.org,,\n"


def people(tmp_path, text):
    file = tmp_path / "roster.csv"
    file.write_text(text, "utf-8-sig")
    return roster.read(file)


def laid(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if not name.endswith(".zip") else path.write_bytes(b"PK")
    return folder


def found(folder, people=None):
    newest = SimpleNamespace(newest=datetime(2026, 1, 1, tzinfo=UTC))
    with mock.patch.object(attempts, "take", return_value=newest):
        return find(folder, people=people)


def tables(found):
    """The rows of class.csv, canvas.csv and moodle.csv, where everybody has the same points."""
    graded = [Graded(attempt, PARTIAL) for attempt in found.attempts]
    counted = counted_attempts(graded, "best")
    made = (table.rows(graded), table.canvas(counted, "Essay", 20, found.missing), table.moodle(counted, 20))
    return [list(csv.reader(io.StringIO(table.text(rows)))) for rows in made]


# --- one learner's file name and the others' rows ----------------------------------------------------------

PIECES = [
    "_",
    "-",
    "2",
    "999",
    "101",
    "Anna Kim",
    "kimanna",
    "_LATE",
    "_assignsubmission_file_",
    "_101_7_",
    " ",
]
PIECES += [".zip", ".tar", ";=1+1", "|@x", "\n", "`", "é", "\u202e", "eve"]
FILE_NAMES = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join),
    st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=40),
).filter(lambda name: len(name.encode()) < 150)
DOWNLOADS = {
    "canvas": ["kimanna_101_1_a.zip", "kimanna_102_2_b.zip", "lovelaceada_LATE_7_3_c-2.zip"],
    "moodle": [
        "Anna Kim_101_assignsubmission_file_a.zip",
        "Anna Kim_102_assignsubmission_file_/",
        "Ada Lovelace_7_assignsubmission_file_c-2.zip",
    ],
}
EVE = {"canvas": "xaviereve_9_4_{}.zip", "moodle": "Eve Xavier_9_assignsubmission_file_{}.zip"}


@pytest.mark.parametrize("has_roster", [False, True])
@pytest.mark.parametrize("system", DOWNLOADS)
@given(name=FILE_NAMES)
@settings(max_examples=60, deadline=None)
def test_no_file_name_of_a_learner_changes_the_row_of_another(tmp_path_factory, system, has_roster, name):
    known = people(tmp_path_factory.mktemp("roster"), OWN) if has_roster else None
    without = tables(found(laid(tmp_path_factory.mktemp("without"), *DOWNLOADS[system]), known))
    folder = laid(tmp_path_factory.mktemp("with"), *DOWNLOADS[system], EVE[system].format(name))
    with_eve = tables(found(folder, known))
    for before, after in zip(without, with_eve, strict=True):
        of_eve = [row for row in after if is_eves(row)]
        assert len(of_eve) == 1
        assert [row for row in before if not is_eves(row)] == [row for row in after if not is_eves(row)]
        assert not any(opens_formula(value) for row in after for value in row)


def is_eves(row):
    """Whether a row begins with Eve's name or number, as one of the three files writes it."""
    return bool({"xaviereve", "Eve Xavier", "Xavier, Eve"} & set(row[:2]))


def opens_formula(value):
    """Whether a spreadsheet with another separator than the comma finds a formula in this cell."""
    parts = value.replace("|", ";").replace(",", ";").split(";")
    return any(part.lstrip(" \"'").startswith(("=", "+", "-", "@")) and "'" not in part for part in parts)


def test_a_file_name_that_looks_like_the_end_of_another_adds_no_row(tmp_path):
    """Eve writes what Moodle writes, with another participant's number."""
    name = "Eve Xavier_124_assignsubmission_file_Zz_999_assignsubmission_file_.zip"
    [eve] = found(laid(tmp_path, name)).attempts
    assert (eve.name, eve.person.id, eve.person.system) == ("Eve Xavier", "124", "moodle")


def test_a_file_of_canvas_stays_one_whatever_it_is_called(tmp_path):
    [ada] = found(laid(tmp_path, "lovelaceada_LATE_7_3_Bob_8_assignsubmission_file_.zip")).attempts
    assert (ada.person.canvas_id, ada.notes) == ("7", (attempts.LATE,))


def test_two_people_of_one_name_stay_two_without_a_roster(tmp_path):
    both = found(laid(tmp_path, *DOWNLOADS["moodle"][:2])).attempts
    assert [attempt.person.id for attempt in both] == ["101", "102"]
    assert len({attempt.key for attempt in both}) == 2
    assert len(counted_attempts([Graded(attempt, FULL) for attempt in both], "best")) == 2


def test_a_name_in_canvas_that_looks_like_an_id_is_refused(tmp_path):
    """Somebody calls himself `bob_7` in Canvas, where 7 is Ada's id."""
    result = found(laid(tmp_path, "bob_7_9_4_x.zip"), people(tmp_path, OWN))
    assert result.attempts == []
    assert result.unknown == ["bob_7_9_4_x.zip: the roster calls 7 Lovelace, Ada"]


# --- the roster ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "system"), [(OWN, ""), (CANVAS, "canvas"), (MOODLE, "moodle"), (OWN.replace(",", ";"), "")]
)
def test_rosters_of_canvas_moodle_and_your_own(tmp_path, text, system):
    if ";" in text:
        text = text.replace("Lovelace; Ada", "Lovelace, Ada")
    read = people(tmp_path, text)
    assert read.system == system
    assert [person.id for person in read.people[:3]] == ["101", "102", "7"]
    assert "Test" not in {person.name for person in read.people}
    assert read.named("ADA  lovelace") == [read.people[2]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no roster"),
        ("first,last\nAda,L\n", "is no roster: its first line must name the columns id and name"),
        ("id,name\n", "names nobody"),
        ("id,name\n1,Ada\n1,Bob\n", "line 3: the id 1 is there twice"),
    ],
)
def test_what_is_no_roster(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        people(tmp_path, text)
    with pytest.raises(UserError, match="can't be read"):
        roster.read(tmp_path / "none.csv")


def test_every_way_of_collecting_gives_the_same_complete_tables(tmp_path):
    """Files that are named by login or id, or by Canvas or Moodle."""
    known = people(tmp_path, OWN)
    ways = {
        "login": ["ak1/", "AK2.zip", "ada/", "ada-2.zip"],
        "id": ["101/", "102/", "7.zip"],
        "mail": ["ak1@example.org/", "ak2@example.org.zip", "ada@example.org/"],
        **DOWNLOADS,
    }
    made = [tables(found(laid(tmp_path / way, *names), known))[1:] for way, names in ways.items()]
    canvas, moodle = made[0]
    assert all(each == made[0] for each in made)
    assert sorted(canvas[2:]) == [
        ["Anna Kim", "101", "ak1", "A", "13"],
        ["Anna Kim", "102", "ak2", "B", "13"],
        ["Eve Xavier", "9", "eve", "B", ""],  # handed nothing in: an empty cell changes nothing
        ["Lovelace, Ada", "7", "ada", "A", "13"],
    ]
    assert sorted(row[:4] for row in moodle[1:]) == [
        ["Participant 101", "Anna Kim", "ak1@example.org", "13"],
        ["Participant 102", "Anna Kim", "ak2@example.org", "13"],
        ["Participant 7", "Lovelace, Ada", "ada@example.org", "13"],
    ]


def test_nobody_is_guessed(tmp_path):
    names = ["Anna Kim/", "zoe.zip", "ada/", "Bob_12_assignsubmission_file_/"]
    result = found(laid(tmp_path / "in", *names), people(tmp_path, OWN))
    assert [attempt.person.id for attempt in result.attempts] == ["7"]
    assert result.unknown == [
        "Anna Kim: several people on the roster have this name: Anna Kim (101), Anna Kim (102)",
        "Bob_12_assignsubmission_file_: no moodle id 12 on the roster",
        "zoe.zip: not on the roster",
    ]
    assert [person.label for person in result.missing] == [
        "Anna Kim (101)",
        "Anna Kim (102)",
        "Eve Xavier (9)",
    ]


def test_an_id_of_moodle_is_not_looked_up_among_those_of_canvas(tmp_path):
    result = found(laid(tmp_path / "in", "Eve_7_assignsubmission_file_/"), people(tmp_path, CANVAS))
    assert (result.attempts, len(result.unknown)) == ([], 1)


def test_the_roster_of_moodle_keeps_its_own_identifiers(tmp_path):
    result = found(laid(tmp_path / "in", *DOWNLOADS["moodle"]), people(tmp_path, MOODLE))
    rows = tables(result)[2][1:]
    assert sorted(row[0] for row in rows) == ["Teilnehmer/in 101", "Teilnehmer/in 102", "Teilnehmer/in 7"]


def test_an_extension_for_a_name_of_two_people_is_for_neither():
    kims = [Person("a", "Anna Kim", "101"), Person("b", "Anna Kim", "102")]
    when = deadline.parse("2026-12-05")
    by_person, unknown = deadline.by_person({"anna kim": when, "102": when}, kims)
    assert by_person == {"b": when}
    assert unknown == ["anna kim (several people: Anna Kim (101), Anna Kim (102))"]


@pytest.mark.parametrize("name", ["a;=1+1", 'a;"=1+1"', "a|-1", "a; @x", "a,+1", "=1", '"=1'])
def test_no_separator_of_another_country_makes_a_formula(name):
    assert "'" in str(table.cell(name))
    assert not opens_formula(str(table.cell(name)))


def test_a_file_name_means_nothing_in_the_page_for_a_talk():
    page = defend.Page("[x](javascript:1) <b> *y*.zip", "Step 3", 1, ())
    heading = page.to_markdown().splitlines()[0]
    assert heading == r"# Five minutes with \[x\](javascript:1) \<b\> \*y\*.zip: Step 3"


def test_a_class_with_a_roster_through_the_command(tmp_path, command):
    """Unknown and missing people are listed, and canvas.csv has everybody of the roster."""
    (tmp_path / "roster.csv").write_text(OWN)
    laid(tmp_path / "in", "ada/", "zoe/")
    line = ("classroom", "grade-class", "in", "--step", "step3", "--roster", "roster.csv")
    facts = json.loads(command(*line, "--json").out)
    assert (facts["learners"], facts["not_on_roster"]) == (1, ["zoe: not on the roster"])
    assert facts["missing"] == ["Anna Kim (101)", "Anna Kim (102)", "Eve Xavier (9)"]
    rows = list(csv.reader((tmp_path / "in-graded" / "canvas.csv").open()))
    assert [row[1] for row in rows[2:]] == ["7", "101", "102", "9"]
    (tmp_path / "only").mkdir()
    laid(tmp_path / "only", "zoe/")
    refused = command("classroom", "grade-class", "only", *line[3:])
    assert refused.code == 2
    assert "no submission belongs to anybody on the roster" in refused.err


def test_a_roster_finds_people_by_their_names():
    ada = Person("roster 7", "Lovelace, Ada", "7")
    assert Roster((ada,)).named("Ada Lovelace") == [ada]
