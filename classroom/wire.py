"""Values as JSON, there and back, between the grader and a process that nobody trusts.

    >>> pack((1, 2.5, {"a": None}))
    {'$': 'tuple', 'v': [1, 2.5, {'$': 'dict', 'v': [['a', None]]}]}
    >>> unpack(pack((1, 2.5, {"a": None})))
    (1, 2.5, {'a': None})

What comes back is data and nothing else: `unpack` builds only Python's own types, arrays, and `Record`s, which
are names with fields. Nothing is unpickled, imported or evaluated, so an object that claims to equal everything
arrives as what it is: a `Reference` to some object over there. Types are exact: a subclass of float is no
float. Arrays travel in numpy's own format, without its pickles.

Only the other side, which may trust the grader, rebuilds classes and functions by name: see worker.py.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import io
import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

MAX_DEPTH = 60  # lists in lists
MAX_BITS = 4096  # of a whole number
MAX_BYTES = 1 << 20  # of a reply

Keep = Callable[[Any], int]  # remembers an object that can't travel; its number


class Unsendable(Exception):
    """A value that can't travel, in words."""


@dataclasses.dataclass(frozen=True)
class Record:
    """An instance of a dataclass, a named tuple or a pydantic model, as a name and its fields."""

    type: str  # module:qualname, as the other side says
    fields: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('type')} has no field {name}") from None


@dataclasses.dataclass(frozen=True)
class Reference:
    """An object that stayed where it is, by its number."""

    id: int
    type: str


@dataclasses.dataclass(frozen=True)
class Name:
    """Something that the other side is to import: `step3_rag.chunk:word_spans`."""

    target: str


def name_of(kind: type) -> str:
    """`module:qualname` of a class."""
    return f"{kind.__module__}:{kind.__qualname__}"


