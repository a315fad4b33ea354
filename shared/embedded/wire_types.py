"""Holds a JSON value against one of the SDK's own types; the first mismatch is a `Wrong`.

    >>> check_type(anthropic.types.TextBlockParam, {"type": "text"}, "system.0")
    Wrong: system.0.text: Field required

It knows types only; the rules of the Messages API are in wire.py and wire_messages.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from typing_extensions import is_typeddict


class Wrong(Exception):
    """Where a value is wrong, and what about it; `str` gives the line."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}" if where else what)


def check_list(value: Any, where: str) -> None:
    """JSON knows lists only; the SDK's types would take any iterable."""
    if not isinstance(value, list):
        raise Wrong(where, "Input should be a list")


@cache
def by_type(union: Any) -> dict[str, Any]:
    """The members of a union of the SDK's types, by what their `type` field says: "text", "tool_use" ..."""
    found = {}
    for member in get_args(union):
        for literal in get_args(
            get_type_hints(member)["type"]
        ):  # of Literal["text"], or of Optional[Literal["custom"]]
            found |= {name: member for name in get_args(literal) or [literal] if isinstance(name, str)}
    return found


def kind_of(value: Any, union: Any, where: str, allowed: Collection[str] = ()) -> str:
    """What the `type` field of a JSON object says.

    Raises:
        Wrong: there is none, or it is no member of the union, or not among those allowed.
    """
    if not isinstance(value, dict):
        raise Wrong(where, "Input should be an object")
    if "type" not in value:
        raise Wrong(f"{where}.type", "Field required")
    kind, known = value["type"], allowed or by_type(union)
    if not isinstance(kind, str) or kind not in known:
        expected = ", ".join(repr(each) for each in known)
        raise Wrong(where, f"Input tag {kind!r} found using 'type' does not match any of: {expected}")
    return kind


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check_type(kind: Any, value: Any, where: str) -> None:
    """Hold a value against one of the SDK's types, strictly; an unknown field is an error, too.

    Raises:
        Wrong: with the path of fields to the first mismatch.
    """
    try:
        _exhaust(_adapter(kind).validate_python(value, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Pydantic puts the names of the types that it tried in the path; the API shows fields only.
        path = [str(each) for each in first["loc"] if isinstance(each, int) or _is_field(each)]
        raise Wrong(".".join([where, *path]), first["msg"]) from None
    known = get_type_hints(kind) if is_typeddict(kind) else None
    extra = next((name for name in value if name not in known), None) if known else None
    if extra is not None:
        raise Wrong(f"{where}.{extra}", "Extra inputs are not permitted")


def _is_field(part: str) -> bool:
    builtin = ("str", "int", "bool", "float", "list", "dict", "nullable", "generator")
    return re.fullmatch("[a-z][a-z0-9_]*", part) is not None and part not in builtin


def _exhaust(value: Any) -> None:
    """Pydantic checks an Iterable only when it is read: read them all, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, Iterable) and not isinstance(value, str):
        for each in value:
            _exhaust(each)
