"""Which JSON schemas can be enforced, and the grammar of those that can.

    >>> check({"type": "array", "uniqueItems": True})
    UnsupportedSchema: uniqueItems at the root can't be enforced

llguidance turns a schema into a grammar and refuses most of what it can't enforce; `check` refuses the
rest, so that nothing is passed over in silence. guide.py follows the grammar, token by token.

A small model needs two narrowings, both of them within the schema: objects take no names that the schema
does not have (unless it says `additionalProperties`), and numbers stay within what every JSON reader holds
exactly. There is no white space but one after each comma and colon.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# Where schemas lie inside a schema, and which other keywords there are.
MAPS = ("properties", "patternProperties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = ("items", "additionalProperties")
ENFORCED = {"type", "enum", "const", "required", "minItems", "maxItems", "minProperties", "maxProperties"}
ENFORCED |= {"minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf", "$ref"}
ENFORCED |= {"exclusiveMinimum", "exclusiveMaximum"}
SAY_NOTHING = {
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
}
SAY_NOTHING |= {"$schema", "$id", "$anchor", "$comment", "discriminator", "$defs", "definitions"}
KNOWN = {*MAPS, *LISTS, *SINGLE, *ENFORCED, *SAY_NOTHING}

DEPTH = 100  # of schemas in each other
EXACT = 2**53  # integers up to here survive readers that hold numbers as doubles (RFC 8259, section 6)
OPTIONS: Any = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "coerce_one_of": False,
    "lenient": False,
}


class UnsupportedSchema(ValueError):
    """A schema, or the part of it that is named, can't be enforced."""


def check(schema: Any) -> None:
    """Whether all that the schema says will be enforced. Needs no model.

    Raises:
        UnsupportedSchema: no; names the part.
    """
    grammar_of(schema)


def grammar_of(schema: Any) -> str:
    """The schema as a grammar of llguidance.

    Raises:
        UnsupportedSchema: see `check`.
    """
    try:
        return _grammar(json.dumps(schema, allow_nan=False))
    except (TypeError, RecursionError):
        raise UnsupportedSchema("the schema is no JSON, or too deep") from None


def lark_of(schema: Any) -> str:
    """The same grammar in the notation that llama.cpp takes.

    Raises:
        UnsupportedSchema: see `check`.
    """
    check(schema)
    return f"%llguidance {{}}\nstart: %json {json.dumps({**narrowed(schema), 'x-guidance': OPTIONS})}"


@lru_cache(maxsize=64)
def _grammar(text: str) -> str:
    schema = json.loads(text)
    if not isinstance(schema, dict):
        raise UnsupportedSchema("the schema must be an object")
    for part, path in walk(schema):
        _check_part(part, path)
    from llguidance import LLMatcher

    grammar = LLMatcher.grammar_from_json_schema(json.dumps(narrowed(schema)), overrides=OPTIONS)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise UnsupportedSchema(" ".join(messages[0].split())[:300])
    return grammar


def walk(schema: dict[str, Any], path: str = "", depth: int = 0) -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema in a schema, itself first, each with its JSON pointer.

    Raises:
        UnsupportedSchema: something else lies where a schema must.
    """
    if depth > DEPTH:
        raise UnsupportedSchema(f"schemas lie in each other more than {DEPTH} deep")
    yield schema, path
    for each, place in _inner(schema, path):
        if isinstance(each, dict):
            yield from walk(each, place, depth + 1)
        elif not isinstance(each, bool):
            raise UnsupportedSchema(f"{place} must be a schema, not {json.dumps(each)[:50]}")


def _inner(schema: dict[str, Any], path: str) -> list[tuple[Any, str]]:
    found = [(schema[key], f"{path}/{key}") for key in SINGLE if key in schema]
    for key in LISTS:
        found += [(each, f"{path}/{key}/{i}") for i, each in enumerate(_as(list, schema, key, path))]
    for key in MAPS:
        for name, each in _as(dict, schema, key, path).items():
            found.append((each, f"{path}/{key}/{name.replace('~', '~0').replace('/', '~1')}"))
    return found


def _as(kind: type, schema: dict[str, Any], key: str, path: str) -> Any:
    value = schema.get(key, kind())
    if not isinstance(value, kind):
        raise UnsupportedSchema(f"{path}/{key} must be {'an object' if kind is dict else 'a list'}")
    return value


def _check_part(part: dict[str, Any], path: str) -> None:
    """Refuse what the library would pass over in silence."""
    where = f"at {path}" if path else "at the root"
    extensions = {
        key for key in part if key.startswith("x-") and key != "x-guidance"
    }  # those are its options
    if unknown := sorted(set(part) - KNOWN - extensions):
        raise UnsupportedSchema(f"{', '.join(unknown)} {where} can't be enforced")
    if "format" in part and part.get("type") not in ("string", ["string", "null"], ["null", "string"]):
        raise UnsupportedSchema(f"format {where} can only be enforced with type string")
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if isinstance(part.get(key, 0), bool) or not isinstance(part.get(key, 0), int | float):
            raise UnsupportedSchema(f"{key} {where} must be a number")
    least, required = part.get("minProperties", 0), _as(list, part, "required", path)
    if isinstance(least, int) and least > max(1, len(required)):
        # The grammar lets a free name come twice, which then counts as one.
        raise UnsupportedSchema(f"minProperties {where} can only be enforced up to the number of required")


def narrowed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for a small model to get lost in; all that fits it fits the original too.

    Where schemas are merged (allOf, or keywords beside $ref, anyOf, oneOf), one part's narrowing could
    forbid what another part asks for: a schema that has such a place stays as it is.
    """
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    if any(
        "allOf" in part or (set(part) & {"$ref", "anyOf", "oneOf"} and len(set(part) - SAY_NOTHING) > 1)
        for part, _ in walk(schema)
    ):
        return copy
    for part, _ in list(walk(copy)):
        if "enum" in part or "const" in part:
            continue
        names = set(part.get("properties", {}))
        if names and "patternProperties" not in part and names.issuperset(part.get("required", [])):
            part.setdefault("additionalProperties", False)
        if part.get("type") in ("integer", "number"):
            low, high = _bounds(part)
            if low is None and (high is None or high > -EXACT):
                part["minimum"] = -EXACT
            if high is None and (low is None or low < EXACT):
                part["maximum"] = EXACT
    return copy


def _bounds(part: dict[str, Any]) -> tuple[float | None, float | None]:
    return (
        part.get("minimum", part.get("exclusiveMinimum")),
        part.get("maximum", part.get("exclusiveMaximum")),
    )
