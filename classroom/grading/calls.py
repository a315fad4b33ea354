"""A call of a submission: what is asked for, how it can end, and the same call on the reference.

Arguments are copied for the reference, so that neither side sees what the other changed. An argument may hold
what a submission gave before. Its types are names that a submission chose: only those of the steps' own data
are rebuilt, and nothing else is looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from classroom.grading import callbacks
from classroom.grading.callbacks import Interrupted, Log, WorkerFailure
from classroom.grading.compare import short
from classroom.protocol import wire
from classroom.protocol.wire import Record, Unsendable, find

OURS = re.compile(r"(step\d+_\w+|shared|classroom\.drivers)(\.(?!__)\w+)*:(?!__)\w+(\.(?!__)\w+)*")
DATA = ("__members__", "model_validate", "__dataclass_fields__", "_fields")  # of classes that hold plain data
LONGEST = 160  # characters of a call or its result that can be shown whole
RAISED = (Exception, Interrupted, asyncio.CancelledError)  # what code may raise, and be asked for


class Raised(Exception):
    """The submission raised something; `kinds` are the names of its classes, the nearest first."""

    def __init__(self, kinds: list[str], text: str, place: str) -> None:
        super().__init__(f"{kinds[0]}: {text}" if text else kinds[0])
        self.kinds, self.text, self.place = kinds, text, place

    @property
    def not_attempted(self) -> bool:
        return "NotImplementedError" in self.kinds and self.text.startswith("exercise ")


class Wrong(AssertionError):
    """The submission's result differs from the expected one."""


@dataclass(frozen=True)
class Fresh:
    """An argument that is made anew for each side: a script that is used up."""

    make: Callable[[], Any]


@dataclass
class CallRecord:
    """One call for the feedback: what was called, with what, what came, what was expected."""

    call: str
    got: str
    expected: str | None = None
    verdict: str = "ok"  # or the difference, or what went wrong

    @property
    def is_whole(self) -> bool:
        """Whether it fits on a line and shows all that its result depends on: no object or earlier call."""
        is_plain = re.fullmatch(r"\w+\([^<…]+\)", self.call) and re.fullmatch("(?!<|nothing$)[^…]*", self.got)
        return bool(is_plain) and max(len(self.call), len(self.got)) <= LONGEST


@dataclass(frozen=True)
class Request:
    """What the submission is to do: `do` as in worker.py, the name of a function or attribute, the object."""

    do: str
    what: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    made: Made | None = None


@dataclass(frozen=True)
class Comparison:
    """Tolerances for floats, the log whose calls are compared, and whether exceptions' texts are."""

    rel: float = 1e-6
    abs: float = 1e-9
    asked: Log | None = None
    text: bool = False


class Callee:
    """What a test can call: a submission, by `module:name`, or an object of it, by a path of attributes."""

    of: Any  # the submission

    @property
    def made(self) -> Made | None:
        """The object, if it is one."""
        return self if isinstance(self, Made) else None

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result as plain data. The reference's object does the same, so that both stay alike.

        Raises:
            Raised: the submission did.
            WorkerFailure: its process is gone, or too late.
        """
        self.of.unchecked = True
        request = Request("call", name, args, kwargs, self.made)
        got = self.of.ask(request)
        if self.made:
            self.of.twin(lambda: outcome(lambda: on_reference(request)))
        return got

    def check(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call it, and the reference's with the same, and compare; returns the result.

        Where the reference raises, the submission has to raise an exception of the same class, and with
        `text` also with the same text. What the functions of the log `asked` were asked has to be the same,
        too. Floats may be off by `rel` or `abs`.

        Raises:
            Wrong: they differ.
        """
        how = {each.name: kwargs.pop(each.name) for each in fields(Comparison) if each.name in kwargs}
        return self.of.compare(Request("call", name, args, kwargs, self.made), Comparison(**how))

    def make(self, name: str, /, *args: Any, asked: Log | None = None, **kwargs: Any) -> Made:
        """The result of a call as an object, which stays there, and its counterpart of the reference."""
        return self.of.kept(Request("make", name, args, kwargs, self.made), asked)


