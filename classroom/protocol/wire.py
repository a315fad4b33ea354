"""Values as JSON, there and back, between the grader and a process that is not trusted.

    >>> encode((1, 2.5, {"a": None}))
    {'$': 'tuple', 'v': [1, 2.5, {'$': 'dict', 'v': [['a', None]]}]}
    >>> decode(encode((1, 2.5, {"a": None})))
    (1, 2.5, {'a': None})

What comes back is data and nothing else: `decode` builds only Python's own types, arrays, and `Record`s,
which are names with fields. Nothing is unpickled, imported or evaluated, so an object that claims to equal
everything arrives as a `Reference`: the number of an object in the other process. Types are exact: a subclass
of float is not a float; only the dicts of `collections` count as dicts. For arrays see arrays.py.

Only the other side, which may trust the grader, rebuilds classes by name: see worker.py.
"""

import base64
import collections
import dataclasses
import enum
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

from classroom.protocol import arrays
from classroom.protocol.arrays import MAX_BYTES, Unsendable

MAX_DEPTH = 60  # lists in lists
MAX_BITS = 4096  # of a whole number
MAX_LINE = 2 * MAX_BYTES  # of a message
DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)

Keep = Callable[[Any], int]  # keeps an object that can't travel, and returns its number


@dataclasses.dataclass(frozen=True, repr=False)
class Record:
    """An instance of a dataclass, a named tuple or a pydantic model, as a name and its fields."""

    type: str  # module:qualname, as the other side claims
    fields: dict[str, Any]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={each!r}" for name, each in self.fields.items())
        return f"{self.type.rpartition(':')[2]}({fields})"

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__.get("fields", {})
        if name.startswith("__") or name not in fields:  # numpy, copy and others call methods of such names
            raise AttributeError(f"{self.__dict__.get('type')} has no field {name}")
        return fields[name]


@dataclasses.dataclass(frozen=True, repr=False)
class Reference:
    """An object that stayed in the other process, by its number."""

    id: int
    type: str

    def __repr__(self) -> str:
        return f"<{self.type}>"


def name_of(kind: type) -> str:
    """`module:qualname` of a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def find(target: str) -> Any:
    """The object that `module:name.name` names. Never call it with a name that a submission gave."""
    module, _, path = target.partition(":")
    return attrgetter(path)(importlib.import_module(module))


def rebuilt(kind: Any, fields: dict[str, Any]) -> Any:
    """A member of an enum, or an instance of a dataclass, a named tuple or a pydantic model."""
    if hasattr(kind, "__members__"):
        return kind[fields["name"]]
    return kind.model_validate(fields) if hasattr(kind, "model_validate") else kind(**fields)


def reach(value: Any, path: str) -> Any:
    """The value at a path of attributes, such as `c.ms`."""
    return attrgetter(path)(value)


def encode(value: Any, keep: Keep | None = None, depth: int = 0) -> Any:
    """A value as JSON values. An object that can't travel is passed to `keep`, and its number travels.

    Raises:
        Unsendable: nested too deep, a number too large, or an object without a `keep`.
    """
    if depth > MAX_DEPTH:
        raise Unsendable(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value.bit_length() > MAX_BITS:
            raise Unsendable(f"a whole number of {value.bit_length()} bits")
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": str(value)}
    if kind is bytes:
        return {"$": "bytes", "v": base64.b64encode(value).decode()}
    if kind is list:
        return [encode(each, keep, depth + 1) for each in value]
    if kind is tuple:
        return {"$": "tuple", "v": [encode(each, keep, depth + 1) for each in value]}
    if kind in DICTS:
        pairs = [[encode(key, keep, depth + 1), encode(each, keep, depth + 1)] for key, each in value.items()]
        return {"$": "dict", "v": pairs}
    if kind in (set, frozenset):
        items = [encode(each, keep, depth + 1) for each in value]
        return {"$": kind.__name__, "v": sorted(items, key=lambda each: json.dumps(each))}
    if kind is Record:
        return {"$": "record", "type": value.type, "v": _fields(value.fields.items(), keep, depth)}
    if kind is Reference:
        return {"$": "object", "id": value.id, "type": value.type}
    if isinstance(value, enum.Enum):
        return {"$": "record", "type": name_of(kind), "v": {"name": value.name}}
    array = arrays.encode(value)
    if array is not None:
        return array
    fields = _fields_of(value)
    if fields is not None:
        return {"$": "record", "type": name_of(kind), "v": _fields(fields, keep, depth)}
    if keep is None:
        raise Unsendable(f"an object of type {kind.__name__}")
    return {"$": "object", "id": keep(value), "type": name_of(kind)}


def _fields(fields: Any, keep: Keep | None, depth: int) -> dict[str, Any]:
    return {str(name): encode(each, keep, depth + 1) for name, each in fields}


def _fields_of(value: Any) -> Iterator[tuple[str, Any]] | None:
    """Fields of a dataclass, a named tuple or a pydantic model; None for anything else."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value) if each.init)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ((name, getattr(value, name)) for name in value._fields)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return iter(value.__dict__.items())
    return None


