"""The life of a sandbox: ordinary work in it, how its end is reported, and what is left of it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from classroom import isolation
from classroom.isolation import open_worker, place, sandlock
from classroom.isolation.place import Missing
from classroom.isolation.removing import remove
from classroom.isolation.stops import STOPS
from shared.errors import UserError
from tests.classroom.rubric_helpers import wait_for
from tests.classroom.test_isolation import WORKS, Client, alive, on_each_level, top  # noqa: F401
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made on Linux")
BEST = WORKS[0] if WORKS else ""

WORK = """
import asyncio, os, shutil, sqlite3, tempfile, threading, time
from pathlib import Path

def ordinary():
    Path("touched").touch()
    assert Path("touched").exists()
    Path("made/inside").mkdir(parents=True)
    Path("made/inside/file").write_text("text")
    shutil.copy2("made/inside/file", "copy")
    shutil.copytree("made", "again")
    shutil.rmtree("made")
    with tempfile.TemporaryDirectory() as folder:
        assert folder.startswith(os.environ["HOME"])
    with sqlite3.connect("base.db") as base:
        base.execute("create table t (x)")
        base.execute("insert into t values (1)")
    threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
    [each.start() for each in threads], [each.join() for each in threads]
    async def both():
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.to_thread(lambda: 2))
    return asyncio.run(both()), sorted(os.listdir("."))

def multiplied():
    import torch
    return float((torch.ones(512, 512) @ torch.ones(512, 512)).sum()), torch.get_num_threads()

def who():
    return os.getuid(), os.environ["HOME"], os.getcwd()
"""


@pytest.fixture(scope="module")
def work(top):  # noqa: F811
    (top / "tree" / "work.py").write_text(WORK)
    return top


@on_each_level
def test_ordinary_code_and_torch_work(level, work):
    with Client(work, level) as client:
        assert client.call("work:ordinary") == ([1, 2], ["again", "base.db", "copy", "touched"])
        if level == BEST:
            assert client.call("work:multiplied") == (512.0**3, 1)
        assert client.box.broken() is None


@on_each_level
def test_each_has_a_folder_of_its_own_which_goes_with_it(level, work):
    with Client(work, level) as first, Client(work, level) as second:
        uid, home, where = first.call("work:who")
        other_uid, other_home, _ = second.call("work:who")
        assert home == where != other_home
        assert Path(home).is_dir()
        if os.geteuid() == 0 and level != "rlimits":
            assert 0 not in (uid, other_uid)
            assert uid != other_uid
        assert first.box.safe == second.box.safe == (level != "rlimits")
    assert not Path(home).parent.exists()


@on_each_level
def test_a_signal_to_its_own_group_ends_it_and_not_its_keeper(level, work):
    """Other ends are in the corpus: hostile/endings.toml."""
    with Client(work, level) as client:
        ended = client.try_(
            "os.kill", 0, 9
        )  # older Landlock knows no signals: there, none may be sent at all
        refused = ("raised", "PermissionError: [Errno 1] Operation not permitted")
        assert ended == ("ended", "its process was ended by SIGKILL") or (
            ended == refused and os.geteuid() != 0 and sandlock.landlock_version() < sandlock.SIGNALS_SINCE
        )


def test_the_end_of_what_it_prints_is_kept(work):
    with Client(work, BEST) as client:
        for number in range(3):
            client.call("builtins:print", f"{number}" * 50_000)
        assert wait_for(lambda: client.box.output().endswith("2\n"))
        assert len(client.box.output()) == 1 << 16
        assert "0" not in client.box.output()


def test_closing_takes_no_time_whatever_it_does(work):
    for attack in ("never_ends", "closes_its_pipes", "fork_bomb", "deep_folders", "read_only_folder"):
        with Client(work, BEST) as client:
            client.try_(attack, seconds=0.5)
            began = time.monotonic()
            client.box.close()
            assert time.monotonic() - began < 3, attack
            client.box.close()  # once more does nothing
            folder = client.box._place.scratch.parent
            assert wait_for(lambda folder=folder: not folder.exists(), 30), attack


def test_it_ends_with_a_grader_that_is_killed(work):
    mark = f"orphan-{os.getpid()}"
    code = f"""
