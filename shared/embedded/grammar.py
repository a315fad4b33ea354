"""Which JSON schemas can be enforced, and the grammar of those that can.

    >>> check({"type": "array", "uniqueItems": True})
    UnsupportedSchema: Unimplemented keys: ["uniqueItems"]

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

# Where schemas lie inside a schema, and what says nothing about a value.
MAPS = ("properties", "patternProperties", "$defs", "definitions")
LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = ("items", "additionalProperties")
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
        UnsupportedSchema: no; says why.
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
        raise UnsupportedSchema("the schema is not JSON, or too deep") from None


def lark_of(schema: Any) -> str:
    """The same grammar in the notation that llama.cpp takes.

    Raises:
        UnsupportedSchema: see `check`.
    """
    check(schema)
    return f"%llguidance {{}}\nstart: %json {json.dumps({**narrowed(schema), 'x-guidance': OPTIONS})}"


@lru_cache(maxsize=64)
def _grammar(text: str) -> str:
    import jsonschema
    from llguidance import LLMatcher

    schema = json.loads(text)
    if not isinstance(schema, dict):
        raise UnsupportedSchema("the schema must be an object")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UnsupportedSchema(f"{error.json_path}: {error.message[:300]}") from None
    for part in parts(schema):  # what the library would pass over in silence
        if "x-guidance" in part:
            raise UnsupportedSchema("x-guidance is not for schemas from outside")
        if "format" in part and part.get("type") not in ("string", ["string", "null"], ["null", "string"]):
            raise UnsupportedSchema("format can only be enforced with type string")
        if part.get("minProperties", 0) > max(1, len(part.get("required", ()))):
            # The grammar lets a free name come twice, which then counts as one.
            raise UnsupportedSchema("minProperties can only be enforced up to the number of required")
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(narrowed(schema)), overrides=OPTIONS)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise UnsupportedSchema(" ".join(messages[0].split())[:300])
    return grammar


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a valid schema, itself first; not those that are only true or false."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner = [schema[key] for key in SINGLE if key in schema]
    inner += [each for key in LISTS for each in schema.get(key, ())]
    inner += [each for key in MAPS for each in schema.get(key, {}).values()]
    for each in inner:
        yield from parts(each)


def narrowed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without room for a small model to get lost in; all that fits it fits the original too.

    Where schemas are merged (allOf, or keywords beside $ref, anyOf, oneOf), one part's narrowing could
    forbid what another part asks for: a schema that has such a place stays as it is.
    """
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    if any(
        "allOf" in part or (set(part) & {"$ref", "anyOf", "oneOf"} and len(set(part) - SAY_NOTHING) > 1)
        for part in parts(schema)
    ):
        return copy
    for part in list(parts(copy)):
        if "enum" in part or "const" in part:
            continue
        names = set(part.get("properties", {}))
        if names and "patternProperties" not in part and names.issuperset(part.get("required", [])):
            part.setdefault("additionalProperties", False)
        if part.get("type") in ("integer", "number"):
            low = part.get("minimum", part.get("exclusiveMinimum"))
            high = part.get("maximum", part.get("exclusiveMaximum"))
            if low is None and (high is None or high > -EXACT):
                part["minimum"] = -EXACT
            if high is None and (low is None or low < EXACT):
                part["maximum"] = EXACT
    return copy
