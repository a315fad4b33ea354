"""System calls that no submission needs, refused by the kernel: a filter for seccomp, as bytes.

    >>> len(program()) % 8
    0

It is nearly the same on every level. Landlock alone lets through: TCP by MPTCP or by a send that connects,
listening on a port that nobody bound, changed modes, owners and times of any file of the same user, limits
and priorities of the grader's process, memory in files without a name (memfd), and, for root, the clock and
mounts. tests/classroom/test_isolation.py tries all of that.

It lists what is forbidden, not what is allowed: which calls numpy and torch make changes with each release.
Sockets can't be made; pairs of streams can, which asyncio needs. Where only the filter protects modes and
times of other files, these calls do nothing and report success, since `shutil.copy` makes them.

Source: seccomp(2); numbers from the kernel's tables for x86-64 and arm64. Elsewhere there is no filter.
"""

import errno
import platform
import struct
from collections.abc import Iterator

# name: (x86-64, arm64), None where there is none.
IGNORED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
}
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # the network, and unix sockets of others
    **{"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201)},
    # owners and attributes of files
    **{"chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    **{"removexattrat": (466, 466), "file_setattr": (469, 469)},
    # memory that no process has, and what outlives processes
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186)},
    **{"semget": (64, 190), "mq_open": (240, 180), "add_key": (248, 217), "request_key": (249, 218)},
    "keyctl": (250, 219),
    # ways around other checks
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241)},
    **{"name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262)},
    # other processes
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"process_madvise": (440, 440), "process_mrelease": (448, 448), "pidfd_getfd": (438, 438)},
    **{"kcmp": (312, 272), "migrate_pages": (256, 238), "move_pages": (279, 239), "ioprio_set": (251, 30)},
    # sessions and groups of its own: the kernel gives each session its own share of the cores
    **{"setsid": (112, 157), "setpgid": (109, 154)},
    # messages that carry open files: those in flight are seen by no watch
    **{"sendmsg": (46, 211), "sendmmsg": (307, 269)},
    # the machine
    **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39)},
    **{"pivot_root": (155, 41), "chroot": (161, 51), "fsopen": (430, 430), "fsconfig": (431, 431)},
    **{"fsmount": (432, 432), "fspick": (433, 433), "open_tree": (428, 428), "move_mount": (429, 429)},
    **{
        "mount_setattr": (442, 442),
        "open_tree_attr": (467, 467),
        "swapon": (167, 224),
        "swapoff": (168, 225),
    },
    **{"reboot": (169, 142), "kexec_load": (246, 104), "kexec_file_load": (320, 294)},
    **{"init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106)},
    **{"acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116)},
    **{"settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266)},
    **{"adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162)},
    **{"iopl": (172, None), "ioperm": (173, None), "personality": (135, 92), "vhangup": (153, 58)},
    "modify_ldt": (154, None),
}
SIGNALS: dict[str, tuple[int | None, int | None]] = {  # refused where nothing else protects the grader
    **{"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "pidfd_send_signal": (424, 424)},
    **{"rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240)},
}
# Allowed for the process itself: refused where this argument is not 0.
OF_OTHERS: dict[str, tuple[int, int, int]] = {  # (x86-64, arm64, argument)
    "prlimit64": (302, 261, 0),
    "sched_setaffinity": (203, 122, 0),
    "sched_setscheduler": (144, 119, 0),
    "sched_setparam": (142, 118, 0),
    "sched_setattr": (314, 274, 0),
}
SETPRIORITY = (141, 140)  # of this process, and not of all that a group or a user runs
# Refused where the argument has one of the values.
COMMANDS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {  # (x86-64, arm64, argument, values)
    # leases, which delay other users of the file; signals when something happens to one; watching folders
    "fcntl": (72, 25, 1, (1024, 8, 15, 10, 1026)),  # F_SETLEASE, F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY
    # hiding from the watch, being traced by a friend, a new name for its program and command line
    "prctl": (157, 167, 0, (4, 0x5961_6D61, 35)),  # PR_SET_DUMPABLE, PR_SET_PTRACER, PR_SET_MM
}
CLONE, CLONE3, IOCTL, UTIMENSAT = (56, 220), (435, 435), (16, 29), (280, 88)
NAMESPACES = 0x7E02_0080  # the flags of clone that make new ones
TIOCSTI = 0x5412  # types into a terminal
SOCKETPAIR, DATAGRAM = (53, 199), 2  # one of a pair of these can send to any other unix socket

MACHINES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}  # as in linux/audit.h
ALLOW, ERRNO, KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
Step = tuple[int, int, int, int]  # code, jump if so, jump if not, value
LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06


def program(signals: bool = True, modes: bool = True) -> bytes:
    """The filter for this machine; empty if the numbers of its calls are not known.

    `signals`, `modes`: whether signals may be sent, and files' modes and times set.
    """
    if platform.machine() not in MACHINES:
        return b""
    steps = _steps(signals, modes, *MACHINES[platform.machine()])
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _steps(signals: bool, modes: bool, audit: int, column: int) -> Iterator[Step]:
    """Classic BPF over struct seccomp_data."""
    yield from ((LOAD, 0, 0, 4), (EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0))
    if column == 0:  # the second set of numbers of x86-64, x32
        yield from ((AT_LEAST, 0, 1, 0x4000_0000), (RETURN, 0, 0, ERRNO | errno.ENOSYS))
    refused = {**REFUSED, **({} if signals else SIGNALS)}
    answers = [(numbers[column], errno.EPERM) for numbers in refused.values()]
    answers += [(CLONE3[column], errno.ENOSYS)]  # its flags can't be seen; glibc then takes clone
    if not modes:
        answers += [(numbers[column], 0) for numbers in IGNORED.values()]
    for number, answer in answers:
        if number is not None:
            yield from ((EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | answer))
    if not modes:  # Path.touch first sets the present time: if that were ignored, it would make no file
        yield from _unless(UTIMENSAT[column], 2, (EQUAL, 0, 1, 0), allowed=ERRNO)
    for *numbers, argument, values in COMMANDS.values():
        yield from _without(numbers[column], argument, values)
    yield from ((EQUAL, 0, 6, SETPRIORITY[column]), (LOAD, 0, 0, 16), (EQUAL, 0, 2, 0), (LOAD, 0, 0, 24))
    yield from ((EQUAL, 1, 0, 0), (RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, ALLOW))
    for numbers in OF_OTHERS.values():
        yield from _unless(numbers[column], numbers[2], (EQUAL, 1, 0, 0))
    yield from _unless(CLONE[column], 0, (ANY_BIT, 0, 1, NAMESPACES))
    yield from _unless(IOCTL[column], 1, (EQUAL, 0, 1, TIOCSTI))
    yield from _unless(SOCKETPAIR[column], 1, (ANY_BIT, 0, 1, DATAGRAM))
    yield (RETURN, 0, 0, ALLOW)


def _without(number: int, argument: int, values: tuple[int, ...]) -> Iterator[Step]:
    """This call is refused where the argument has one of these values."""
    yield from ((EQUAL, 0, 2 * len(values) + 2, number), (LOAD, 0, 0, 16 + 8 * argument))
    for value in values:
        yield from ((EQUAL, 0, 1, value), (RETURN, 0, 0, ERRNO | errno.EPERM))
    yield (RETURN, 0, 0, ALLOW)


def _unless(number: int, argument: int, test: Step, allowed: int = ALLOW) -> Iterator[Step]:
    """This call is refused, unless the test of its argument jumps over the refusal."""
    yield from ((EQUAL, 0, 4, number), (LOAD, 0, 0, 16 + 8 * argument), test)
    yield from ((RETURN, 0, 0, ERRNO | errno.EPERM), (RETURN, 0, 0, allowed))
