"""Who handed in which attempt, when, and whether that was late."""

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from classroom.demo.samples import Learner, hand_in
from classroom.gradebook import attempts, deadline
from classroom.gradebook.attempts import find
from classroom.intake.take import take
from shared.errors import UserError

KINDS = {"/": "", ".zip": "zip", ".tar.gz": "gztar"}
NOON = datetime(2025, 11, 30, 12, 0, 0, tzinfo=UTC)


def laid(folder, *names, when=NOON):
    """Submissions by name: a folder with a file for `ada/`, an archive for `ada.zip`, else a file."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = next((each for each in KINDS if name.endswith(each)), "")
        if ending:
            learner = Learner(name.removesuffix(ending), "", KINDS[ending], when.isoformat(), None)
            hand_in(learner, {"step3_rag/retrieve/fuse.py": b"x = 1"}, folder)
        else:
            path.write_text("no submission")
    return folder


def names(folder, **kwargs):
    found = find(folder, **kwargs)
    return [(each.name, each.number, each.path.relative_to(folder).as_posix()) for each in found.attempts]


CANVAS = ["kayalan_LATE_124_457_my_work-1.zip", "lovelaceada_123_456_work.zip"]
MOODLE = "Ada Lovelace_77_assignsubmission_file_/work.zip"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("ada/ bob.zip cleo.tar.gz", [("ada", 1, "ada"), ("bob", 1, "bob.zip"), ("cleo", 1, "cleo.tar.gz")]),
        ("ada.zip ada-2/ ada-9/", [("ada", 1, "ada.zip"), ("ada", 2, "ada-2"), ("ada", 9, "ada-9")]),
        ("team-1/ team-2/", [("team-1", 1, "team-1"), ("team-2", 1, "team-2")]),
        ("ada/work.zip", [("ada", 1, "ada/work.zip")]),
        (CANVAS, [("kayalan", 1, CANVAS[0]), ("lovelaceada", 1, CANVAS[1])]),
        ([MOODLE], [("Ada Lovelace", 1, MOODLE)]),
        ("ada/ .git/ __MACOSX/", [("ada", 1, "ada")]),
    ],
)
def test_names_and_attempts(tmp_path, entries, expected):
    entries = entries.split() if isinstance(entries, str) else entries
    assert names(laid(tmp_path, *entries)) == expected


def test_two_that_are_the_same_attempt_are_both_graded_in_the_order_of_their_time(tmp_path):
    laid(tmp_path, "ada.zip", when=NOON + timedelta(hours=1))
    laid(tmp_path, "ada/")
    assert names(tmp_path) == [("ada", 1, "ada"), ("ada", 2, "ada.zip")]
    assert find(tmp_path).attempts[1].notes == ("ada.zip, too, is named as attempt 1",)


def test_what_is_no_submission_is_told_and_links_are_not_followed(tmp_path):
    folder = laid(tmp_path / "in", "ada/", "roster.csv", "bob.pdf")
    laid(tmp_path, "elsewhere/")
    laid(folder, "graded/")
    (folder / "eve").symlink_to(tmp_path / "elsewhere")
    found = find(folder, besides=[folder / "graded"])
    assert [each.key for each in found.attempts] == ["ada"]
    assert found.ignored == ["bob.pdf", "eve (a link)", "roster.csv"]


def test_every_attempt_has_a_file_name_of_its_own(tmp_path):
    laid(tmp_path, "Ada L/", "Ada_L/", "ada_l/", "a=b:c/", "x" * 200 + "/", "…/", "Ünal Öz-2.zip", "Ünal Öz/")
    keys = [each.key for each in find(tmp_path).attempts]
    assert len({key.casefold() for key in keys}) == len(keys) == 8
    assert all(len(key.encode()) <= 130 and "/" not in key and not key.startswith((".", "-")) for key in keys)
    assert "Ünal_Öz-2" in keys


def test_an_empty_folder_and_none_at_all(tmp_path):
    with pytest.raises(UserError, match="holds no submission"):
        find(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        find(tmp_path / "none")


@pytest.mark.parametrize("name", ["ada/", "ada.zip", "ada.tar.gz"])
def test_the_newest_date_of_a_file_is_the_time(tmp_path, name):
    laid(tmp_path, name)
    assert take(tmp_path / name).newest == NOON


def test_a_deadline_has_its_zone_or_that_of_this_machine(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert deadline.parse("2026-12-01T23:59") == datetime(2026, 12, 1, 22, 59, tzinfo=UTC)
        assert deadline.parse("2026-07-01T23:59") == datetime(2026, 7, 1, 21, 59, tzinfo=UTC)  # summer time
        assert deadline.parse("2026-12-01T23:59-05:00") == datetime(2026, 12, 2, 4, 59, tzinfo=UTC)
        assert deadline.parse("2026-12-01") == datetime(2026, 12, 1, 22, 59, 59, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_lateness_is_counted_in_whole_seconds_and_never_negative():
    due = datetime(2026, 12, 1, 23, 59, tzinfo=timezone(timedelta(hours=1)))
    assert deadline.seconds_late(due, due) == 0
    assert deadline.seconds_late(due - timedelta(days=3), due) == 0
    assert deadline.seconds_late(due + timedelta(milliseconds=1), due) == 1
    assert deadline.seconds_late(due + timedelta(seconds=150), due) == 150
    assert deadline.seconds_late(None, due) is None
    assert deadline.seconds_late(due, None) is None


def test_of_many_attempts_the_last_are_read(tmp_path, monkeypatch):
    for number in range(2, 102):
        (tmp_path / f"eve-{number}").mkdir()
    laid(tmp_path, "ada/", "eve/")
    read = []
    monkeypatch.setattr(attempts, "take", lambda path: read.append(path) or take(path))
    found = find(tmp_path, most=3)
    attempts_found = [(each.name, each.number) for each in found.attempts]
    assert attempts_found == [("ada", 1), ("eve", 99), ("eve", 100), ("eve", 101)]
    assert found.ignored == ["eve: 98 attempts before the last 3"]
    assert len(read) == 4


def test_an_extension_is_a_learners_own_deadline(tmp_path):
    file = tmp_path / "extensions.csv"
    file.write_text(
        "learner,step,new deadline\nAda,step3,2026-12-05T23:59+00:00\nada,4,2027-01-01\nbob,3,2026-12-03\n"
    )
    found = deadline.extended(file, "step3")
    assert found == {"ada": deadline.parse("2026-12-05T23:59+00:00"), "bob": deadline.parse("2026-12-03")}
    for text, words in (
        ("ada,3", "line 1: learner, step, new deadline"),
        ("ada,3,soon", "line 1: 'soon' is not a time"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=words):
            deadline.extended(file, "step3")
    with pytest.raises(UserError, match="can't be read"):
        deadline.extended(tmp_path / "none.csv", "step3")


def test_the_numbers_of_moodle_and_canvas_are_kept(tmp_path):
    laid(tmp_path, "Ada Lovelace_77_assignsubmission_file_/", "lovelaceada_LATE_123_456_work.zip")
    ada, lovelace = find(tmp_path).attempts
    assert (ada.person.moodle_identifier, lovelace.person.canvas_id) == ("Participant 77", "123")
    assert (ada.notes, lovelace.notes) == ((), (attempts.LATE,))


# --- clones -----------------------------------------------------------------------------------------------


def clone_of(folder, who, when, *more):
    """A clone of a learner's repository with one commit of that time, as Classroom 50 downloads it."""
    origin = laid(folder / "origin", f"{who}/") / who
    git = ["git", "-C", str(origin), "-c", f"user.name={who}", "-c", "user.email=a@example.org", *more]
    environment = {**os.environ, "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z"}
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "done"]):
        subprocess.run([*git, *command], env=environment, check=True, capture_output=True)
    home = folder / "submissions"
    command = ["git", "clone", "--quiet", f"file://{origin}", str(home / who)]
    subprocess.run(command, check=True, capture_output=True)
    return home


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_the_time_of_a_clone_is_that_of_its_last_commit_and_not_of_the_cloning(tmp_path, packed):
    home = clone_of(tmp_path, "ada", "2025-11-30T13:00:00+01:00")
    if packed:
        for command in (["gc", "--quiet"], ["pack-refs", "--all"]):
            subprocess.run(["git", "-C", str(home / "ada"), *command], check=True, capture_output=True)
    assert take(home / "ada").newest > NOON + timedelta(days=1)
    [ada] = find(home).attempts
    assert (ada.name, ada.submitted) == ("ada", NOON)


def test_the_configuration_of_a_clone_runs_nothing(tmp_path):
    home = clone_of(tmp_path, "eve", "2025-11-30T12:00:00Z")
    seen = tmp_path / "seen"
    config = home / "eve" / ".git" / "config"
    program = f"touch {seen}"
    config.write_text(
        f'[core]\n\tfsmonitor = "{program}"\n\tpager = "{program}"\n\tsshCommand = "{program}"\n'
        f'[log]\n\tshowSignature = true\n[gpg]\n\tprogram = "{program}"\n[extensions]\n\tpartialClone = x\n'
    )
    [eve] = find(home).attempts
    assert eve.submitted == NOON
    assert not seen.exists()


@pytest.mark.parametrize("head", ["ref: ../../../../etc/passwd", "ref: refs/heads/none", "f" * 40, "", "x"])
def test_a_history_that_cannot_be_read_leaves_the_dates_of_the_files(tmp_path, head):
    laid(tmp_path, "ada/")
    (tmp_path / "ada" / ".git" / "objects").mkdir(parents=True)
    (tmp_path / "ada" / ".git" / "HEAD").write_text(head)
    [ada] = find(tmp_path).attempts
    assert ada.submitted == take(tmp_path / "ada").newest
