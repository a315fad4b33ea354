"""The service's side: answers of a model that works in another process.

    backend = Apart({"name": "torch", "settings": {...}, "rows": 16, "quantize": None})    # begins to load
    backend.answer(body).text                           # from any thread
    backend.close()

A process that has ended (killed, or out of memory) is started again by the next request; those that were
being answered end with an error.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

from shared.errors import UserError
from shared.local.backend import Answer
from shared.local.engine import Generation
from step5_serving.apart import words

PATIENCE = 5.0  # seconds for the process to end
Reply = tuple[str, dict[str, Any]]  # verb and body


class Process:
    """One life of the process, and who waits for what it says."""

    def __init__(self, first: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "step5_serving.apart"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._child = subprocess.Popen(command, start_new_session=True, **pipes)  # out of Ctrl-C's reach
        self._waiting: dict[int, SimpleQueue[Reply | None]] = {}
        self._numbers, self._writing = itertools.count(1), threading.Lock()
        self.ended = False
        self._write(json.dumps(first).encode() + b"\n")
        threading.Thread(target=self._read, name="apart", daemon=True).start()

    def ask(self, verb: str, body: dict[str, Any] | None = None) -> tuple[int, SimpleQueue[Reply | None]]:
        """Say something; the number that it has, and where the replies come. None comes behind the last."""
        number, replies = next(self._numbers), SimpleQueue[Reply | None]()
        self._waiting[number] = replies
        said = words.line(number, verb, body)
        if self.ended:  # nobody reads any more who would say so
            replies.put(None)
        self._write(said)
        return number, replies

    def forget(self, number: int) -> None:
        """Nobody waits for these replies any more."""
        if self._waiting.pop(number, None) is not None:
            self._write(words.line(number, "stop"))

    def next(self, replies: SimpleQueue[Reply | None]) -> Reply:
        """The next reply.

        Raises:
            Exception: the one that the process said; UserError where it has ended.
        """
        reply = replies.get()
        if reply is None:
            raise UserError(f"the model's process has ended ({self._how()}): try again, it starts anew")
        if reply[0] == "failed":
            raise words.error_of(reply[1])
        return reply

    def close(self) -> None:
        """Let it end, and see to it that it does."""
        with contextlib.suppress(OSError):
            assert self._child.stdin is not None
            self._child.stdin.close()
        try:
            self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _write(self, said: bytes) -> None:
        assert self._child.stdin is not None
        with self._writing, contextlib.suppress(OSError, ValueError):  # it has ended: `_read` tells everybody
            self._child.stdin.write(said)
            self._child.stdin.flush()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            number, verb, body = words.parsed(line)
            replies = self._waiting.get(number)
            if verb in ("end", "said", "failed"):
                self._waiting.pop(number, None)
            if replies is not None:
                replies.put((verb, json.loads(body)))
        self.ended = True
        for replies in list(self._waiting.values()):
            replies.put(None)

    def _how(self) -> str:
        code = self._child.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Apart:
    """A `Backend` in another process."""

    def __init__(self, first: dict[str, Any]) -> None:
        """`first` says which; the process starts at once."""
        self._first, self._starting = first, threading.Lock()
        self._process, self._closed = Process(first), False

    def answer(self, body: dict[str, Any]) -> Answer:
        """See `Backend.answer`."""
        process = self._alive()
        number, replies = process.ask("answer", body)
        try:
            _, begun = process.next(replies)
        except BaseException:
            process.forget(number)
            raise
        text = Generation(lambda done: self._pieces(process, number, replies, done))
        words.note(begun["counts"], text)
        return Answer(begun["input_tokens"], text, _calls(begun["calls"]))

    def count(self, body: dict[str, Any]) -> int:
        """See `Backend.count`."""
        return int(self._said("count", body))

    def warm_up(self) -> None:
        """Wait until the model is there.

        Raises:
            UserError: it can't be had.
        """
        self._said("ready")

    def close(self) -> None:
        """End the process. Texts that are being written end with an error."""
        with self._starting:
            self._closed = True
            self._process.close()

    def _said(self, verb: str, body: dict[str, Any] | None = None) -> Any:
        process = self._alive()
        _, replies = process.ask(verb, body)
        return process.next(replies)[1]["result"]

    def _alive(self) -> Process:
        with self._starting:
            if self._process.ended and not self._closed:
                self._process.close()
                self._process = Process(self._first)
            return self._process

    def _pieces(
        self, process: Process, number: int, replies: SimpleQueue[Reply | None], done: Generation
    ) -> Iterator[str]:
        try:
            while (reply := process.next(replies))[0] == "piece":
                words.note(reply[1]["counts"], done)
                yield reply[1]["piece"]
            words.note(reply[1]["counts"], done)
        finally:
            process.forget(number)


def _calls(told: list[dict[str, Any]]) -> list[Any]:
    if not told:
        return []
    from shared.local.calls import ToolCall

    return [ToolCall(**each) for each in told]
