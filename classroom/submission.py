"""What a hidden test holds instead of a submission: it calls over there, and compares over here.

    def test_rrf(submission, draw):
        rankings = [{"a": 3.0, "b": 1.0}, {"b": 2.0}]
        submission.check("step3_rag.fuse:rrf", rankings, k=60)          beside the reference solution
        fused = submission.call("step3_rag.fuse:rrf", rankings, k=60)   or by hand: plain data
        assert sum(fused.values()) < 1

    clock = Clock()                                    an object of the test; its methods may go along
    rates = submission.make("step5_serving.rates:Rates", 2.0, clock=clock.now)
    rates.check("take", "alice")                       the same call of the submission's and the reference's

Functions that are passed stay with the grader: the submission gets a stand-in that asks for each call, so a
scripted model's answers and a fake clock never leave the test, and what it was asked is known for sure. Data of
the steps' own types (dataclasses, pydantic models) is rebuilt from the submission's. `Name("module:function")`
passes something of the submission's own.

`Remote` speaks to a worker in a sandbox; `Local` is the learner's: the same tests on the code in this process,
with the expected values that were recorded when the assignment was made.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import secrets
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from classroom import wire
from classroom.same import difference, short
from classroom.wire import Name, Record, Reference, Unsendable

if TYPE_CHECKING:
    from classroom.isolation import Sandboxed

__all__ = ["Fault", "Fresh", "Local", "Made", "Name", "Raised", "Remote", "Seen", "Wrong"]

START_SECONDS = 60.0  # for the worker and the libraries that it needs, which are not the submission's fault
IMPORT_SECONDS = 20.0  # for a module of the submission


class Raised(Exception):
    """The submission raised something; `kinds` are the names of its classes, the nearest first."""

    def __init__(self, kinds: list[str], text: str, place: str) -> None:
        super().__init__(f"{kinds[0]}: {text}" if text else kinds[0])
        self.kinds, self.text, self.place = kinds, text, place

    @property
    def not_attempted(self) -> bool:
        return "NotImplementedError" in self.kinds and self.text.startswith("exercise ")


class Fault(Exception):
    """The submission's process died, hung, or said what is no reply; in words. It counts as failed."""


class Wrong(AssertionError):
    """What came is not what was expected."""


@dataclass(frozen=True)
class Fresh:
    """An argument that is made anew for the submission and for the reference: a script that is used up."""

    make: Callable[[], Any]


@dataclass
class Seen:
    """One call for the feedback: what was called, with what, what came, what was expected."""

    call: str
    got: str
    expected: str | None = None
    verdict: str = "ok"  # or the difference, or what went wrong


