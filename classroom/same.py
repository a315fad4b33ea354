"""Is what came what was expected? Exact in types, near in floats, and in words where it is not.

    >>> difference(2.0000001, 2.0)
    >>> difference(2, 2.0)
    'int instead of float'
    >>> difference([1, {"a": 3}], [1, {"a": 4}])
    "at [1]['a']: 3 instead of 4"

Both sides are the grader's own types (see wire.py), so no method of a submission is ever called.
"""

from __future__ import annotations

import math
from typing import Any

from classroom.wire import Record, Reference

SHOWN = 200  # characters of a value


def difference(got: Any, expected: Any, rel: float = 1e-6, abs: float = 1e-9, where: str = "") -> str | None:
    """The first difference in words, None where there is none. Floats may be off by `rel` or `abs`."""
    at = f"at {where}: " if where else ""
    if type(got) is not type(expected):
        return f"{at}{_kind(got)} instead of {_kind(expected)}"
    if isinstance(expected, float):
        near = math.isclose(got, expected, rel_tol=rel, abs_tol=abs) or (got != got and expected != expected)
        return None if near else f"{at}{short(got)} instead of {short(expected)}"
    if isinstance(expected, (list, tuple)):
        if len(got) != len(expected):
            return f"{at}{len(got)} items instead of {len(expected)}"
        pairs = enumerate(zip(got, expected, strict=True))
        return _first(difference(a, b, rel, abs, f"{where}[{i}]") for i, (a, b) in pairs)
    if isinstance(expected, dict):
        return _of_dicts(got, expected, rel, abs, where)
    if isinstance(expected, Record):
        if got.type != expected.type:
            return f"{at}a {got.type} instead of a {expected.type}"
        return _of_dicts(got.fields, expected.fields, rel, abs, where)
    if isinstance(expected, Reference):
        return None if got.type == expected.type else f"{at}a {got.type} instead of a {expected.type}"
    if hasattr(expected, "shape"):
        return _of_arrays(got, expected, rel, abs, at)
    return None if got == expected else f"{at}{short(got)} instead of {short(expected)}"


def _of_dicts(
    got: dict[Any, Any], expected: dict[Any, Any], rel: float, abs: float, where: str
) -> str | None:
    at = f"at {where}: " if where else ""
    kinds = {key: type(key) for key in got}  # 1, 1.0 and True are the same key to a dict, and not to us
    missing = [key for key in expected if kinds.get(key) is not type(key)]
    if missing:
        return f"{at}{short(missing[0])} is missing"
    more = [key for key in got if key not in expected]
    if more:
        return f"{at}{short(more[0])} is too much"
    return _first(difference(got[key], expected[key], rel, abs, f"{where}[{key!r}]") for key in expected)


def _of_arrays(got: Any, expected: Any, rel: float, abs: float, at: str) -> str | None:
    import numpy as np

    if tuple(got.shape) != tuple(expected.shape):
        return f"{at}shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    if got.dtype != expected.dtype:
        return f"{at}{got.dtype} instead of {expected.dtype}"
    if type(expected).__module__.startswith("torch"):
        got, expected = got.double().numpy(), expected.double().numpy()
    if expected.dtype.kind in "fc":
        near = np.isclose(got, expected, rtol=rel, atol=abs, equal_nan=True)
    else:
        near = np.asarray(got == expected)
    if near.all():
        return None
    first = tuple(int(i) for i in np.argwhere(~near)[0])
    place = f" at {list(first)}" if first else ""
    n = int((~near).sum())
    return f"{at}{n} of {near.size} numbers differ; first{place}: {got[first]:.6g} instead of {expected[first]:.6g}"


def _first(found: Any) -> str | None:
    return next((each for each in found if each is not None), None)


def _kind(value: Any) -> str:
    if isinstance(value, (Record, Reference)):
        return f"a {value.type}"
    if hasattr(value, "dtype"):
        return f"a {type(value).__module__.split('.')[0]} {value.dtype} {'array' if value.ndim else 'number'}"
    return "None" if value is None else type(value).__name__


def short(value: Any, limit: int = SHOWN) -> str:
    """A value on one line of bearable length. Only of the grader's own types: calls repr."""
    if isinstance(value, Record):
        fields = ", ".join(f"{name}={short(each, 60)}" for name, each in value.fields.items())
        text = f"{value.type.rpartition(':')[2]}({fields})"
    elif isinstance(value, Reference):
        text = f"<{value.type}>"
    else:
        text = " ".join(repr(value)[: 4 * limit].split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
