"""Servers that stand still while another engine has its turn in a bench.

A server that waits for requests need not be idle: vLLM's workers wait actively, and take a core from whoever
is measured. So `bench --rest` stops the processes of the others (SIGSTOP), and lets them go on in any case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import psutil

from shared.errors import UserError
from step5_serving.addresses import is_loopback


class Pausing:
    """The processes behind some addresses, by the name of the engine.

    Raises:
        UserError: nobody of this machine listens at one, or we may not stop who does.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._processes = {name: _listening(address) for name, address in addresses.items()}

    @contextlib.contextmanager
    def turn_of(self, name: str) -> Iterator[None]:
        """All others stand still meanwhile."""
        others = [each for other, found in self._processes.items() if other != name for each in found]
        try:
            for each in others:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.suspend()
            yield
        finally:
            for each in others:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()


def _listening(address: str) -> list[psutil.Process]:
    """The process that listens at an address, and its children."""
    parts = urlsplit(address)
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp") if is_loopback(parts.hostname or "") else ():
            if each.pid and each.status == psutil.CONN_LISTEN and each.laddr[1:2] == (parts.port or 80,):
                first = psutil.Process(each.pid)
                return [first, *first.children(recursive=True)]
    raise UserError(f"--rest: no process of this machine that you may stop listens at {address}")
