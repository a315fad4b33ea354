"""A call of the reference, how a call can end, how it is told: what submission.py and remote.py share.

Arguments are made twice, for the submission and for the reference, so that neither sees what the other
changed. An argument may hold what a submission gave before. Its types are names that a stranger chose: only
those of the steps' own data are rebuilt, and nothing else is looked up.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from classroom.grading.compare import short
from classroom.protocol import wire
from classroom.protocol.wire import Name, Record, Unsendable

OURS = re.compile(r"(step\d+_\w+|shared|classroom\.drivers)(\.\w+)*")
PATH = re.compile(r"(?!__)\w+(\.(?!__)\w+)*")


class Raised(Exception):
    """The submission raised something; `kinds` are the names of its classes, the nearest first."""

    def __init__(self, kinds: list[str], text: str, place: str) -> None:
        super().__init__(f"{kinds[0]}: {text}" if text else kinds[0])
        self.kinds, self.text, self.place = kinds, text, place

    @property
    def not_attempted(self) -> bool:
        return "NotImplementedError" in self.kinds and self.text.startswith("exercise ")


class WorkerFailure(Exception):
    """The submission's process died, hung (`timed_out`), or sent what is no reply, in words."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Wrong(AssertionError):
    """What came is not what was expected."""


@dataclass(frozen=True)
class Fresh:
    """An argument that is made anew for the submission and for the reference: a script that is used up."""

    make: Callable[[], Any]


@dataclass
class CallRecord:
    """One call for the feedback: what was called, with what, what came, what was expected."""

    call: str
    got: str
    expected: str | None = None
    verdict: str = "ok"  # or the difference, or what went wrong


class Owner(Protocol):
    """The submission that an object is of."""

    unchecked: bool

    def ask(
        self, do: str, what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None
    ) -> Any: ...

    def follow(self, made: Made, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None: ...

    def compare(
        self,
        do: str,
        what: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        made: Made | None,
        rel: float,
        abs: float,
    ) -> Any: ...


@dataclass
class Made:
    """An object of the submission: over there with a number, or `here`; `reference` is the reference's."""

    of: Owner
    type: str
    id: int = 0
    here: Any = None
    reference: Any = None

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method; the reference's object is called with the same, so that both stay alike."""
        self.of.unchecked = True
        got = self.of.ask("method", method, args, kwargs, self)
        self.of.follow(self, method, args, kwargs)
        return got

    def check(self, method: str, /, *args: Any, rel: float = 1e-6, abs: float = 1e-9, **kwargs: Any) -> Any:
        """Call a method of both, and compare."""
        return self.of.compare("method", method, args, kwargs, self, rel, abs)

    def get(self, name: str) -> Any:
        """An attribute."""
        self.of.unchecked = True
        return self.of.ask("get", name, (), {}, self)

    def check_get(self, name: str, rel: float = 1e-6, abs: float = 1e-9) -> Any:
        """An attribute of both, compared."""
        return self.of.compare("get", name, (), {}, self, rel, abs)


def outcome(run: Callable[[], Any]) -> Any:
    """What the reference gives, as it would travel; a Raised where it raises."""
    try:
        return wire.neutral(wire.settled(run()))
    except (Unsendable, Wrong, WorkerFailure, MemoryError):  # no answers: time or memory has run out here
        raise
    except Exception as error:
        return raised(error)


def raised(error: BaseException) -> Raised:
    """An exception as the name that it goes by."""
    return Raised([kind.__name__ for kind in type(error).__mro__ if kind is not object], str(error), "")


def find(target: str) -> Any:
    """What `module:name.name` names. Never for a name that a submission gave: see `_rebuilt`."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def reference_copy(value: Any) -> Any:
    """An argument as the reference, or the learner's own code, gets it."""
    if isinstance(value, Fresh):
        return value.make()
    if isinstance(value, Name):
        return find(value.target)
    if isinstance(value, Made):
        return value.here if value.reference is None else value.reference
    if isinstance(value, Record):
        return _rebuilt(value)
    if type(value) in (list, tuple):
        return type(value)(map(reference_copy, value))
    if type(value) is dict:
        return {reference_copy(key): reference_copy(each) for key, each in value.items()}
    if callable(value) and not isinstance(value, type):
        return value  # a copy of `clock.now` would bring a clock of its own
    return copy.deepcopy(value)  # it may be changed in place, and is used twice


def _rebuilt(record: Record) -> Any:
    """Data of a step's own type. It was a submission that named it, so nothing but plain data is made."""
    kind: Any = None
    module, _, path = record.type.partition(":")
    if OURS.fullmatch(module) and PATH.fullmatch(path):
        try:
            kind = find(record.type)
        except (ImportError, AttributeError):
            kind = None
    if not isinstance(kind, type) or wire.name_of(kind) != record.type:
        raise Wrong(f"a {record.type[:100]} is nothing to go on with")
    fields = {name: reference_copy(each) for name, each in record.fields.items()}
    pydantic = sys.modules.get("pydantic")
    try:
        if issubclass(kind, enum.Enum):
            return kind[fields["name"]]
        if pydantic is not None and issubclass(kind, pydantic.BaseModel):
            return kind.model_validate(fields)
        if dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            return kind(**fields)
    except Exception as error:  # fields that this type doesn't have, or refuses
        raise Wrong(f"a {record.type[:100]} with other fields: {type(error).__name__}") from None
    raise Wrong(f"a {record.type[:100]} is nothing to go on with")


def called(what: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call something of this process with copies of the arguments."""
    return what(*map(reference_copy, args), **{name: reference_copy(each) for name, each in kwargs.items()})


def format_call(what: str, args: tuple[Any, ...], kwargs: dict[str, Any], made: Made | None = None) -> str:
    """A call as a reader would write it."""
    name = what.rpartition(":")[2]
    if made is not None:
        name = f"{made.type.rpartition(':')[2]}.{name}"
    words = [_word(each) for each in args] + [f"{key}={_word(each)}" for key, each in kwargs.items()]
    return f"{name}({', '.join(words)})"


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
