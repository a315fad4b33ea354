"""Compares a result with the expected one: exact in types, near in floats; a difference is a text.

    >>> difference(2.0000001, 2.0)
    >>> difference(2, 2.0)
    'int instead of float'
    >>> difference([1, {"a": 3}], [1, {"a": 4}])
    "at [1]['a']: 3 instead of 4"
    >>> difference([1, {"a": 3}], [1, {"a": 4}], tell=False)
    "at [1]['a']: 3"

Both sides have the grader's own types (see wire.py), so no method of a submission is ever called.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from classroom.protocol.wire import Record, Reference

SHOWN = 200  # characters of a value


def difference(
    got: Any, expected: Any, rel: float = 1e-6, abs: float = 1e-9, tell: bool = True
) -> str | None:
    """The first difference as text, or None. Floats may be off by `rel` or `abs`.

    Without `tell`, the text says nothing of what was expected.
    """
    return _Comparing(rel, abs, tell).first(got, expected, "")


@dataclass(frozen=True)
class _Comparing:
    rel: float
    abs: float
    tell: bool

    def first(self, got: Any, expected: Any, where: str) -> str | None:
        """The first difference of two values, whose path is `where`."""
        if type(got) is not type(expected):
            return self._text(where, _kind(got), _kind(expected))
        if isinstance(expected, float):
            return None if self._near(got, expected) else self._text(where, short(got), short(expected))
        if isinstance(expected, (list, tuple)):
            if len(got) != len(expected):
                return self._text(where, f"{len(got)} items", f"{len(expected)}")
            pairs = enumerate(zip(got, expected, strict=True))
            return _first(self.first(a, b, f"{where}[{i}]") for i, (a, b) in pairs)
        if isinstance(expected, dict):
            return self._of_dicts(got, expected, where)
        if isinstance(expected, Reference):
            raise TypeError(f"objects can't be compared ({expected.type}): make it, and check what it does")
        if isinstance(expected, Record) and got.type != expected.type:
            return self._text(where, f"a {got.type}", f"a {expected.type}")
        if isinstance(expected, Record):
            return self._of_dicts(got.fields, expected.fields, where)
        if hasattr(expected, "shape"):
            return self._of_arrays(got, expected, where)
        return None if _exact(got) == _exact(expected) else self._text(where, short(got), short(expected))

    def _near(self, got: float, expected: float) -> bool:
        if math.isnan(got) and math.isnan(expected):
            return True
        return math.isclose(got, expected, rel_tol=self.rel, abs_tol=self.abs)

    def _text(self, where: str, got: str, expected: str) -> str:
        return (f"at {where}: " if where else "") + got + (f" instead of {expected}" if self.tell else "")

    def _of_dicts(self, got: dict[Any, Any], expected: dict[Any, Any], where: str) -> str | None:
        keys, wanted = {_exact(key) for key in got}, {_exact(key) for key in expected}
        more = [key for key in got if _exact(key) not in wanted]
        missing = [key for key in expected if _exact(key) not in keys]
        at = f"at {where}: " if where else ""
        if missing and not self.tell:
            return f"{at}{'something' if more else 'a key'} is missing"
        if missing:
            return f"{at}{short(missing[0])} is missing"
        if more:
            return f"{at}{short(more[0])} is too much"
        return _first(self.first(got[key], expected[key], f"{where}[{key!r}]") for key in expected)

    def _of_arrays(self, got: Any, expected: Any, where: str) -> str | None:
        import numpy as np

        if tuple(got.shape) != tuple(expected.shape):
            return self._text(where, f"shape {tuple(got.shape)}", f"{tuple(expected.shape)}")
        if got.dtype != expected.dtype:
            return self._text(where, str(got.dtype), str(expected.dtype))
        if type(expected).__module__.startswith("torch"):
            got, expected = (each.to(_wide(each.dtype)).numpy() for each in (got, expected))
        if expected.dtype.kind in "fc":
            near = np.isclose(got, expected, rtol=self.rel, atol=self.abs, equal_nan=True)
        else:
            near = np.asarray(got == expected)
        if near.all():
            return None
        place = tuple(int(i) for i in np.argwhere(~near)[0])
        at = f"at {where}: " if where else ""
        inside = f"; first at {list(place)}" if place else ""
        differ = f"{at}{int((~near).sum())} of {near.size} differ{inside}: {_number(got[place])}"
        return self._text("", differ, _number(expected[place]))


def _wide(dtype: Any) -> Any:
    """A type of numpy that can hold all values of this one."""
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def _exact(value: Any) -> Any:
    """A value that equals another only where their types do: 1, 1.0 and True are the same to Python."""
    if isinstance(value, tuple):
        return (tuple, *map(_exact, value))
    if isinstance(value, (set, frozenset)):
        return (type(value), frozenset(map(_exact, value)))
    return (type(value), value)


def _first(found: Iterator[str | None]) -> str | None:
    return next((each for each in found if each is not None), None)


def _number(value: Any) -> str:
    return f"{value:.6g}" if value.dtype.kind in "fc" else short(value.item())


def _kind(value: Any) -> str:
    if isinstance(value, (Record, Reference)):
        return f"a {value.type}"
    if hasattr(value, "dtype"):
        return f"a {type(value).__module__.split('.')[0]} {value.dtype} {'array' if value.ndim else 'number'}"
    return "None" if value is None else type(value).__name__


def short(value: Any, limit: int = SHOWN) -> str:
    """A value on one short line. It calls repr, so only for the grader's own types."""
    text = " ".join(repr(value)[: 4 * limit].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