def decode(encoded: Any) -> Any:
    """The value, in the grader's own types. Never imports, unpickles or evaluates.

    Raises:
        ValueError: `encode` makes no such thing.
    """
    try:
        return build(encoded, _as_data)
    except Exception as error:  # hostile data can make numpy and Python raise anything
        raise ValueError(f"not a value: {type(error).__name__}") from None


def _as_data(encoded: dict[str, Any]) -> Record | Reference:
    if encoded["$"] == "record":
        return Record(str(encoded["type"]), encoded["v"])
    if encoded["$"] == "object":
        return Reference(int(encoded["id"]), str(encoded["type"]))
    raise ValueError(f"unknown kind {encoded['$']!r}")


def build(encoded: Any, other: Callable[[dict[str, Any]], Any], depth: int = 0) -> Any:
    """The value; `other` makes what is not plain data, such as records, whose fields are built before."""
    if depth > MAX_DEPTH + 1:
        raise ValueError("nested too deep")
    if isinstance(encoded, list):
        return [build(each, other, depth + 1) for each in encoded]
    if type(encoded) is int and encoded.bit_length() > MAX_BITS:
        raise ValueError("a number too large")
    if not isinstance(encoded, dict):
        return encoded
    kind = encoded["$"]
    if kind == "dict":
        keys = _without_collisions([build(key, other, depth + 1) for key, _ in encoded["v"]])
        return dict(zip(keys, (build(each, other, depth + 1) for _, each in encoded["v"]), strict=True))
    if kind == "tuple":
        return tuple(build(each, other, depth + 1) for each in encoded["v"])
    if kind in ("set", "frozenset"):
        items = _without_collisions([build(each, other, depth + 1) for each in encoded["v"]])
        return set(items) if kind == "set" else frozenset(items)
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[encoded["v"]]
    if kind == "bytes":
        return base64.b64decode(encoded["v"], validate=True)
    if kind in ("array", "scalar", "tensor"):
        return arrays.decode(encoded)
    if kind == "record":
        fields = {name: build(each, other, depth + 1) for name, each in encoded["v"].items()}
        return other({**encoded, "v": fields})
    return other(encoded)


def _without_collisions(keys: list[Any]) -> list[Any]:
    """The keys, unless they were chosen to collide: a dict of 50,000 such keys takes a minute to build."""
    if len(keys) > 100 and len({hash(key) for key in keys}) < 0.9 * len(keys):
        raise ValueError("keys that collide")
    return keys


def neutral(value: Any) -> Any:
    """A value as it would arrive from a worker: the form in which the grader's own results are compared."""
    return decode(encode(value, keep=lambda _: 0))


def to_line(message: dict[str, Any]) -> bytes:
    """A message as one line of JSON.

    Raises:
        Unsendable: it is too long.
    """
    line = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise Unsendable(f"{len(line):,} bytes, where {MAX_LINE:,} are allowed")
    return line


def from_line(line: bytes) -> dict[str, Any]:
    """The message of a line.

    Raises:
        ValueError: the line holds none.
    """
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message