import os, json, time
from pathlib import Path
from classroom.isolation import open_worker
box = open_worker(Path({str(work / "tree")!r}), {BEST!r})
request = {{"id": "1", "do": "call", "what": "attacks:daemon", "args": [{mark!r}]}}
os.write(box.stdin, json.dumps(request).encode() + b"\\n")
print(box._place.scratch.parent, flush=True)
time.sleep(60)
"""
    command, env = [sys.executable, "-c", code], {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as grader:
        folder = Path(grader.stdout.readline().strip())
        assert folder.is_dir()
        assert wait_for(lambda: alive(mark), 20)
        grader.kill()
    assert wait_for(lambda: not alive(mark))
    assert wait_for(lambda: not folder.exists())


def test_nothing_is_left_where_a_grader_and_its_worker_end_at_once(work):
    box = open_worker(work / "tree", BEST)
    keeper, folder = psutil.Process(box._keeper.pid), box._place.scratch.parent
    assert wait_for(keeper.children, 20)
    keeper.suspend()  # so that it will hear of both at the same time
    null = os.open(os.devnull, os.O_WRONLY)
    for pipe in (box.stdin, box._lifeline):
        os.dup2(null, pipe)
    assert wait_for(lambda: keeper.children()[0].status() == psutil.STATUS_ZOMBIE, 20)
    keeper.resume()
    assert wait_for(lambda: not folder.exists())
    folder.mkdir()  # for `close`
    box.close()
    os.close(null)


def test_it_ends_when_its_keeper_is_killed_from_outside(work):
    mark = f"unkept-{os.getpid()}"
    with Client(work, BEST) as client:
        client.try_("daemon", mark)
        client.box._keeper.kill()
        assert wait_for(lambda: client.box.broken() == "it ended the process that watches it")
    if os.geteuid() == 0:  # found by its user id
        assert wait_for(lambda: not alive(mark))


@on_each_level
def test_steps_that_are_installed_among_the_libraries_are_solutions(level, work, monkeypatch):
    libraries = work / f"libraries-{level}"
    for name in ("library", "step3_rag", "classroom"):
        (libraries / name).mkdir(parents=True)
        (libraries / name / "__init__.py").write_text(f"what = {name!r}")
    (libraries / "sandlock").symlink_to(Path(isolation.place.site_packages()[0]) / "sandlock")
    monkeypatch.setattr(place, "site_packages", lambda: [libraries])
    with Client(work, level) as client:
        assert client.call("library:what.strip") == "library"
        how, told = client.try_("read", str(libraries / "step3_rag" / "__init__.py"))
    if level == "rlimits":
        assert (how, told) == ("worked", b"what = 'step3_rag'")
    else:
        assert how == "raised"
        assert told.startswith(("PermissionError", "FileNotFoundError"))


@pytest.mark.skipif("sandlock" not in WORKS, reason="this kernel has no Landlock")
def test_neighbours_of_what_is_hidden_may_be_removed_meanwhile(tmp_path):
    hidden = tmp_path / "hidden" / "file"
    hidden.parent.mkdir()
    hidden.write_text("solution")
    (tmp_path / "open").write_text("text")
    code = f"""
from pathlib import Path
from classroom.isolation import start
listed = Path.iterdir
Path.iterdir = lambda folder: [*listed(folder), folder / "removed meanwhile"]
start.control(start.SET_NO_NEW_PRIVS, 1)
start.forbid([Path({str(hidden.parent)!r})])
print(Path({str(tmp_path / "open")!r}).read_text())
print(Path({str(hidden)!r}).read_text())
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout == "text\n", ran.stderr
    assert "PermissionError" in ran.stderr


def test_the_best_level_is_taken_and_a_missing_one_is_refused(work, monkeypatch):
    with Client(work, None) as client:
        assert client.box.level == BEST
    with pytest.raises(UserError, match="no such isolation: docker; there is sandlock, rlimits"):
        open_worker(work / "tree", "docker")

    def missing(_place):
        raise Missing("not on this system")

    isolation.tried.cache_clear()
    monkeypatch.setattr(isolation, "LEVELS", {"sandlock": missing, "rlimits": isolation.rlimits})
    try:
        with Client(work, None) as client:
            assert (client.box.level, client.box.safe) == ("rlimits", False)
        with pytest.raises(UserError, match="isolation sandlock is not available here: not on this system"):
            open_worker(work / "tree", "sandlock")
        monkeypatch.setitem(isolation.LEVELS, "rlimits", missing)
        isolation.tried.cache_clear()
        with pytest.raises(UserError, match="submissions can't be run on this system: not on this system"):
            open_worker(work / "tree")
    finally:
        isolation.tried.cache_clear()


def test_a_level_that_lets_something_through_is_not_safe(work, monkeypatch):
    """A level that is only another user: the probe finds what goes through."""
    isolation.tried.cache_clear()
    monkeypatch.setattr(place.seccomp, "program", lambda *_, **__: b"")
    leaky = lambda it: it.first(read_all=it.uid is not None and place.may(2))  # noqa: E731
    monkeypatch.setattr(isolation, "LEVELS", {"leaky": leaky})
    try:
        with Client(work, None) as client:
            assert not client.box.safe
        assert {"network", "solutions"} <= set(isolation.tried("leaky")) <= set(STOPS)
    finally:
        isolation.tried.cache_clear()


def test_removing_takes_away_anything(tmp_path):
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    (folder / "outside").symlink_to(tmp_path)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0o500)
    (tmp_path / "stays").touch(0o444)
    os.link(tmp_path / "stays", folder / "hard link")
    remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["stays"]
    assert (tmp_path / "stays").stat().st_mode & 0o777 == 0o444
