"""What a hostile submission tries, by the rows of stops.py; then, what uses up a machine, and what stays.

Runs in the sandbox (test_isolation.py puts it into the tree), so it imports the standard library only. A try
was stopped if it raises an error or returns False; `it` is what an attacker may want to know: paths, ports,
the grader's pid.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
BUFFER = ctypes.create_string_buffer(200)
PYTHON = [sys.executable, "-I", "-S", "-c"]


def system(number, *values):
    """A system call by its number on x86-64."""
    values = [ctypes.c_long(each) if isinstance(each, int) else each for each in values]
    result = libc.syscall(number, *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def raw(*values):
    """The same as something that is tried."""
    return lambda _it: system(*values)


def read(path):
    return Path(path).read_bytes()[:20]


def read_by_hard_link(it):
    os.link(it["solution"], "hard")
    return read("hard")


def write(path):
    with Path(path).open("ab") as file:
        file.write(b"mine")


def change_mode(it):
    path = Path(it["outside"])
    before = path.stat().st_mode
    path.chmod(before ^ 0o011)
    return path.stat().st_mode != before


def change_time(it):
    os.utime(it["outside"], (5, 5))
    return Path(it["outside"]).stat().st_mtime == 5


def read_memory(it):
    here = ctypes.create_string_buffer(16)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(here), 16))
    system(310, it["grader"], ctypes.addressof(part), 1, ctypes.addressof(part), 1, 0)


def descriptor_in_a_message(_it):
    one, _other = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])


def inherited_descriptors(_it):
    """Anything but pipes, its own files and /dev/null."""
    kinds = set()
    for number in range(1 << 10):
        with contextlib.suppress(OSError):
            kinds.add(stat.S_IFMT(os.fstat(number).st_mode))
    return not kinds <= {stat.S_IFIFO, stat.S_IFCHR}


def keys(_it):
    own = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES"}
    own |= {"TOKENIZERS_PARALLELISM", "LC_CTYPE"}
    return any(name not in own and not name.endswith("_NUM_THREADS") for name in os.environ)


def raise_limits(_it):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


def namespace_by_clone(_it):
    if system(56, 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


# Those that leave the worker alive, so that one can run them all.
TRIED = {
    "inherited descriptors": {"files": inherited_descriptors},
    "keys in the environment": {"names": keys},
    "core dumps": {"limit": lambda _it: resource.getrlimit(resource.RLIMIT_CORE)[1] != 0},
    "raising limits": {"open files": raise_limits},
    "rights of root": {"setuid": lambda _it: os.setuid(0)},
    "network": {
        "tcp": lambda it: socket.create_connection(("127.0.0.1", it["port"]), 2),
        "mptcp": lambda it: socket.socket(proto=262).connect(("127.0.0.1", it["port"])),
        "tcp that connects by sending": lambda it: socket.socket().sendto(
            b"hello", socket.MSG_FASTOPEN, ("127.0.0.1", it["port"])
        ),
        "udp": lambda it: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", it["port"])),
        "listening": lambda _it: socket.socket().listen(),
        "unix socket": lambda it: socket.socket(socket.AF_UNIX).connect(it["socket"]),
        "by a pair": lambda it: socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b"x", it["datagrams"]),
        "abstract socket": lambda it: socket.socket(socket.AF_UNIX).connect("\0" + it["abstract"]),
    },
    "solutions": {
        "read": lambda it: read(it["solution"]),
        "by a hard link": read_by_hard_link,
        "by the root": lambda it: read(f"/proc/self/root{it['solution']}"),
        "by a program": lambda it: subprocess.run(["/bin/cat", it["solution"]], check=True),
    },
    "other files": {
        "submission": lambda it: read(it["other"]),
        "test": lambda it: read(it["test"]),
        "passwords": lambda _it: read("/etc/passwd"),
    },
    "modes and times": {
        "mode": change_mode,
        "time": change_time,
        "owner": lambda it: os.chown(it["outside"], os.getuid(), 12345),
    },
    "writing": {
        "write": lambda it: write(it["outside"]),
        "make beside": lambda it: Path(it["outside"] + "-made").mkdir(),
        "rename": lambda it: Path(it["outside"]).rename(it["outside"] + "-mine"),
        "shared memory": lambda _it: write("/dev/shm/classroom-attack"),
        "new": lambda it: write(it["new"]),
        "write to the tree": lambda _it: write(__file__),
        "delete": lambda _it: Path(__file__).unlink(),
    },
    "memory of the grader": {
        "environment": lambda it: read(f"/proc/{it['grader']}/environ"),
        "descriptors": lambda it: [*Path(f"/proc/{it['grader']}/fd").iterdir()],
    },
    "tracing": {"ptrace": lambda it: system(101, 0x4206, it["grader"], 0, 0), "read": read_memory},
    "signals": {
        "kill": lambda it: os.kill(it["grader"], 0),
        "by descriptor": lambda it: signal.pidfd_send_signal(os.pidfd_open(it["grader"]), 0),
    },
    "limits of the grader": {
        "limits": lambda it: resource.prlimit(
            it["grader"], resource.RLIMIT_CORE, resource.prlimit(it["grader"], resource.RLIMIT_CORE)
        ),
        "cores": lambda it: os.sched_setaffinity(it["grader"], os.sched_getaffinity(it["grader"])),
        "priority": lambda it: os.setpriority(0, it["grader"], os.getpriority(0, 0)),  # PRIO_PROCESS
        "priority of the user": raw(141, 2, 0, 19),
    },
    "leases and signals of files": {
        "lease": lambda _it: fcntl.fcntl(os.open(os.__file__, 0), fcntl.F_SETLEASE, fcntl.F_RDLCK),
        "signal": lambda _it: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getpid()),
    },
    "sessions of its own": {
        "session": lambda _it: subprocess.run([*PYTHON, ""], start_new_session=True, check=True),
        "group": lambda _it: subprocess.run([*PYTHON, ""], process_group=0, check=True),
    },
    "hiding from the watch": {
        "undumpable": raw(157, 4, 0, 0, 0, 0),  # PR_SET_DUMPABLE
        "descriptor in a message": descriptor_in_a_message,
    },
    "seeing processes": {
        "list": lambda it: Path(f"/proc/{it['grader']}") in Path("/proc").iterdir(),
        "command line": lambda it: read(f"/proc/{it['grader']}/cmdline"),
    },
    "the machine": {
        "namespace by clone": namespace_by_clone,
        "clock": lambda _it: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        "mount": raw(165, b"none", b".", b"tmpfs", 0, 0),
        "new mount": raw(430, b"tmpfs", 0),
        "user namespace": raw(272, 0x1000_0000),
        "kernel log": raw(103, 3, BUFFER, 100),
        "io_uring": raw(425, 4, BUFFER),
        "userfaultfd": raw(323, 1),
        "bpf": raw(321, 0, BUFFER, 100),
        "keyring": raw(250, 0, -3, 0),
        "typing into a terminal": raw(16, 0, 0x5412, BUFFER),
        "the second set of numbers": raw(0x4000_0000 | 39),
        "change root": raw(161, b"."),
    },
    "memory without a process": {
        "files without a name": lambda _it: os.memfd_create("hidden"),
        "shared segment": raw(29, 0, 1 << 20, 0o1600),
    },
}


def worked(it):
    """What nothing stopped, by row."""
    found = {}
    for row, attempts in TRIED.items():
        found[row] = []
        for name, attempt in attempts.items():
            with contextlib.suppress(Exception):
                if attempt(it) is not False:
                    found[row].append(name)
    return found


# Using it up


def processor_time():
    """Children that end one after the other, none of which uses much."""
    for _ in range(100):
        if os.fork() == 0:
            while time.process_time() < 0.5:
                pass
            os._exit(0)
        os.wait()


def memory_by_numpy():
    import numpy

    numpy.ones(8 << 30, dtype="u1")


def memory_in_pieces():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def memory_shared():
    area = mmap.mmap(-1, 1 << 30)
    for place in range(0, 1 << 30, 4096):
        area[place] = 1
    time.sleep(5)


def memory_of_many():
    read, write = os.pipe()
    for _ in range(8):
        if os.fork() == 0:
            _kept = os.urandom(1 << 20) * 80
            os.write(write, b".")
            time.sleep(20)
            os._exit(0)
    held = 0
    while held < 8:  # until all have it: on a busy machine, that takes more than five seconds
        held += len(os.read(read, 8))
    time.sleep(5)


def processes():
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    time.sleep(5)


def fork_bomb():
    while True:
        with contextlib.suppress(OSError):
            os.fork()


def threads():
    threading.stack_size(1 << 16)
    for _ in range(400):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(5)


def output():
    while True:
        os.write(2, b"x" * 65536)


def one_file():
    Path("big").write_bytes(bytes(32 << 20))


def many_files():
    for number in range(20_000):
        Path(str(number)).touch()
    time.sleep(2)


def full_disk():
    for number in range(64):
        Path(f"part{number}").write_bytes(bytes(8 << 20))
    time.sleep(2)


def deleted_files(hold=os.dup):
    kept = []
    for _ in range(64):
        with Path("part").open("w+b", buffering=0) as file:
            file.write(bytes(8 << 20))
            kept.append(hold(file.fileno()))
            Path("part").unlink()
    time.sleep(2)


def mapped_files():
    """Not by Python's mmap, which keeps its file open."""
    deleted_files(lambda file: libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, file, 0))


def deep_folders():
    for _ in range(200):
        Path("d" * 100).mkdir()
        os.chdir("d" * 100)
    Path("bottom").touch()
    Path().chmod(0)
    os.chdir(os.environ["HOME"])


def read_only_folder():
    Path("locked/inside").mkdir(parents=True)
    Path("locked/inside/file").touch()
    for folder in ("locked/inside", "locked"):
        system(90, folder.encode(), 0)


# Staying


def ignore_signals():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def daemon(mark, kills_keeper=False):
    """Two forks, a session of its own, no signal heeded; says its mark in its name."""
    keeper = os.getppid()
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            os.setsid()
        if os.fork() == 0:
            if kills_keeper:
                os.kill(keeper, signal.SIGKILL)
            ignore_signals()
            os.execve(sys.executable, [*PYTHON, "import time; time.sleep(30)", mark], {})
        os._exit(0)
    time.sleep(0.5)
    return "started"


def never_ends():
    ignore_signals()
    while True:
        pass


def closes_its_pipes():
    os.closerange(0, 100)
    time.sleep(60)
