"""A submission in a sandbox: requests go to a worker (worker.py), and nothing that comes back is trusted.

    remote = Remote(start=lambda: open_worker(tree), preload=("numpy",))
    remote.warm()                                      starts a worker, and doesn't wait for it
    remote.call("step3_rag.retrieve.fuse:rrf", [{"a": 1.0}])

A worker that dies, hangs or sends nonsense is ended, and the next call gets a fresh one. A test's time is the
submission's own: starting a worker, importing its modules and running the reference count only against
`until`. If no worker can be started at all, that is no wrong answer, but the grader's fault: `Unready`.
"""

import math
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from classroom.assignment.rubric import Mark
from classroom.grading.callbacks import MOST_HELD, Functions, Unready, WorkerFailure, answered
from classroom.grading.calls import CallRecord, Fresh, Made, Raised, Request, Wrong, format_call, outcome
from classroom.grading.compare import short
from classroom.grading.lines import Lines
from classroom.grading.submission import KEPT, Submission
from classroom.isolation.box import Box
from classroom.protocol import wire
from classroom.protocol.wire import Reference
from shared.errors import UserError

START_SECONDS = 60.0  # for the worker and its libraries
IMPORT_SECONDS = 20.0  # for a module of the submission
OUTPUT = 4_000  # characters that are kept of what was printed
MAX_ASKED = 256 << 10  # bytes of one call to a function of the grader
POLL = 0.002  # seconds between two looks at answers that are waited for


