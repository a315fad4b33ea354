"""The service's side: answers of a model that works in another process.

    backend = Apart({"name": "torch", "settings": {...}, "rows": 16, "quantize": None})    # begins to load
    backend.answer(body).text                                                    # from any thread
    backend.close()

A process that has ended (killed, or out of memory) is started again by whoever asks next; those that were
being answered end with an error.

Nobody who asks waits for the pipe to it: one thread writes to it, one reads from it. So even a process that
stands still can be left, and closed.
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

from shared.embedded.backend import Answer
from shared.embedded.engine import Generation
from shared.errors import UserError
from step5_serving.engines.process import protocol as words

COMMAND = [sys.executable, "-m", "step5_serving.engines.process"]
PATIENCE = 5.0  # seconds for the process to end
Replies = SimpleQueue[tuple[str, dict[str, Any]]]  # verbs and bodies
GONE = "gone", dict[str, Any]()  # comes to all who wait when the process ends
LEFT = "left", dict[str, Any]()  # comes to who waits for an answer that somebody closes


class Process:
    """One life of the process, and who waits for what it says."""

    def __init__(self, first: dict[str, Any]) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.child = subprocess.Popen(COMMAND, start_new_session=True, **pipes)  # out of Ctrl-C's reach
        self._said: SimpleQueue[bytes | None] = SimpleQueue()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Replies] = {}
        self.ended = False
        self.trouble: str | None = "the model is loading"  # why a question would get no answer, or not yet
        self._said.put(json.dumps(first).encode() + b"\n")
        for work in (self._write, self._read):
            threading.Thread(target=work, name="apart", daemon=True).start()

    def ask(self, verb: str, body: dict[str, Any] | None = None) -> tuple[int, Replies]:
        """Say something; the number that it has, and where the replies come."""
        number, replies = next(self._numbers), Replies()
        said = words.line(number, verb, body)
        self._waiting[number] = replies
        self._said.put(said)
        if self.ended:  # perhaps since nobody looked who would say so
            replies.put(GONE)
        return number, replies

    def leave(self, number: int) -> None:
        """Nobody waits for these replies any more. From any thread, also while another waits for them."""
        replies = self._waiting.pop(number, None)
        if replies is not None:
            self._said.put(words.line(number, "stop"))
            replies.put(LEFT)

    def next(self, replies: Replies) -> tuple[str, dict[str, Any]]:
        """The next reply: its verb and its body.

        Raises:
            Exception: the one that the process said; UserError where it has ended.
        """
        verb, body = replies.get()
        if verb == "gone":
            raise UserError(f"the model's process has ended ({self._how()}): try again, it starts anew")
        if verb == "failed":
            raise words.error_of(body)
        return verb, body

    def close(self) -> None:
        """Let it end, and see to it that it does."""
        self._said.put(None)
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def _write(self) -> None:
        assert self.child.stdin is not None
        with contextlib.suppress(OSError), self.child.stdin as stdin:  # it has ended: `_read` tells everybody
            while (said := self._said.get()) is not None:
                stdin.write(said)
                stdin.flush()

    def _read(self) -> None:
        assert self.child.stdout is not None
        try:
            with self.child.stdout as stdout:
                for line in stdout:
                    if line.endswith(b"\n"):  # the last one may be half of one
                        self._hear(*words.parsed(line))
        finally:
            self.ended = True
            for replies in list(self._waiting.values()):
                replies.put(GONE)

    def _hear(self, number: int, verb: str, body: bytes) -> None:
        said = json.loads(body)
        if number == words.LOADED:
            self.trouble = said["message"] if verb == "failed" else None
        last = verb in ("end", "said", "failed")
        replies = self._waiting.pop(number, None) if last else self._waiting.get(number)
        if replies is not None:
            replies.put((verb, said))

    def _how(self) -> str:
        code = self.child.wait()
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
            process.leave(number)
            raise
        text = Generation(lambda done: _Pieces(process, number, replies, done))
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

    @property
    def trouble(self) -> str | None:
        """Why a question would have to wait, or get no answer. A process that has ended starts again."""
        return self._alive().trouble

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


class _Pieces(Iterator[str]):
    """A text as it comes. Whoever drops it, even before its first piece, ends the writing."""

    def __init__(self, process: Process, number: int, replies: Replies, done: Generation) -> None:
        self._process, self._number, self._replies, self._done = process, number, replies, done
        self._over = False

    def __next__(self) -> str:
        if self._over:
            raise StopIteration
        try:
            verb, body = self._process.next(self._replies)
        except BaseException:
            self.close()
            raise
        if verb != "left":
            words.note(body["counts"], self._done)
        if verb != "piece":
            self.close()
            raise StopIteration
        piece: str = body["piece"]
        return piece

    def close(self) -> None:
        """Nobody reads it any more."""
        self._over = True
        self._process.leave(self._number)

    def __del__(self) -> None:
        self.close()


def _calls(told: list[dict[str, Any]]) -> list[Any]:
    if not told:
        return []
    from shared.embedded.calls import ToolCall

    return [ToolCall(**each) for each in told]
