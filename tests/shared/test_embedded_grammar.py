"""Schemas are enforced whole or refused: what the random model writes under them must pass jsonschema."""

import json

import jsonschema
import pytest
import torch

from shared.config import load_settings
from shared.embedded.grammar import UnsupportedSchema, grammar_of
from shared.embedded.guide import is_repeating
from shared.embedded.on_transformers import TransformersEngine

TEXT, NUMBER = {"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1000}
WHOLE = {"type": "integer", "minimum": -1000, "maximum": 1000}


def thing(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def listed(items, **more):
    return {"type": "array", "items": items, **more}


TREE = thing(value=WHOLE, children=listed({"$ref": "#/$defs/tree"}, maxItems=2))
SUPPORTED = {
    "anything": {},
    "flat": thing(name=TEXT, age=WHOLE, tall=NUMBER, alive={"type": "boolean"}, spouse={"type": "null"}),
    "open": {"type": "object", "properties": {"a": TEXT}, "required": ["b"], "additionalProperties": WHOLE},
    "enum": {"enum": ["red", "green", 3, None, {"deep": [1]}, 'ü\n"']},
    "const": thing(kind={"const": "weather"}, version={"const": 2}),
    "anyOf": {"anyOf": [thing(kind={"const": "a"}, x=WHOLE), thing(kind={"const": "b"}, y=listed(TEXT))]},
    "oneOf": {"oneOf": [WHOLE, TEXT, {"type": "null"}]},
    "tree": {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
    "allOf": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 9}]},
    "beside $ref": {"$defs": {"n": WHOLE}, "$ref": "#/$defs/n", "minimum": 40, "maximum": 50},
    "minItems": listed(WHOLE, minItems=3, maxItems=5),
    "bounds": thing(
        a={"type": "integer", "minimum": -3, "exclusiveMaximum": 4}, b={**NUMBER, "minimum": 0.5}
    ),
    "pattern": thing(code={"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2,4}$"}),
    "date": thing(day={"type": "string", "format": "date"}, at={"type": "string", "format": "date-time"}),
    "day of a century": {"type": "string", "format": "date", "pattern": "^20"},
    "formats": thing(**{f: {"type": "string", "format": f} for f in ("email", "ipv4", "uuid", "time")}),
    "long names": thing(**{f"a_rather_long_name_{n}": WHOLE for n in range(12)}),
}

UNSUPPORTED = {
    "uniqueItems": listed(WHOLE, uniqueItems=True),
    "not": thing(a={"not": TEXT}),
    '"if", "then"': {"if": TEXT, "then": TEXT},
    "contains": {"type": "array", "contains": WHOLE},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "x-guidance": {"x-guidance": {"lenient": True}, "type": "string"},
    "Unknown format: colour": {"type": "string", "format": "colour"},
    "look-ahead": {"type": "string", "pattern": "(?=a)b"},
    "oneOf": {"oneOf": [{"type": "integer", "minimum": 2}, {"type": "integer", "maximum": 5}]},
    "exclusiveMinimum": {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
    "$.items": listed([WHOLE, TEXT]),
    "minimum (5) is greater": {"type": "integer", "minimum": 5, "maximum": 3},
    "'text' is not valid": {"type": "text"},
    "http://elsewhere": {"$ref": "http://elsewhere/schema.json"},
    "/$defs/no": {"$ref": "#/$defs/no"},
    "must be an object": True,
    "not JSON": {"const": {1, 2}},
}


@pytest.fixture(scope="module")
def engine(tiny_cache):
    settings = load_settings(model="tiny", device="cpu", dtype="float32", cache_dir=tiny_cache)
    return TransformersEngine.load(settings)


FORMATS = jsonschema.FormatChecker(("ipv4", "uuid", "email"))


@pytest.mark.parametrize("name", SUPPORTED)
def test_what_the_random_model_writes_fits_the_schema(engine, name):
    answer = engine.generate(engine.encode("Hello"), 300, schema=SUPPORTED[name])
    text = "".join(answer)
    assert answer.stop_reason == "end_turn", text
    assert answer.output_tokens <= 300
    jsonschema.validate(json.loads(text), SUPPORTED[name], format_checker=FORMATS)


@pytest.mark.parametrize("limit", [1, 80])
def test_at_the_token_limit_the_json_is_complete_or_the_stop_reason_says_it_is_not(engine, limit):
    ended = 0
    for schema in SUPPORTED.values():
        answer = engine.generate(engine.encode("Tell me"), limit, schema=schema)
        text = "".join(answer)
        if answer.stop_reason == "end_turn":
            assert answer.output_tokens <= limit
            jsonschema.validate(json.loads(text), schema, format_checker=FORMATS)
            ended += 1
        else:
            assert (answer.stop_reason, answer.output_tokens) == ("max_tokens", limit)
    assert ended >= len(SUPPORTED) * (0.8 if limit >= 80 else 0)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_unsupported_schema_is_refused_by_name(name):
    with pytest.raises(UnsupportedSchema) as refused:
        grammar_of(UNSUPPORTED[name])
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_forced_tokens_need_no_forward_pass(engine, monkeypatch):
    asked = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda ids, *rest: asked.append(len(ids)) or forward(ids, *rest))
    text = "".join(engine.generate(engine.encode("Hello"), 80, schema=SUPPORTED["const"]))
    assert text == '{"kind": "weather", "version": 2}'
    assert not asked


def test_a_repetition_is_ended_within_the_schema(engine, monkeypatch):
    """A model that always prefers the same few tokens fills a list with them: it is closed, and valid."""
    again = torch.zeros(512)
    again[engine.encode("7")] = 1
    again[engine.encode(",")] = 3
    monkeypatch.setattr(engine, "_forward", lambda *read: [again.clone()])
    answer = engine.generate(engine.encode("Hello"), 1000, schema=listed({"enum": [7]}))
    values = json.loads("".join(answer))
    assert answer.stop_reason == "end_turn"
    assert set(values) == {7}
    assert answer.output_tokens < 100


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([1, 2, 3] * 11, True),
        ([1, 2, 3] * 10, False),  # under 32 tokens
        ([9, 9] + list(range(20)) * 4, True),
        (list(range(20)) * 3, False),
        (list(range(100)) + list(range(48)), True),  # a long way round
        (list(range(100)) + list(range(47)), False),
    ],
)
def test_a_repetition_is_one_piece_four_times(ids, found):
    assert is_repeating(ids) == found