@dataclass
class Remote(Submission):
    """A submission in a sandbox, which `start` opens; after a failure the next call gets a fresh one."""

    start: Callable[[], Box] = field(kw_only=True)
    preload: tuple[str, ...] = ()  # libraries that a worker imports before the submission
    deadline: float = math.inf  # time.monotonic() until which the present test may take
    until: float = math.inf  # the same for everything
    level: str = ""  # of the sandbox
    safe: bool = False  # whether submitted code may run in it
    printed: str = ""
    _was_ready: bool = False  # whether any worker was
    _box: Box | None = None
    _lines: Lines | None = None
    _loading: list[str] = field(default_factory=list)
    _functions: Functions = field(default_factory=Functions)
    _served: set[str] = field(default_factory=set)  # exercises, by the present worker
    _imported: dict[str, WorkerFailure | None] = field(default_factory=dict)  # by module

    def begin(self, mark: Mark) -> None:
        super().begin(mark)
        self.reveal = mark.visibility == "public"
        self.deadline = time.monotonic() + mark.timeout
        self._functions.given.clear()
        if self._lines is not None:
            self._lines.sent = 0
            if not self._loading and self._lines.is_spoilt():
                self.close()  # by the test before; this one gets a fresh worker
        self._served = self._served if self._box is not None else set()
        self.worker_reused = bool(self._served - {mark.id})
        self._served.add(mark.id)

    def twin(self, reference: Callable[[], Any]) -> Any:
        return self._untimed(reference)

    def expected(self, reference: Callable[[], Any], got: Any) -> Any:  # noqa: ARG002
        return self._untimed(lambda: outcome(reference))

    def ask(self, request: Request) -> Any:
        self.calls.append(CallRecord(format_call(request), "nothing"))
        made = request.made
        try:
            if made is None:
                self._untimed(lambda: self._import(request.what.partition(":")[0]))
            elif self._box is None:
                raise WorkerFailure("the process that held this object is gone")
            message = {
                "do": request.do,
                "what": request.what,
                "args": [self._encoded(each) for each in request.args],
                "kwargs": {name: self._encoded(each) for name, each in request.kwargs.items()},
                "object": made.id if made else 0,
            }
            reply = self._answer(self._request(message, self.deadline), self.deadline)
            value = self._understood(reply)
            if request.do not in KEPT:
                return value
            if not isinstance(value, Reference):
                raise WorkerFailure("it answered with something that is not an object")
            return Made(self, value.type[:100] if made else request.what, value.id)
        except WorkerFailure as fault:
            self.calls[-1].verdict = str(fault)
            self.close()
            raise

    def warm(self) -> None:
        """Start a worker if there is none, and ask for its libraries without waiting for them.

        Raises:
            Unready: it can't be started.
        """
        if self._box is not None:
            return
        deadline = time.monotonic() + START_SECONDS
        try:
            self._box = self.start()
            self._lines = Lines(self._box)
            self.level, self.safe = self._box.level, self._box.safe
            requests = [{"do": "import", "what": library} for library in self.preload]
            self._loading = [self._request(each, deadline) for each in requests]
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            raise self._not_started(f"{kind}{error}") from error

    def close(self) -> None:
        """End the worker."""
        if self._box is not None:
            self.printed = (self.printed + self._box.output())[-OUTPUT:]
            self._box.close()
        self._box, self._lines, self._loading = None, None, []
        self._functions.given.clear()
        self._imported = {module: fault for module, fault in self._imported.items() if fault}

    def _import(self, module: str) -> None:
        """Import a module of the submission; one that kills its worker is not tried twice."""
        if fault := self._imported.get(module):
            raise fault
        self._started()
        if module in self._imported:
            return
        deadline = time.monotonic() + IMPORT_SECONDS
        try:
            self._answer(self._request({"do": "import", "what": module}, deadline), deadline)
            self._imported[module] = None  # the call will raise an exception again
        except WorkerFailure as fault:
            fault = WorkerFailure(f"importing {module}: {fault}", fault.timed_out)
            if fault.timed_out or not self.worker_reused:
                self._imported[module] = fault
            raise fault from None

    def _started(self) -> None:
        self.warm()
        try:
            while self._loading:
                reply = self._answer(self._loading[0], time.monotonic() + START_SECONDS)
                if "raised" in reply:
                    raise WorkerFailure(f"a library can't be imported: {str(reply['raised'])[:300]}")
                self._loading = self._loading[1:]
        except WorkerFailure as fault:
            if time.monotonic() > self.until:
                raise
            raise self._not_started(str(fault)) from None
        self._was_ready = True

    def _not_started(self, why: str) -> Unready | WorkerFailure:
        """Only if no worker ever started, it is no fault of the submission's."""
        printed = f"; {self._box.output()[-300:].strip()}" if self._box is not None else ""
        self.close()
        if self._was_ready:
            return WorkerFailure(f"no fresh process could be started ({why}{printed})")
        return Unready(f"{why}{printed}")

    def _untimed(self, run: Callable[[], Any]) -> Any:
        """Run something that does not count in the test's time."""
        began = time.monotonic()
        try:
            return run()
        finally:
            self.deadline += time.monotonic() - began

    def _understood(self, reply: dict[str, Any]) -> Any:
        seen, value, wrong = self.calls[-1], None, None
        try:
            if "raised" in reply:
                told = reply["raised"]
                kinds = [str(each)[:100] for each in told["kinds"]][:20] or ["an exception"]
                wrong = Raised(kinds, str(told["text"])[:2000], str(told["place"])[:200])
                seen.got = f"raised {wrong}" + (f" ({wrong.place})" if wrong.place else "")
            elif "unsendable" in reply:
                seen.got = f"returned {str(reply['unsendable'])[:200]}"
                wrong = Wrong(seen.got)
            else:
                value = wire.decode(reply["value"])
                seen.got = short(value)
        except Exception as error:
            raise WorkerFailure(f"it sent an invalid reply ({type(error).__name__})") from None
        if wrong is not None:
            seen.verdict = seen.got
            raise wrong
        return value

    def _encoded(self, value: Any) -> Any:
        if isinstance(value, Fresh):
            value = value.make()
        if isinstance(value, Made):
            return {"$": "object", "id": value.id, "type": value.type}
        if callable(value) and not isinstance(value, type):
            return {"$": "callback", "id": self._functions.add(value)}
        if type(value) is list:
            return [self._encoded(each) for each in value]
        if type(value) is tuple:
            return {"$": "tuple", "v": [self._encoded(each) for each in value]}
        if type(value) is dict:
            pairs = [[self._encoded(key), self._encoded(each)] for key, each in value.items()]
            return {"$": "dict", "v": pairs}
        return wire.encode(value)

    def _request(self, message: dict[str, Any], deadline: float) -> str:
        assert self._lines is not None
        id = secrets.token_hex(8)
        self._lines.send({"id": id, **message}, min(deadline, self.until))
        return id

    def _answer(self, id: str, deadline: float) -> dict[str, Any]:
        """The reply to a request; until it comes, callbacks are answered."""
        assert self._lines is not None
        held: dict[Future[Any], Any] = {}  # answers that are waited for, and where they go
        deadline = min(deadline, self.until)
        try:
            while True:
                while held and not self._lines.comes_within(POLL, deadline):
                    for done in [each for each in held if each.done()]:
                        self._lines.send({"ask": held.pop(done), **answered(done.result)}, deadline)
                reply = self._lines.receive(deadline)
                if reply.get("id") != id:
                    raise WorkerFailure("it sent a reply that nobody asked for")
                if "callback" not in reply:
                    return reply
                if self._lines.last > MAX_ASKED or len(held) > MOST_HELD:
                    raise WorkerFailure("it called back with too much")
                self.unchecked = True
                answer = self._functions.answer(reply)
                if isinstance(answer, Future):
                    held[answer] = reply.get("ask")
                else:
                    self._lines.send({"ask": reply.get("ask"), **answer}, deadline)
        except wire.Unsendable:
            raise WorkerFailure("it called back for more than can be sent") from None
