"""What a hostile submission tries: each function does it, or raises what stopped it.

Runs in the sandbox (test_isolation.py puts it into the tree), so it imports the standard library only.
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


class Stopped(Exception):
    """It said that it did, and did not."""


def system(number, *values):
    result = libc.syscall(
        number, *(value if hasattr(value, "value") else ctypes.c_long(value) for value in values)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# The network


def tcp(port):
    socket.create_connection(("127.0.0.1", port), 2)


def mptcp(port):
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    made.settimeout(2)
    made.connect(("127.0.0.1", port))


def tcp_that_connects_by_sending(port):
    made = socket.socket()
    made.setblocking(False)
    try:
        made.sendto(b"hello", 0x2000_0000, ("127.0.0.1", port))
    except BlockingIOError:
        return  # on its way


def udp(port):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))


def listening(port):
    socket.socket().listen()


def unix_socket(path):
    socket.socket(socket.AF_UNIX).connect(path)


def unix_socket_by_pair(path):
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", path)


def abstract_socket(name):
    socket.socket(socket.AF_UNIX).connect("\0" + name)


# Files


def read(path):
    return Path(path).read_bytes()[:20]


def read_by_hard_link(path):
    Path("hard").unlink(missing_ok=True)
    os.link(path, "hard")
    return Path("hard").read_bytes()[:20]


def read_by_root(path):
    return Path(f"/proc/self/root{path}").read_bytes()[:20]


def read_by_program(path):
    return subprocess.run(["/bin/cat", path], capture_output=True, check=True).stdout[:20]


def write(path):
    with Path(path).open("ab") as file:
        file.write(b"mine")


def delete(path):
    Path(path).unlink()


def rename(path):
    Path(path).rename(path + "-mine")


def make_beside(path):
    Path(path + "-made").mkdir()


def shared_memory(path):
    Path("/dev/shm/classroom-attack").write_bytes(b"mine")
    Path("/dev/shm/classroom-attack").unlink()


def change_mode(path):
    before = Path(path).stat().st_mode
    Path(path).chmod(before ^ 0o011)
    if Path(path).stat().st_mode == before:
        raise Stopped


def change_time(path):
    os.utime(path, (5, 5))
    if Path(path).stat().st_mtime != 5:
        raise Stopped


def change_owner(path):
    os.chown(path, os.getuid(), 12345)


# The grader, and other processes


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()[:20]


def descriptors_of(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def trace(pid):
    system(101, 0x4206, pid, 0, 0)  # PTRACE_SEIZE


def read_memory_of(pid):
    here = ctypes.create_string_buffer(16)
    part = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(here), 16))
    system(310, pid, ctypes.addressof(part), 1, ctypes.addressof(part), 1, 0)


def signal_to(pid):
    os.kill(pid, 0)


def signal_by_descriptor(pid):
    signal.pidfd_send_signal(os.pidfd_open(pid), 0)


def limits_of(pid):
    resource.prlimit(pid, resource.RLIMIT_CORE, resource.prlimit(pid, resource.RLIMIT_CORE))


def cores_of(pid):
    os.sched_setaffinity(pid, os.sched_getaffinity(pid))


def priority_of(pid):
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))


def command_line_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def list_processes(pid):
    if Path(f"/proc/{pid}") not in Path("/proc").iterdir():
        raise Stopped


def priority_of_user(_pid):
    system(141, 2, 0, 19)


def lease(path):
    with Path(path).open() as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def signal_of_file(_path):
    read, _ = os.pipe()
    fcntl.fcntl(read, fcntl.F_SETOWN, os.getpid())


def own_session():
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.wait()[1]):
        raise Stopped


def group_of_a_child():
    child = os.fork()
    if not child:
        time.sleep(5)
        os._exit(0)
    try:
        os.setpgid(child, child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.wait()


def undumpable():
    system(157, 4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def descriptor_in_a_message():
    one, _ = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])


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


# What it has


def inherited_descriptors():
    """Anything but pipes, its own files and /dev/null."""
    found = []
    for number in range(1 << 10):
        try:
            kind = os.fstat(number).st_mode >> 12
        except OSError:
            continue
        if kind not in (0o1, 0o2):  # a pipe, a character device
            found.append((number, kind))
    if not found:
        raise Stopped
    return found


def keys():
    found = {name: value for name, value in os.environ.items() if "KEY" in name or "TOKEN" in name}
    found.pop("TOKENIZERS_PARALLELISM", None)
    own = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONHASHSEED", "CUDA_VISIBLE_DEVICES"}
    others = {name for name in os.environ if name not in own and not name.endswith("_NUM_THREADS")}
    if not found and others <= {"TOKENIZERS_PARALLELISM", "LC_CTYPE"}:
        raise Stopped
    return sorted(others)


def become_root():
    os.setuid(0)


def raise_limits():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


def core_dump():
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise Stopped


# The machine: raw system calls, by their numbers on x86-64


BUFFER = ctypes.create_string_buffer(200)
CALLS = {
    "mount": (165, b"none", b".", b"tmpfs", 0, 0),
    "new mount": (430, b"tmpfs", 0),
    "user namespace": (272, 0x1000_0000),
    "kernel log": (103, 3, BUFFER, 100),
    "io_uring": (425, 4, BUFFER),
    "userfaultfd": (323, 1),
    "bpf": (321, 0, BUFFER, 100),
    "keyring": (250, 0, -3, 0),
    "typing into a terminal": (16, 0, 0x5412, BUFFER),
    "the second set of numbers": (0x4000_0000 | 39,),
    "change root": (161, b"."),
    "shared segment": (29, 0, 1 << 20, 0o1600),
}


def call(name):
    number, *values = CALLS[name]
    system(number, *(ctypes.c_char_p(each) if isinstance(each, bytes) else each for each in values))


def clock():
    time.clock_settime(time.CLOCK_REALTIME, time.time())


def namespace_by_clone():
    if system(56, 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


# Using it up


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


def memory_without_process():
    kept = []
    for _ in range(200):
        kept.append(os.memfd_create("hidden"))
        for _ in range(15):
            os.write(kept[-1], bytes(1 << 20))
    return len(kept)


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
        system(90, ctypes.c_char_p(folder.encode()), 0)


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
