"""Read documents in a process of its own, within limits of time and memory: any file may be a bomb.

    >>> read(Path("contracts/supply.md")).title
    'Supply agreement 2025'

A PDF of 100 kB can keep its parser busy for hours, a Word file of 100 kB can fill the memory. So the parsers
run in a worker, which reads one document after the other. One that takes too long or too much ends the
worker, not the ingest or the service: the document is refused, and the next one gets a new worker.

Windows has no limit of memory (RLIMIT_AS), macOS seldom obeys it; the limit of time holds everywhere.
"""

import atexit
import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO, NoReturn

if __name__ == "__main__":  # the worker; it may import the code that started it, and nothing of its folder
    sys.path.insert(0, str(Path(__file__).parents[2]))

from step3_rag.ingest import load
from step3_rag.ingest.text import UnreadableError

MEMORY = 1 << 30  # bytes of the worker's address space; it takes 200 MB for an ordinary document
SHORTEST = 10.0  # seconds for a document
LONGEST = 120.0
PER_MEGABYTE = 10.0  # seconds more, since long documents take long: a bomb is small
OUT_OF_TIME = 1  # the worker's exit code: faulthandler's
OUT_OF_MEMORY = 3
ADVICE = "split it, or save it in another format"


def seconds_for(size: int) -> float:
    """The seconds that reading a file of so many bytes may take."""
    return min(SHORTEST + PER_MEGABYTE * size / 1e6, LONGEST)


class Worker:
    """A process that reads documents. It starts with the first one, and again after it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def read(self, path: Path, name: str | None = None) -> load.Document:
        """The same as load.read.

        Raises:
            UnreadableError: load.read's reasons, or it takes too long or too much memory.
        """
        try:
            size = path.stat().st_size
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from None
        limit = seconds_for(size)
        request = {"path": str(path.absolute()), "name": name, "seconds": limit}
        with self._one_at_a_time:
            began = time.monotonic()
            reply = self._ask(json.dumps(request).encode())
            if not reply:
                raise UnreadableError(self._why_it_ended(limit, time.monotonic() - began))
        fields = json.loads(reply.decode("utf-8", "surrogatepass"))
        if "unreadable" in fields:
            raise UnreadableError(fields["unreadable"])
        pages = tuple(fields["pages"])
        return load.Document(fields["title"], fields["text"], pages, fields["superseded"])

    def _ask(self, request: bytes) -> bytes:
        """The worker's reply; b"" if it ended before."""
        if self._process is None or self._process.poll() is not None:
            self._process = _start()
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        except OSError:  # it ended just now
            return b""
        reply = self._process.stdout.readline()
        return reply if reply.endswith(b"\n") else b""

    def _why_it_ended(self, limit: float, seconds: float) -> str:
        code = self.close()
        if code == OUT_OF_MEMORY:
            return f"reading it takes more than {MEMORY / 1e9:.1f} GB of memory: {ADVICE}"
        if code == OUT_OF_TIME and seconds >= limit:
            return f"reading it takes more than {limit:.0f} seconds: {ADVICE}"
        return f"its parser crashed (exit code {code}): {ADVICE}"

    def close(self) -> int | None:
        """End the process; returns its exit code."""
        process = self._process
        self._process = None
        if process is None:
            return None
        with contextlib.suppress(OSError):  # it may have left a part of a request unread
            process.communicate()
        return process.returncode


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", __file__]  # -P: modules of the working folder are not imported
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


WORKER = Worker()
atexit.register(WORKER.close)


def read(path: Path, name: str | None = None) -> load.Document:
    """The text of a file, read by this process's worker; `name` is the document's, if the file has another.

    Raises:
        UnreadableError: load.read's reasons, or it takes too long or too much memory.
    """
    return WORKER.read(path, name)


# --- in the worker ----------------------------------------------------------------------------------------


def limit_process() -> None:
    """Limit this process: memory, and no file may be written."""
    try:
        import resource
    except ImportError:  # on Windows
        return
    for kind, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        _, most = resource.getrlimit(kind)
        lower = value if most == resource.RLIM_INFINITY else min(value, most)
        with contextlib.suppress(ValueError, OSError):  # a system that doesn't allow it
            resource.setrlimit(kind, (lower, lower))


def answer(path: Path, name: str | None) -> bytes:
    """The reply to a request, without its line break."""
    try:
        document = load.read(path, name)
        fields = vars(document)
    except UnreadableError as error:
        fields = {"unreadable": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a parser may raise anything
        fields = {"unreadable": f"it cannot be parsed ({type(error).__name__})"}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def serve(requests: BinaryIO, replies: BinaryIO) -> NoReturn:
    """Answer requests until there are no more."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  (for faulthandler's tracebacks)
        for line in requests:
            request = json.loads(line)
            faulthandler.dump_traceback_later(request["seconds"], exit=True, file=nowhere)
            try:
                reply = answer(Path(request["path"]), request["name"])
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            faulthandler.cancel_dump_traceback_later()
            replies.write(reply + b"\n")
            replies.flush()
    sys.exit()


def main() -> NoReturn:
    """Answer on stdout, which no parser may write to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit_process()
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
