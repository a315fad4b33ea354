"""Servers of this machine that stand still while another engine has its turn.

A server that waits for work may do so by asking for it all the time (vLLM does), and takes a core from
whoever is measured. So its processes are stopped (SIGSTOP) until it is its own turn, and go on at the end in
any case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import psutil

from shared.errors import UserError
from step5_serving.addresses import is_loopback


class Resting:
    """The processes of some servers, by the name of the engine that they are."""

    def __init__(self, addresses: dict[str, str]) -> None:
        """Find who listens.

        Raises:
            UserError: nobody of this machine does, or he may not be stopped by us.
        """
        self._families = {name: _family(address) for name, address in addresses.items()}

    @contextlib.contextmanager
    def turn_of(self, name: str) -> Iterator[None]:
        """All others rest meanwhile."""
        others = [each for other, family in self._families.items() if other != name for each in family]
        try:
            _each(others, "suspend")
            yield
        finally:
            _each(others, "resume")


def _family(address: str) -> list[psutil.Process]:
    """The process that listens at an address, and its children, parents first."""
    parts = urlsplit(address)
    try:
        for each in psutil.net_connections("tcp") if is_loopback(parts.hostname or "") else ():
            if each.pid and each.status == psutil.CONN_LISTEN and each.laddr[1:2] == (parts.port or 80,):
                first = psutil.Process(each.pid)
                return [first, *first.children(recursive=True)]
    except psutil.Error as error:
        raise UserError(f"--rest: the server at {address} can't be stopped: {error}") from None
    raise UserError(f"--rest: no process of this machine that you may stop listens at {address}")


def _each(processes: Sequence[psutil.Process], what: str) -> None:
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(each, what)()
