"""Makes arguments fit their schema: what doesn't fit goes, and what must be there is made up, visibly empty.

    >>> completed({"amount": 5}, {"properties": {"city": {"type": "string"}}, "required": ["city"]})
    {'amount': 5, 'city': ''}

Made up where a call is forced (`tool_choice` any or tool) or clearly meant;
the tool can then say what is wrong.
"""

from __future__ import annotations

from typing import Any

from shared.embedded.slots import kind_of


def fitting(arguments: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are valid by the schema (JSON Schema 2020-12)."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema)
    wrong = {error.absolute_path[0] for error in validator.iter_errors(arguments) if error.absolute_path}
    return {name: value for name, value in arguments.items() if name not in wrong}


def completed(arguments: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """With the least that the schema takes for each required argument that is missing."""
    fields = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in arguments]
    return arguments | {name: _least(fields.get(name, {})) for name in missing}


def _least(field: dict[str, Any]) -> Any:
    for given in ("const", "default"):
        if given in field:
            return field[given]
    if field.get("enum"):
        return field["enum"][0]
    kind = kind_of(field)
    if kind == "object":
        return completed({}, field)
    if kind == "array":
        return [_least(field.get("items") or {})] * field.get("minItems", 0)
    if kind in ("integer", "number"):
        return max(0, field.get("minimum", 0), field.get("exclusiveMinimum", -1) + 1)
    return {"boolean": False, "null": None}.get(kind, " " * field.get("minLength", 0))
