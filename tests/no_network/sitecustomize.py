"""No test reaches the network: every connection but to this machine itself is refused, in every process.

Python imports a module of this name at start. conftest.py puts this folder on PYTHONPATH, so that the
commands which tests start are blocked like the tests. An audit hook cannot be taken off again.
"""

import os
import sys

LOCAL = ("localhost", "::1", "0.0.0.0")
EVENTS = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


def refuse(event, args):
    if event not in EVENTS:
        return
    where = args[0] if event.startswith("socket.get") else args[1]
    host = where[0] if isinstance(where, tuple) else where if event.startswith("socket.get") else None
    host = host.decode() if isinstance(host, bytes) else host
    if host and host not in LOCAL and not host.startswith("127."):  # None or a path: a local socket
        raise ConnectionRefusedError(f"tests may not reach {host}")


if os.environ.get("TESTS_MAY_REACH_NETWORK") != "1":
    sys.addaudithook(refuse)