def pack(value: Any, keep: Keep | None = None, depth: int = 0) -> Any:
    """A value as what JSON holds. What can't travel is kept by `keep`, and its number travels.

    Raises:
        Unsendable: nested too deep, a number too large, or an object without anybody to keep it.
    """
    if depth > MAX_DEPTH:
        raise Unsendable(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value.bit_length() > MAX_BITS:
            raise Unsendable(f"a whole number of {value.bit_length()} bits")
        return value if value.bit_length() < 64 else {"$": "int", "v": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": str(value)}
    if kind is complex:
        return {"$": "complex", "v": [pack(value.real), pack(value.imag)]}
    if kind is bytes:
        return {"$": "bytes", "v": base64.b64encode(value).decode()}
    if kind is list:
        return [pack(each, keep, depth + 1) for each in value]
    if kind is tuple:
        return {"$": "tuple", "v": [pack(each, keep, depth + 1) for each in value]}
    if kind is dict:
        pairs = [[pack(key, keep, depth + 1), pack(each, keep, depth + 1)] for key, each in value.items()]
        return {"$": "dict", "v": pairs}
    if kind in (set, frozenset):
        items = [pack(each, keep, depth + 1) for each in value]
        return {"$": kind.__name__, "v": sorted(items, key=lambda each: json.dumps(each))}
    if kind is Name:
        return {"$": "name", "v": value.target}
    if kind is Record:
        return {"$": "record", "type": value.type, "v": _fields(value.fields.items(), keep, depth)}
    if kind is Reference:
        return {"$": "object", "id": value.id, "type": value.type}
    if isinstance(value, enum.Enum):
        return {"$": "enum", "type": name_of(kind), "v": value.name}
    array = _packed_array(value)
    if array is not None:
        return array
    fields = _fields_of(value)
    if fields is not None:
        return {"$": "record", "type": name_of(kind), "v": _fields(fields, keep, depth)}
    if keep is None:
        raise Unsendable(f"an object of type {kind.__name__}")
    return {"$": "object", "id": keep(value), "type": name_of(kind)}


def _fields(fields: Any, keep: Keep | None, depth: int) -> dict[str, Any]:
    return {str(name): pack(each, keep, depth + 1) for name, each in fields}


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


def _packed_array(value: Any) -> dict[str, Any] | None:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and type(value) in (torch.Tensor, torch.nn.Parameter):
        plain = value.detach().cpu()
        name = str(plain.dtype).removeprefix("torch.")
        if plain.dtype == torch.bfloat16:
            plain = plain.float()  # numpy has no such type; the widening is exact
        return {"$": "tensor", "dtype": name, "npy": _npy(plain.numpy())}
    if numpy is not None and type(value) is numpy.ndarray:
        return {"$": "array", "npy": _npy(value)}
    if numpy is not None and isinstance(value, numpy.generic):
        return {"$": "scalar", "npy": _npy(numpy.asarray(value))}
    return None


def _npy(array: Any) -> str:
    import numpy as np

    if array.nbytes > MAX_BYTES:
        raise Unsendable(f"an array of {array.nbytes:,} bytes")
    file = io.BytesIO()
    try:
        np.save(file, array, allow_pickle=False)
    except ValueError:
        raise Unsendable("an array of objects") from None
    return base64.b64encode(file.getvalue()).decode()


def unpack(packed: Any) -> Any:
    """The value, in the grader's own types. Never imports, unpickles or evaluates.

    Raises:
        ValueError: this is nothing that `pack` makes.
    """
    if isinstance(packed, list):
        return [unpack(each) for each in packed]
    if not isinstance(packed, dict):
        return packed
    try:
        return _unpack(packed)
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"not a value: {type(error).__name__}") from None


def _unpack(packed: dict[str, Any]) -> Any:
    kind = packed["$"]
    if kind == "tuple":
        return tuple(unpack(each) for each in packed["v"])
    if kind == "dict":
        return {unpack(key): unpack(each) for key, each in packed["v"]}
    if kind in ("set", "frozenset"):
        return {"set": set, "frozenset": frozenset}[kind](unpack(each) for each in packed["v"])
    if kind == "int":
        return int(packed["v"][: MAX_BITS // 4 + 3], 16)
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[packed["v"]]
    if kind == "complex":
        real, imag = (unpack(each) for each in packed["v"])
        return complex(real, imag)
    if kind == "bytes":
        return base64.b64decode(packed["v"], validate=True)
    if kind == "record":
        return Record(str(packed["type"]), {name: unpack(each) for name, each in packed["v"].items()})
    if kind == "enum":
        return Record(str(packed["type"]), {"name": str(packed["v"])})
    if kind == "object":
        return Reference(int(packed["id"]), str(packed["type"]))
    if kind == "name":
        return Name(str(packed["v"]))
    if kind in ("array", "scalar", "tensor"):
        return _unpacked_array(packed)
    raise ValueError(f"unknown kind {kind!r}")


def _unpacked_array(packed: dict[str, Any]) -> Any:
    import numpy as np

    data = base64.b64decode(packed["npy"], validate=True)
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not the format that this was asked in")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=2_000)
    if math.prod(shape) * dtype.itemsize > len(data):  # before room is made for what a header claims
        raise ValueError("an array that is larger than its data")
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False, max_header_size=2_000)
    if packed["$"] == "array":
        return array
    if packed["$"] == "scalar":
        return array[()]
    import torch

    dtype = getattr(torch, packed["dtype"])
    if not isinstance(dtype, torch.dtype):
        raise ValueError("no such type of number")
    return torch.from_numpy(array).to(dtype)


def neutral(value: Any) -> Any:
    """A value as it would arrive after a journey: what the grader's own results are compared as."""
    return unpack(pack(value, keep=lambda _: 0))


def to_line(message: dict[str, Any]) -> bytes:
    """A message as one line of JSON.

    Raises:
        Unsendable: it is longer than a reply may be.
    """
    line = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > 4 * MAX_BYTES:
        raise Unsendable(f"{len(line):,} bytes")
    return line


def from_line(line: bytes) -> dict[str, Any]:
    """The message of a line.

    Raises:
        ValueError: it holds none.
    """
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message
