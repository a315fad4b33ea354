"""No test reaches the network: every connection but to this machine itself is refused, in every process.

Python imports a module of this name at start. conftest.py puts this folder on PYTHONPATH, so that the
commands which tests start are blocked like the tests. An audit hook cannot be taken off again.
"""

import os
import sys

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


def refuse(event, args):
    if event == "socket.connect":
        host = args[1][0] if isinstance(args[1], tuple) else "localhost"  # a path is a local socket
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    if not host.startswith(LOCAL):
        raise ConnectionRefusedError(f"tests may not reach {host}")


if os.environ.get("TESTS_MAY_REACH_NETWORK") != "1":
    sys.addaudithook(refuse)
