"""Schemas are enforced whole or refused: what the random model writes under them must pass jsonschema.

llguidance knows the keywords; the schemas here are for our options, and for endings that the guide looks for.
"""

import json

import jsonschema
import pytest
import torch

from shared.config import load_settings
from shared.embedded.decoding import is_repeating
from shared.embedded.guide import UnsupportedSchema, grammar_of
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
    "enum": {"enum": ["red", "green", 3, None, {"deep": [1]}, 'ü\n"']},
    "const": thing(kind={"const": "weather"}, version={"const": 2}),
    "anyOf": {"anyOf": [thing(kind={"const": "a"}, x=WHOLE), thing(kind={"const": "b"}, y=listed(TEXT))]},
    "tree": {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
    "minItems": listed(WHOLE, minItems=3, maxItems=5),
    "pattern": thing(code={"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2,4}$"}),
    "formats": thing(**{f: {"type": "string", "format": f} for f in ("email", "ipv4", "uuid", "time")}),
    "long names": thing(**{f"a_rather_long_name_{n}": WHOLE for n in range(12)}),
}

UNSUPPORTED = {
    "uniqueItems": listed(WHOLE, uniqueItems=True),
    "x-guidance": {"x-guidance": {"lenient": True}, "type": "string"},
    "Unknown format: colour": {"type": "string", "format": "colour"},
    "oneOf": {"oneOf": [{"type": "integer", "minimum": 2}, {"type": "integer", "maximum": 5}]},
    "'text' is not valid": {"type": "text"},
    "must be an object": True,
    "not JSON": {"const": {1, 2}},
}


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine.load(load_settings(model="tiny", dtype="float32"))


FORMATS = jsonschema.FormatChecker(("ipv4", "uuid", "email"))


@pytest.mark.parametrize(("limit", "least"), [(1, 0), (80, 0.8), (300, 1)])
def test_what_the_random_model_writes_fits_the_schema_or_the_stop_reason_says_that_it_was_cut(
    engine, limit, least
):
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
    assert ended >= least * len(SUPPORTED)


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
    monkeypatch.setattr(engine, "_forward", lambda *read: again.clone()[None])
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
