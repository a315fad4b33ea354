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
from typing import Any

from classroom.protocol.wire import Record, Reference

SHOWN = 200  # characters of a value
Difference = tuple[str, str, str]  # where, what came, and the same with what was expected


def difference(
    got: Any, expected: Any, rel: float = 1e-6, abs: float = 1e-9, tell: bool = True, where: str = ""
) -> str | None:
    """The first difference as text, or None. Floats may be off by `rel` or `abs`.

    Without `tell`, the text says nothing of what was expected. `where`: a name for the values.
    """
    for place, came, told in _differences(got, expected, where, rel, abs):
        return (f"at {place}: " if place else "") + (told if tell else came)
    return None


def _differences(got: Any, expected: Any, where: str, rel: float, abs: float) -> Iterator[Difference]:
    if type(got) is not type(expected):
        yield _instead(where, _kind(got), _kind(expected))
    elif isinstance(expected, float):
        both_nan = math.isnan(got) and math.isnan(expected)
        if not both_nan and not math.isclose(got, expected, rel_tol=rel, abs_tol=abs):
            yield _instead(where, short(got), short(expected))
    elif isinstance(expected, (list, tuple)):
        if len(got) != len(expected):
            yield _instead(where, f"{len(got)} items", f"{len(expected)}")
        for i, (a, b) in enumerate(zip(got, expected, strict=False)):
            yield from _differences(a, b, f"{where}[{i}]", rel, abs)
    elif isinstance(expected, dict):
        yield from _of_dicts(got, expected, where, rel, abs)
    elif isinstance(expected, Reference):
        raise TypeError(f"objects can't be compared ({expected.type}): make it, and check what it does")
    elif isinstance(expected, Record):
        if got.type != expected.type:
            yield _instead(where, f"a {got.type}", f"a {expected.type}")
        yield from _of_dicts(got.fields, expected.fields, where, rel, abs)
    elif hasattr(expected, "shape"):
        yield from _of_arrays(got, expected, where, rel, abs)
    elif _exact(got) != _exact(expected):
        yield _instead(where, short(got), short(expected))


def _instead(where: str, came: str, expected: str) -> Difference:
    return where, came, f"{came} instead of {expected}"


def _of_dicts(
    got: dict[Any, Any], expected: dict[Any, Any], where: str, rel: float, abs: float
) -> Iterator[Difference]:
    keys, wanted = {_exact(key) for key in got}, {_exact(key) for key in expected}
    for key in expected:
        if _exact(key) not in keys:
            yield where, "a key is missing", f"{short(key)} is missing"
    for key in got:
        if _exact(key) not in wanted:
            yield where, f"{short(key)} is too much", f"{short(key)} is too much"
    for key in expected:
        yield from _differences(got[key], expected[key], f"{where}[{key!r}]", rel, abs)


def _of_arrays(got: Any, expected: Any, where: str, rel: float, abs: float) -> Iterator[Difference]:
    import numpy as np

    if tuple(got.shape) != tuple(expected.shape):
        yield _instead(where, f"shape {tuple(got.shape)}", f"{tuple(expected.shape)}")
    elif got.dtype != expected.dtype:
        yield _instead(where, str(got.dtype), str(expected.dtype))
    else:
        if type(expected).__module__.startswith("torch"):
            got, expected = (each.to(_wide(each.dtype)).numpy() for each in (got, expected))
        if expected.dtype.kind in "fc":
            differ = ~np.isclose(got, expected, rtol=rel, atol=abs, equal_nan=True)
        else:
            differ = np.asarray(got != expected)
        for place in map(tuple, np.argwhere(differ)[:1]):
            inside = f"; first at {[*map(int, place)]}" if place else ""
            came = f"{int(differ.sum())} of {differ.size} differ{inside}: {_number(got[place])}"
            yield _instead(where, came, _number(expected[place]))


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
