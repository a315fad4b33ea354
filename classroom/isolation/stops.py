"""What each level stops. The tests attack each row, and compare the lesson's table with this one.

    >>> STOPS["network"]
    ('sandlock', 'rlimits')
    >>> open_at("rlimits")[0]
    'solutions'

This holds on Linux on x86-64 or arm64. No level stops the use of a hole in the kernel, or a submission's
attacks on itself.
"""

ALL = ("sandlock", "rlimits")
SAFE = ALL[:1]

STOPS: dict[str, tuple[str, ...]] = {
    "network": ALL,  # TCP, UDP and others, outwards and inwards, and unix sockets
    "solutions": SAFE,  # reading the repository, or the steps among the libraries
    "other files": SAFE,  # reading other submissions, people's folders, keys
    "writing": SAFE,  # to anything but the scratch folder
    "modes and times": ALL,  # changing those of files outside
    "keys in the environment": ALL,
    "inherited descriptors": ALL,
    "memory of the grader": SAFE,  # and its environment and open files, by /proc
    "tracing": ALL,  # of the grader, by system calls
    "signals": SAFE,  # to the grader, its keeper, or anything outside
    "limits of the grader": ALL,  # setting them, or its priority or cores
    "leases and signals of files": ALL,  # which hold up others that open them
    "sessions of its own": ALL,  # each would get its own share of the cores
    "hiding from the watch": ALL,  # a process that may not be looked into, open files in messages
    "seeing processes": SAFE,  # which there are, and their command lines
    "rights of root": SAFE,
    "the machine": ALL,  # clock, mounts, name, kernel
    "raising limits": ALL,
    "fork bomb": ALL,
    "threads": ALL,
    "processor time": ALL,  # of all processes together, also those that ended
    "memory": ALL,  # of all processes together
    "memory without a process": ALL,  # memfd, shared segments
    "endless output": ALL,
    "full disk": ALL,
    "daemons": SAFE,  # that double-fork, ignore signals, and kill what is above them first
    "core dumps": ALL,
}


def open_at(level: str) -> list[str]:
    """What a level does not stop."""
    return [what for what, by in STOPS.items() if level not in by]
