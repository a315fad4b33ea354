"""The sandboxes: each row of stops.py is attacked on each level that this machine has."""

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from classroom import isolation
from classroom.grading.calls import Raised, WorkerFailure
from classroom.grading.remote import Remote
from classroom.isolation import Limits, open_worker, sandlock
from classroom.isolation.place import Missing
from classroom.isolation.stops import STOPS
from tests.classroom.rubric_helpers import tree as empty_tree
from tests.classroom.rubric_helpers import wait_for
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made on Linux")

WORKS = []
if sys.platform == "linux":
    for level in isolation.LEVELS:
        with contextlib.suppress(Missing):
            WORKS += [level] if level == "rlimits" or not isolation.tried(level) else []
on_each_level = pytest.mark.parametrize("level", WORKS)
SMALL = Limits(memory=300 << 20)
LIMITS = {"memory_by_numpy": isolation.LIMITS, "processor_time": Limits(cpu_seconds=2)}  # of others: SMALL
GRADER = os.getpid()


@pytest.fixture(scope="module")
def top():
    """A folder with the tree of a submission, and files that it must not read beside it."""
    top = Path(tempfile.mkdtemp(prefix="classroom-"))  # pytest's own folders are closed to other users
    tree = empty_tree(top / "tree")
    shutil.copy(Path(__file__).with_name("attacks.py"), tree)
    for folder in (top, tree, tree / "classroom", tree / "classroom" / "protocol"):
        folder.chmod(0o755)
    (top / "other.py").write_text("another submission")
    (top / "outside").write_text("is to stay as it is")
    yield top
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def known(top):
    """What an attacker may want to know, with listening sockets: a port, and three names of unix sockets."""
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for kind, name in (
            (socket.SOCK_STREAM, str(top / "socket")),
            (socket.SOCK_DGRAM, str(top / "datagrams")),
            (socket.SOCK_STREAM, f"\0attacked-{GRADER}"),
        ):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            listening.bind(name)
            if kind == socket.SOCK_STREAM:
                listening.listen()
            if not name.startswith("\0"):
                Path(name).chmod(0o777)
        yield {
            "port": tcp.getsockname()[1],
            "abstract": f"attacked-{GRADER}",
            "grader": GRADER,
            "solution": str(ROOT / "step3_rag" / "retrieve" / "fuse.py"),
            "test": __file__,
            "other": str(top / "other.py"),
            **{name: str(top / name) for name in ("socket", "datagrams", "outside", "new")},
        }


class Client:
    """A worker in a sandbox; `try_` says how a call ended."""

    def __init__(self, top, level, limits=isolation.LIMITS):
        self.box = open_worker(top / "tree", level, limits)
        self.remote = Remote(start=lambda: self.box)

    def call(self, target, *args, seconds=60):
        self.remote.deadline = time.monotonic() + seconds
        return self.remote.call(target, *args)

    def try_(self, what, *args, seconds=20):
        """("worked", value), ("raised", words) or ("ended", why)."""
        try:
            return "worked", self.call(f"attacks:{what}", *args, seconds=seconds)
        except Raised as error:
            return "raised", str(error)
        except WorkerFailure as fault:
            return "ended", str(fault)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.box.close()


USED_UP = {  # these may end the worker: each gets one of its own
    "fork bomb": "processes",
    "threads": "threads",
    "processor time": "processor_time",
    "memory": "memory_by_numpy memory_in_pieces memory_shared memory_of_many",
    "endless output": "output",
    "full disk": "full_disk many_files deleted_files mapped_files one_file",
}
BY_THE_KERNEL = ("processes", "threads", "memory_by_numpy", "output", "one_file")


def test_levels_that_work_are_safe():
    assert {"solutions", "writing", "signals"} <= set(isolation.tried("rlimits"))
    if sandlock.landlock_version() >= 3:
        assert isolation.tried("sandlock") == ()


@on_each_level
def test_what_the_table_calls_stopped_is_stopped_and_nothing_else(level, top, known, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    with Client(top, level) as client:
        rows = client.call("attacks:worked", known)
    assert {*rows, *USED_UP, "daemons"} == set(STOPS)
    if level == "rlimits":  # it worked there: put all back
        (top / "outside-mine").rename(top / "outside")
        shutil.rmtree(top / "outside-made")
        shutil.copy(Path(__file__).with_name("attacks.py"), top / "tree")
        Path("/dev/shm/classroom-attack").unlink(missing_ok=True)
        if os.geteuid() != 0:
            rows["rights of root"] = ["it has none"]
    assert {row: worked for row, worked in rows.items() if bool(worked) == (level in STOPS[row])} == {}
    assert level == "rlimits" or (top / "outside").read_text() == "is to stay as it is"
    (top / "outside").write_text("is to stay as it is")


@on_each_level
def test_nothing_of_the_machine_can_be_used_up(level, top):
    """The watch is the same on both levels: on the weaker one only the kernel's limits are tried again."""

    def attacked(name):
        with Client(top, level, LIMITS.get(name, SMALL)) as client:
            return name, client.try_(name)

    every = " ".join(USED_UP.values()).split() if level == "sandlock" else BY_THE_KERNEL
    with ThreadPoolExecutor(4) as pool:
        found = dict(pool.map(attacked, every))
    assert {name for name, (how, _) in found.items() if how == "worked"} == set()
    words = {name: why for name, (how, why) in found.items() if how == "ended"}
    assert words["output"] == "it printed more than 4 MiB"
    too_much = "it used more than 300 MiB of memory"
    assert {words.get(each, too_much) for each in ("memory_shared", "memory_of_many")} == {too_much}
    assert "MemoryError" in found["memory_by_numpy"][1]
    assert set(words.values()) <= {
        "it printed more than 4 MiB",
        too_much,
        "it ran more than 64 processes and threads",
        "it wrote more than 64 MiB of files",
        "it made more than 4096 files",
        "it used more than 2 s of processor time",
    }


@on_each_level
def test_daemons_end_with_it(level, top):
    mark = f"daemon-{GRADER}-{level}"
    with Client(top, level) as client:
        assert client.try_("daemon", mark) == ("worked", "started")
        assert wait_for(lambda: alive(mark))
    assert not alive(mark)


@on_each_level
def test_daemons_that_kill_what_watches_them_end_with_it_where_the_table_says_so(level, top):
    mark = f"murderer-{GRADER}-{level}"
    with Client(top, level) as client:
        client.try_("daemon", mark, True)
        client.box.close()
    left = alive(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert bool(left) == (level not in STOPS["daemons"])
    if left:
        assert client.box.broken() == "it ended the process that watches it"


def alive(mark):
    """The processes with this mark at the end of their command lines."""
    every = psutil.process_iter(["cmdline"])
    return [each.pid for each in every if (each.info["cmdline"] or [""])[-1] == mark]
