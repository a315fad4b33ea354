"""Where a server listens, and whether other machines can reach it; a server in a thread, for a while."""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import Any

from shared.errors import UserError, reason

BACKLOG = 2048  # connections that wait to be accepted
KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that none is closed under a request


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises UserError if the port is taken, or the host is not of this machine."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, TypeError) as error:  # TypeError: no name can be so long
        listening.close()
        what = f"cannot listen on port {port} of {host} ({reason(error)})"
        raise UserError(f"{what}: choose another with --port or --host") from None
    return listening


def address_of(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def listening(app: Any, port: int = 0) -> Iterator[str]:
    """Run an ASGI app with uvicorn in a thread, on loopback at a port (0: a free one); gives its URL."""
    import uvicorn

    with contextlib.closing(listen("127.0.0.1", port)) as place:
        more = {"log_config": None, "access_log": False, "timeout_keep_alive": KEEP_ALIVE_S}
        server = uvicorn.Server(uvicorn.Config(app, ws="none", **more))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        try:
            yield address_of(place)
        finally:
            server.should_exit = True
            thread.join(20)
