"""What a hostile submission tries, by the rows of stops.py; then, what uses up a machine, and what stays.

Runs in the sandbox (test_isolation.py puts it into the tree), so it imports the standard library only. Each
try raises what stopped it; `it` is what an attacker may want to know: paths, ports, the grader's pid.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
BUFFER = ctypes.create_string_buffer(200)


class Stopped(Exception):
    """It said that it did, and did not."""


def system(number, *values):
    """A system call by its number on x86-64."""
    values = [ctypes.c_char_p(value) if isinstance(value, bytes) else value for value in values]
    result = libc.syscall(
        number, *(value if hasattr(value, "value") else ctypes.c_long(value) for value in values)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def raw(*values):
    """The same as something that is tried."""
    return lambda _it: system(*values)


def unix_socket(kind=socket.SOCK_STREAM):
    return socket.socket(socket.AF_UNIX, kind)


def mptcp(it):
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    made.settimeout(2)
    made.connect(("127.0.0.1", it["port"]))


def tcp_that_connects_by_sending(it):
    made = socket.socket()
    made.setblocking(False)
    try:
        made.sendto(b"hello", 0x2000_0000, ("127.0.0.1", it["port"]))
    except BlockingIOError:
        return  # on its way


def read(path):
    return Path(path).read_bytes()[:20]


def read_by_hard_link(it):
    Path("hard").unlink(missing_ok=True)
    os.link(it["solution"], "hard")
    return read("hard")


def write(path):
    with Path(path).open("ab") as file:
        file.write(b"mine")


def shared_memory(_it):
    Path("/dev/shm/classroom-attack").write_bytes(b"mine")
    Path("/dev/shm/classroom-attack").unlink()


def change_mode(it):
    path = Path(it["outside"])
    before = path.stat().st_mode
    path.chmod(before ^ 0o011)
    if path.stat().st_mode == before:
        raise Stopped


def change_time(it):
    os.utime(it["outside"], (5, 5))
    if Path(it["outside"]).stat().st_mtime != 5:
        raise Stopped


def read_memory(it):
    here = ctypes.create_string_buffer(16)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(here), 16))
    system(310, it["grader"], ctypes.addressof(part), 1, ctypes.addressof(part), 1, 0)


def set_limits(it):
    pid = it["grader"]
    resource.prlimit(pid, resource.RLIMIT_CORE, resource.prlimit(pid, resource.RLIMIT_CORE))


def set_priority(it):
    os.setpriority(os.PRIO_PROCESS, it["grader"], os.getpriority(os.PRIO_PROCESS, it["grader"]))


def list_processes(it):
    if Path(f"/proc/{it['grader']}") not in Path("/proc").iterdir():
        raise Stopped


def lease(_it):
    with Path(os.__file__).open() as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def own_session(_it):
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.wait()[1]):
        raise Stopped


def group_of_a_child(_it):
    child = os.fork()
    if not child:
        time.sleep(5)
        os._exit(0)
    try:
        os.setpgid(child, child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.wait()


def descriptor_in_a_message(_it):
    one, _other = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])


def inherited_descriptors(_it):
    """Anything but pipes, its own files and /dev/null."""
    found = []
    for number in range(1 << 10):
        with contextlib.suppress(OSError):
            kind = os.fstat(number).st_mode >> 12
            if kind not in (0o1, 0o2):  # a pipe, a character device
                found.append((number, kind))
    if not found:
        raise Stopped


def keys(_it):
    own = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES"}
    own |= {"TOKENIZERS_PARALLELISM", "LC_CTYPE"}
    if not {name for name in os.environ if name not in own and not name.endswith("_NUM_THREADS")}:
        raise Stopped


def raise_limits(_it):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


def core_dump(_it):
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise Stopped


def namespace_by_clone(_it):
    if system(56, 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def memory_without_process(_it):
    kept = []
    for _ in range(200):
        kept.append(os.memfd_create("hidden"))
        for _ in range(15):
            os.write(kept[-1], bytes(1 << 20))


# Those that leave the worker alive, so that one can run them all.
TRIED = {
    "inherited descriptors": {"files": inherited_descriptors},
    "keys in the environment": {"names": keys},
    "core dumps": {"limit": core_dump},
    "raising limits": {"open files": raise_limits},
    "rights of root": {"setuid": lambda _it: os.setuid(0)},
    "network": {
        "tcp": lambda it: socket.create_connection(("127.0.0.1", it["port"]), 2),
        "mptcp": mptcp,
        "tcp that connects by sending": tcp_that_connects_by_sending,
        "udp": lambda it: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", it["port"])),
        "listening": lambda _it: socket.socket().listen(),
        "unix socket": lambda it: unix_socket().connect(it["socket"]),
        "by a pair": lambda it: socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b"x", it["datagrams"]),
        "abstract socket": lambda it: unix_socket().connect("\0" + it["abstract"]),
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
        "shared memory": shared_memory,
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
        "limits": set_limits,
        "cores": lambda it: os.sched_setaffinity(it["grader"], os.sched_getaffinity(it["grader"])),
        "priority": set_priority,
        "priority of the user": raw(141, 2, 0, 19),
    },
    "leases and signals of files": {
        "lease": lease,
        "signal": lambda _it: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getpid()),
    },
    "sessions of its own": {"session": own_session, "group": group_of_a_child},
    "hiding from the watch": {
        "undumpable": raw(157, 4, 0, 0, 0, 0),  # PR_SET_DUMPABLE
        "descriptor in a message": descriptor_in_a_message,
    },
    "seeing processes": {
        "list": list_processes,
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
        "files without a name": memory_without_process,
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
                attempt(it)
                found[row].append(name)
    return found


# Using it up


def processor_time(of=3):
    """Children that end one after the other, none of which uses much."""
    for _ in range(100):
        if os.fork() == 0:
            until = time.process_time() + 0.5
            while time.process_time() < until:
                pass
            os._exit(0)
        os.wait()
    return of


def memory_by_numpy():
    import numpy

    return int(numpy.ones(8 << 30, dtype="u1").nbytes)


def memory_in_pieces():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def memory_shared(size=1 << 30):
    area = mmap.mmap(-1, size)
    for place in range(0, size, 4096):
        area[place] = 1
    time.sleep(5)
    return size


def memory_of_many(each=80 << 20, count=8):
    for _ in range(count):
        if os.fork() == 0:
            kept = bytearray(os.urandom(1 << 20) * (each >> 20))
            time.sleep(20)
            os._exit(len(kept) & 1)
    time.sleep(5)
    return each * count


def processes(count=400):
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    time.sleep(5)
    return count


def fork_bomb():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            os.fork()
    return "survived"


def threads(count=400):
    threading.stack_size(1 << 16)
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(5)
    return count


def output():
    until = time.monotonic() + 10
    while time.monotonic() < until:
        os.write(2, b"x" * 65536)
    return "printed"


def one_file(size=256 << 20):
    with Path("big").open("wb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return size


def many_files(count=20_000):
    for number in range(count):
        Path(str(number)).touch()
    time.sleep(2)
    return count


def full_disk(size=512 << 20):
    for number in range(size >> 23):
        Path(f"part{number}").write_bytes(bytes(8 << 20))
    time.sleep(2)
    return size


def deleted_files(hold=lambda file: file, size=512 << 20):
    kept = []
    for number in range(size >> 23):
        path = Path(f"part{number}")
        file = path.open("w+b")
        file.write(bytes(8 << 20))
        file.flush()
        kept.append(hold(file))
        path.unlink()
    time.sleep(2)
    return size


def mapped_files():
    return deleted_files(lambda file: mmap.mmap(file.fileno(), 4096))


def deep_folders(depth=200):
    for _ in range(depth):
        Path("d" * 100).mkdir()
        os.chdir("d" * 100)
    Path("bottom").touch()
    Path().chmod(0)
    os.chdir(os.environ["HOME"])
    return depth


def read_only_folder():
    Path("locked/inside").mkdir(parents=True)
    Path("locked/inside/file").touch()
    for folder in ("locked/inside", "locked"):
        system(90, folder.encode(), 0)


# Staying


def daemon(mark, kills_keeper=False):
    """Two forks, a session of its own, no signal heeded; says its mark in its name."""
    keeper = os.getppid()
    if os.fork() == 0:
        with contextlib.suppress(OSError):
            os.setsid()
        if os.fork() == 0:
            if kills_keeper:
                os.kill(keeper, signal.SIGKILL)
            _stay(mark)
        os._exit(0)
    time.sleep(0.5)
    return "started"


def _stay(mark):
    for number in range(1, 65):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                continue
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(30)", mark], {})


def never_ends():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def closes_its_pipes():
    os.closerange(0, 100)
    time.sleep(60)


def exit_code():
    os._exit(3)


def crash():
    ctypes.string_at(0)


def own_group():
    """A signal to its own group, which must not reach its keeper."""
    os.kill(0, signal.SIGKILL)
