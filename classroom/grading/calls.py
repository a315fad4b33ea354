"""A call of the reference, how a call can end, how it is told: what submission.py and remote.py share.

Arguments are made twice, for the submission and for the reference, so that neither sees what the other
changed. An argument may hold what a submission gave before. Its types are names that a submission chose: only
those of the steps' own data are rebuilt, and nothing else is looked up.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import enum
import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from classroom.grading import callbacks
from classroom.grading.callbacks import Interrupted, WorkerFailure
from classroom.grading.compare import short
from classroom.grading.made import Made, Request
from classroom.protocol import objects, wire
from classroom.protocol.wire import Record, Unsendable

OURS = re.compile(r"(step\d+_\w+|shared|classroom\.drivers)(\.\w+)*")
RAISED = (Exception, Interrupted, asyncio.CancelledError)  # what code may raise, and be asked for
PATH = re.compile(r"(?!__)\w+(\.(?!__)\w+)*")


class Raised(Exception):
    """The submission raised something; `kinds` are the names of its classes, the nearest first."""

    def __init__(self, kinds: list[str], text: str, place: str) -> None:
        super().__init__(f"{kinds[0]}: {text}" if text else kinds[0])
        self.kinds, self.text, self.place = kinds, text, place

    @property
    def not_attempted(self) -> bool:
        return "NotImplementedError" in self.kinds and self.text.startswith("exercise ")


class Wrong(AssertionError):
    """What came is not what was expected."""


@dataclass(frozen=True)
class Fresh:
    """An argument that is made again for the submission and for the reference: a script that is used up."""

    make: Callable[[], Any]


@dataclass
class CallRecord:
    """One call for the feedback: what was called, with what, what came, what was expected."""

    call: str
    got: str
    expected: str | None = None
    verdict: str = "ok"  # or the difference, or what went wrong


def outcome(run: Callable[[], Any]) -> Any:
    """What the reference gives, as it would travel; a Raised where it raises."""
    try:
        return wire.neutral(run())
    except (Unsendable, Wrong, WorkerFailure, MemoryError):  # no answers: time or memory has run out here
        raise
    except RAISED as error:
        return raised(error)


def raised(error: BaseException) -> Raised:
    """An exception as the name that it goes by."""
    kinds = (KeyboardInterrupt if isinstance(error, Interrupted) else type(error)).__mro__
    return Raised([kind.__name__ for kind in kinds if kind is not object], str(error), "")


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
    if isinstance(value, Made):
        return value.here if value.reference is None else value.reference
    if isinstance(value, Record):
        return _rebuilt(value)
    if type(value) in (list, tuple):
        return type(value)(map(reference_copy, value))
    if type(value) is dict:
        return {reference_copy(key): reference_copy(each) for key, each in value.items()}
    if callable(value) and not isinstance(value, type):
        return callbacks.here(value)  # no copy: that of `clock.now` would bring a clock of its own
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


def perform(request: Request, value: Any) -> Any:
    """Do what is asked for in this process, with twins of the arguments; `value` is the object, if any."""
    if request.do == "step":
        return objects.step(value, *request.args)
    found = find(request.what) if request.made is None else objects.reach(value, request.what)
    if request.do in ("get", "part"):
        return found
    kwargs = {name: reference_copy(each) for name, each in request.kwargs.items()}
    return found(*map(reference_copy, request.args), **kwargs)


def on_reference(request: Request) -> Any:
    """What the reference makes of it."""
    return perform(request, request.made and request.made.reference)


def format_call(request: Request) -> str:
    """A call as a reader would write it."""
    name = request.what.rpartition(":")[2]
    if request.made is not None:
        name = f"{request.made.type.rpartition(':')[2]}.{name}"
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