class Submission(Protocol):
    """What Remote and Local have in common."""

    seen: list[Seen]

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result as plain data.

        Raises:
            Raised: the submission did.
            Fault: its process is gone, or too late.
        """
        ...

    def check(self, target: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        """Call it, and the reference with the same; returns the result.

        Where the reference raises, the submission has to raise an exception of the same class.

        Raises:
            Wrong: they differ.
        """
        ...

    def make(self, target: str, /, *args: Any, **kwargs: Any) -> Made:
        """An object of the submission, which stays there, and its twin of the reference."""
        ...


@dataclass
class Made:
    """An object of the submission: over there with a number, or `here`; `twin` is the reference's."""

    of: _Base
    type: str
    id: int = 0
    here: Any = None
    twin: Any = None

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method; the twin is called with the same, so that both stay alike."""
        got = self.of._ask("method", method, args, kwargs, self)
        self.of._reference(lambda: self.of._on_twin(self, method, args, kwargs))
        return got

    def check(self, method: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        """Call a method of both, and compare."""
        return self.of._check("method", method, args, kwargs, self, rel, abs)

    def get(self, name: str) -> Any:
        """An attribute."""
        return self.of._ask("get", name, (), {}, self)

    def check_get(self, name: str, rel: float = 1e-6, abs: float = 1e-9) -> Any:
        """An attribute of both, compared."""
        return self.of._check("get", name, (), {}, self, rel, abs)


@dataclass
class _Base:
    """What both kinds do alike. `reveal`: whether feedback may show what was expected."""

    reveal: bool = False
    seen: list[Seen] = field(default_factory=list)

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Any:
        return self._ask("call", target, args, kwargs)

    def check(self, target: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        return self._check("call", target, args, kwargs, None, rel, abs)

    def _check(
        self,
        do: str,
        what: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        made: Made | None,
        rel: float,
        abs: float,
    ) -> Any:
        try:
            got: Any = self._ask(do, what, args, kwargs, made)
        except Raised as error:
            got = error
        seen = self.seen[-1]
        expected = self._expected(lambda: self._on_reference(do, what, args, kwargs, made), got)
        if isinstance(expected, Raised):
            seen.expected = f"an exception: {expected.kinds[0]}" if self.reveal else None
            if not isinstance(got, Raised):
                seen.verdict = "raised nothing" + (f" instead of {expected.kinds[0]}" if self.reveal else "")
            elif expected.kinds[0] in got.kinds and not got.not_attempted:
                seen.verdict = "ok"
                return None
        elif not isinstance(got, Raised):
            seen.expected = short(expected) if self.reveal else None
            wrong = difference(got, expected, rel, abs)
            if wrong is None:
                return got
            seen.verdict = wrong if self.reveal else wrong.split(" instead of ")[0].split("; first")[0]
        if isinstance(got, Raised):
            raise got
        raise Wrong(seen.verdict)

    def _on_reference(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None
    ) -> Any:
        if made is not None:
            return getattr(made.twin, what) if do == "get" else self._on_twin(made, what, args, kwargs)
        return _find(what)(*map(_twin, args), **{name: _twin(each) for name, each in kwargs.items()})

    def _on_twin(self, made: Made, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return getattr(made.twin, method)(
            *map(_twin, args), **{name: _twin(each) for name, each in kwargs.items()}
        )

    def _reference(self, run: Callable[[], Any]) -> Any:
        return _outcome(run)

    def _expected(self, reference: Callable[[], Any], got: Any) -> Any:  # noqa: ARG002
        return _outcome(reference)

    def _ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any:
        raise NotImplementedError


def _outcome(run: Callable[[], Any]) -> Any:
    """What the reference gives, as it would travel; a Raised where it raises."""
    try:
        return wire.neutral(_awaited(run()))
    except Unsendable:
        raise
    except Exception as error:
        return _raised(error)


def _raised(error: BaseException) -> Raised:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    return Raised(kinds, str(error), "")


def _awaited(value: Any) -> Any:
    if not inspect.isawaitable(value):
        return value
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def _find(target: str) -> Any:
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _twin(value: Any) -> Any:
    """An argument as the reference, or the learner's own code, gets it."""
    if isinstance(value, Fresh):
        return value.make()
    if isinstance(value, Name):
        return _find(value.target)
    if isinstance(value, Made):
        return value.here if value.twin is None else value.twin
    if isinstance(value, Record):
        return _find(value.type)(**{name: _twin(each) for name, each in value.fields.items()})
    if isinstance(value, list):
        return [_twin(each) for each in value]
    if callable(value) and not isinstance(value, type):
        return value  # a copy of `clock.now` would bring a clock of its own
    return copy.deepcopy(value)  # it may be changed in place, and is used twice


