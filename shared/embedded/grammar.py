"""Turns a JSON schema into a grammar, or says why it can't be enforced.

    >>> grammar_of({"type": "array", "uniqueItems": True})
    UnsupportedSchema: Unimplemented keys: ["uniqueItems"]

llguidance makes the grammar and refuses what it can't enforce; guide.py follows the grammar token by token.
The only white space in the text is one space after each comma and colon.
"""

import json
from functools import lru_cache
from typing import Any

OPTIONS: Any = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "coerce_one_of": False,
    "lenient": False,
}


class UnsupportedSchema(ValueError):
    """The schema, or the part named in the message, can't be enforced."""


def grammar_of(schema: Any) -> str:
    """The schema as a grammar for llguidance.

    Raises:
        UnsupportedSchema: it is not a JSON schema, or part of it can't be enforced (the message says why).
    """
    try:
        return _grammar(json.dumps(schema, allow_nan=False))
    except (TypeError, RecursionError):
        raise UnsupportedSchema("the schema is not JSON, or too deep") from None


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
    if '"x-guidance"' in text:  # would override OPTIONS
        raise UnsupportedSchema("x-guidance is not for schemas from outside")
    grammar = LLMatcher.grammar_from_json_schema(text, overrides=OPTIONS)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise UnsupportedSchema(" ".join(messages[0].split())[:300])
    return grammar