@dataclass
class Made(Callee):
    """An object of the submission: in the worker under a number, or `here`; `reference` is its counterpart.

    Names may be paths of attributes: `made.check("queue.count", 3)`.
    """

    of: Any  # the submission
    type: str
    id: int = 0
    here: Any = None
    reference: Any = None
    origin: str = ""  # the call that made it, as a reader would write it

    def get(self, name: str) -> Any:
        """An attribute."""
        self.of.unchecked = True
        return self.of.ask(Request("get", name, made=self))

    def check_get(self, name: str, **how: Any) -> Any:
        """An attribute of both, compared."""
        return self.of.compare(Request("get", name, made=self), Comparison(**how))

    def part(self, name: str) -> Made:
        """An attribute, as an object."""
        return self.of.kept(Request("part", name, made=self))


def outcome(run: Callable[[], Any]) -> Any:
    """What the reference gives, as it would travel; a Raised where it raises."""
    try:
        return wire.neutral(run())
    except (Unsendable, Wrong, WorkerFailure, MemoryError):  # no answers: time or memory has run out here
        raise
    except RAISED as error:
        return raised(error)


def raised(error: BaseException) -> Raised:
    """An exception as a Raised."""
    kinds = (KeyboardInterrupt if isinstance(error, Interrupted) else type(error)).__mro__
    return Raised([kind.__name__ for kind in kinds if kind is not object], str(error), "")


def reference_copy(value: Any) -> Any:
    """An argument as the reference, or the learner's own code, gets it."""
    if isinstance(value, Fresh):
        return value.make()
    if isinstance(value, Made):
        return value.here if value.reference is None else value.reference
    if isinstance(value, Record):
        return _rebuilt(value)
    if type(value) in (list, tuple):
        return type(value)(map(reference_copy, value))
    if type(value) is dict:
        return {reference_copy(key): reference_copy(each) for key, each in value.items()}
    if callable(value) and not isinstance(value, type):
        return callbacks.of_grader(value)  # not copied: a copy of `clock.now` would have a clock of its own
    return copy.deepcopy(value)  # it may be changed in place, and is used twice


def _rebuilt(record: Record) -> Any:
    """Data of a step's own type. The submission named the type, so nothing but plain data is made."""
    kind: Any = None
    if OURS.fullmatch(record.type):
        with contextlib.suppress(ImportError, AttributeError):
            kind = find(record.type)
    is_data = isinstance(kind, type) and any(hasattr(kind, each) for each in DATA)
    if not is_data or wire.name_of(kind) != record.type:
        raise Wrong(f"a {record.type[:100]} can't be an argument")
    given = {name: reference_copy(each) for name, each in record.fields.items()}
    try:
        return wire.rebuilt(kind, given)
    except Exception as error:  # fields that this type doesn't have, or refuses
        raise Wrong(f"a {record.type[:100]} with other fields: {type(error).__name__}") from None


def perform(request: Request, value: Any) -> Any:
    """Do what is asked for in this process, with copies of the arguments; `value` is the object, if any."""
    target = find(request.what) if request.made is None else wire.reach(value, request.what)
    if request.do in ("get", "part"):
        return target
    kwargs = {name: reference_copy(each) for name, each in request.kwargs.items()}
    return target(*map(reference_copy, request.args), **kwargs)


def on_reference(request: Request) -> Any:
    """What the reference makes of it."""
    return perform(request, request.made and request.made.reference)


def format_call(request: Request) -> str:
    """A call as a reader would write it."""
    name = request.what.rpartition(":")[2]
    if request.made is not None:
        owner = request.made.type.rpartition(":")[2]
        if request.do == "get" and owner[:1].islower():  # what a function returned: say what it was given
            owner = request.made.origin or owner
        name = f"{owner}.{name}"
    if request.do == "get":
        return name
    words = [*map(_word, request.args), *(f"{key}={_word(each)}" for key, each in request.kwargs.items())]
    return f"{name}({', '.join(words)})"


def _word(value: Any) -> str:
    if isinstance(value, Fresh):
        return "<fresh>"
    if isinstance(value, Made):
        return f"<{value.type.rpartition(':')[2]}>"
    if callable(value) and not isinstance(value, type):
        return f"<{getattr(value, '__name__', 'function')}>"
    return short(value, 120)