def said(what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call as a reader would write it."""
    words = [_word(each) for each in args] + [f"{name}={_word(each)}" for name, each in kwargs.items()]
    return f"{what.rpartition(':')[2]}({', '.join(words)})"


def _word(value: Any) -> str:
    if isinstance(value, Fresh):
        value = value.make()
    if isinstance(value, Name):
        return value.target.rpartition(":")[2]
    if isinstance(value, Made):
        return f"<{value.type.rpartition(':')[2]}>"
    if callable(value) and not isinstance(value, type):
        return f"<{getattr(value, '__name__', 'function')}>"
    return short(value, 120)


@dataclass
class Remote(_Base):
    """A submission in a sandbox. `start` opens one; after a fault the next call gets a fresh one."""

    start: Callable[[], Sandboxed] = field(kw_only=True)
    preload: tuple[str, ...] = ()  # libraries that every worker imports before anything of the submission
    deadline: float = 0.0  # time.monotonic() until which the present test may take
    _box: Sandboxed | None = None
    _callbacks: list[Callable[..., Any]] = field(default_factory=list)
    _rest: bytes = b""
    _imported: dict[str, str] = field(default_factory=dict)  # module: what is wrong with it, or nothing

    def make(self, target: str, /, *args: Any, **kwargs: Any) -> Made:
        found = self._ask("make", target, args, kwargs)
        if not isinstance(found, Reference):
            raise self._fault("it answered with something that was not made")
        twin = _find(target)(*map(_twin, args), **{name: _twin(each) for name, each in kwargs.items()})
        return Made(self, target, found.id, twin=twin)

    def close(self) -> None:
        """End the worker."""
        if self._box is not None:
            self._box.close()
        self._box, self._rest, self._callbacks = None, b"", []
        self._imported = {module: wrong for module, wrong in self._imported.items() if wrong}

    def _ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any:
        shown = said(f"{made.type}.{what}" if made else what, args, kwargs)
        self.seen.append(Seen(shown, "nothing"))
        try:
            if made is None:
                self._ready(what.partition(":")[0])
            elif self._box is None:
                raise Fault("the process that held this object is gone")
            message = {
                "do": do,
                "what": what,
                "args": [self._packed(each) for each in args],
                "kwargs": {name: self._packed(each) for name, each in kwargs.items()},
            }
            reply = self._converse(message if made is None else {**message, "object": made.id})
        except Fault as fault:
            self.seen[-1].verdict = str(fault)
            raise
        return self._understood(reply)

    def _ready(self, module: str) -> None:
        """Start a worker where there is none, and import: neither is counted against the test's time."""
        began, deadline = time.monotonic(), self.deadline
        if self._box is None:
            self._box = self.start()
            for library in self.preload:
                self.deadline = began + START_SECONDS
                self._converse({"do": "import", "what": library})
        if module not in self._imported:
            self._imported[module] = "importing it ends the process, or never ends"  # until it is done
            self.deadline = time.monotonic() + IMPORT_SECONDS
            self._converse({"do": "import", "what": module})  # an exception is raised again by the call
            self._imported[module] = ""
        elif wrong := self._imported[module]:
            raise Fault(wrong)
        self.deadline = deadline + time.monotonic() - began

    def _understood(self, reply: dict[str, Any]) -> Any:
        seen = self.seen[-1]
        try:
            if "raised" in reply:
                raised = reply["raised"]
                error = Raised(
                    [str(each)[:100] for each in raised["kinds"]][:20] or ["an exception"],
                    str(raised["text"])[:2000],
                    str(raised["place"])[:200],
                )
                seen.got = seen.verdict = f"raised {error}" + (f" ({error.place})" if error.place else "")
                raise error
            if "unsendable" in reply:
                seen.got = seen.verdict = f"returned {str(reply['unsendable'])[:200]}"
                raise Wrong(seen.verdict)
            value = wire.unpack(reply["value"])
        except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise self._fault(f"it sent what is no reply ({type(error).__name__})") from None
        seen.got = short(value)
        return value

    def _packed(self, value: Any) -> Any:
        if isinstance(value, Fresh):
            value = value.make()
        if isinstance(value, Made):
            return {"$": "object", "id": value.id, "type": value.type}
        if callable(value) and not isinstance(value, type):
            self._callbacks.append(value)
            return {"$": "callback", "id": len(self._callbacks) - 1}
        if isinstance(value, list):
            return [self._packed(each) for each in value]
        return wire.pack(value)

    def _converse(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request; serve its callbacks; return its reply."""
        message = {"id": secrets.token_hex(8), **message}
        self._send(message)
        while True:
            reply = self._receive()
            if reply.get("id") != message["id"]:
                raise self._fault("it sent a reply that nobody asked for")
            if "callback" not in reply:
                return reply
            self._send(self._called_back(reply))

    def _called_back(self, request: dict[str, Any]) -> dict[str, Any]:
        number = request["callback"]
        if type(number) is not int or not 0 <= number < len(self._callbacks):
            raise self._fault("it called a function that it was not given")
        try:
            args = [wire.unpack(each) for each in request["args"]]
            kwargs = {str(name): wire.unpack(each) for name, each in request["kwargs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            raise self._fault("it called back with what is no value") from None
        try:
            return {"value": wire.pack(self._callbacks[number](*args, **kwargs))}
        except Exception as error:  # the test's own way to let a callback fail
            kind = type(error)
            return {
                "raised": {"type": wire.name_of(kind), "args": [wire.pack(str(each)) for each in error.args]}
            }

    def _send(self, message: dict[str, Any]) -> None:
        assert self._box is not None
        data = memoryview(wire.to_line(message))
        while data:
            left = self.deadline - time.monotonic()
            _, ready, _ = select.select([], [self._box.stdin], [], max(0.0, left))
            if not ready:
                raise self._fault("it took too long")
            try:
                data = data[os.write(self._box.stdin, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._fault(self._why_ended()) from None

    def _receive(self) -> dict[str, Any]:
        assert self._box is not None
        while b"\n" not in self._rest:
            if len(self._rest) > 2 * wire.MAX_BYTES:
                raise self._fault("its reply was too long")
            left = self.deadline - time.monotonic()
            ready, _, _ = select.select([self._box.stdout], [], [], max(0.0, min(left, 0.2)))
            if broken := self._box.broken():
                raise self._fault(broken)
            if ready:
                try:
                    more = os.read(self._box.stdout, 1 << 16)
                except BlockingIOError:
                    continue
                except OSError:
                    more = b""
                if not more:
                    raise self._fault(self._why_ended())
                self._rest += more
            elif time.monotonic() >= self.deadline:
                raise self._fault("it took too long")
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return wire.from_line(line)
        except ValueError:
            raise self._fault("it sent what is no reply") from None

    def _why_ended(self) -> str:
        assert self._box is not None
        return self._box.why_ended()

    def _fault(self, why: str) -> Fault:
        """End the worker; the next call gets a fresh one."""
        self.close()
        return Fault(why)


@dataclass
class Local(_Base):
    """The learner's own code in this process. `recorded`: expected values in the order of the checks.

    Where there are none the code is the reference, and what it gives is recorded.
    """

    reveal: bool = True
    recorded: list[Any] | None = None  # packed
    record: list[Any] = field(default_factory=list)
    _place: int = 0

    def make(self, target: str, /, *args: Any, **kwargs: Any) -> Made:
        self.seen.append(Seen(said(target, args, kwargs), "nothing"))
        named = {name: _twin(each) for name, each in kwargs.items()}
        made = self._run(lambda: _find(target)(*map(_twin, args), **named))
        return Made(self, target, here=made)

    def _reference(self, run: Callable[[], Any]) -> Any:
        """There is none."""

    def _expected(self, reference: Callable[[], Any], got: Any) -> Any:  # noqa: ARG002
        if self.recorded is None:
            raised = {"raised": got.kinds, "text": got.text} if isinstance(got, Raised) else None
            self.record.append(raised or {"value": wire.pack(got)})
            return got
        if self._place >= len(self.recorded):
            raise Wrong("more checks than were recorded: were the tests changed?")
        told = self.recorded[self._place]
        self._place += 1
        return Raised(told["raised"], told["text"], "") if "raised" in told else wire.unpack(told["value"])

    def _ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any:
        shown = said(f"{made.type}.{what}" if made else what, args, kwargs)
        self.seen.append(Seen(shown, "nothing"))
        named = {name: _twin(each) for name, each in kwargs.items()}
        if do == "get":
            run = lambda: getattr(made.here, what)  # noqa: E731  # type: ignore[union-attr]
        else:
            called = _find if made is None else lambda method: getattr(made.here, method)
            run = lambda: called(what)(*map(_twin, args), **named)  # noqa: E731
        value = wire.neutral(self._run(run))
        self.seen[-1].got = short(value)
        return value

    def _run(self, run: Callable[[], Any]) -> Any:
        try:
            return _awaited(run())
        except Exception as error:
            raised = _raised(error)
            self.seen[-1].got = self.seen[-1].verdict = f"raised {raised}"
            raise raised from error
