"""Which requests the embedded model takes, and the scripted API that other tests use."""

import copy

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.embedded.wire import validate_request
from tests.scripted import ScriptedMessages, WireError

USER = {"role": "user", "content": "Hi"}
TOOL = {
    "name": "look",
    "description": "Look.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
BODY = {"model": "tiny", "max_tokens": 9, "messages": [USER]}
TEXT = {"type": "text", "text": "And?"}
FORMAT = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def uses(*ids):
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": each, "name": "look", "input": {}} for each in ids],
    }


def results(*ids, content="seen"):
    return user(*({"type": "tool_result", "tool_use_id": each, "content": content} for each in ids))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief.", "stream": True},
        {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look"}},
        {"messages": [USER, uses("a", "b"), results("a", "b"), {"role": "assistant", "content": "Yes"}]},
        {"messages": [USER, uses("a"), user(*results("a")["content"], TEXT), USER]},
        {"messages": [USER, uses("a"), results("a", content=[TEXT])]},
        {"messages": [USER, {"role": "assistant", "content": ""}]},
        {"output_config": {"format": FORMAT}},
    ],
)
def test_what_the_api_takes(fields):
    assert validate_request(BODY | fields) is None


PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("messages", "error"),
    [  # the rest of a conversation that begins with USER, and the error
        (
            [{"role": "tool", "content": "x"}],
            "messages.1.role: Input should be 'user', 'assistant' or 'system'",
        ),
        ([{**USER, "name": "Ann"}], "messages.1.name: Extra inputs are not permitted"),
        ([{"role": "user", "content": ""}], "messages.1: all messages must have non-empty content"),
        ([{"role": "user", "content": 5}], "messages.1.content: Input should be a valid list"),
        (
            [user({"type": "text", "text": ""})],
            "messages.1.content.0.text.text: String should have at least 1",
        ),
        ([user({"text": "x"})], "messages.1.content.0: Unable to extract tag"),
        ([user(TEXT, PICTURE)], "messages.1.content.1: Input tag 'image' found"),
        ([user(*uses("a")["content"])], "messages.1: `tool_use` is for the assistant's turns"),
        ([{**results("a"), "role": "assistant"}], "messages.1: `tool_use` is for the assistant's turns"),
        ([uses("a")], "messages: `tool_use` ids without `tool_result` blocks after them: a"),
        ([uses("a"), USER], "messages.2: `tool_use` ids (a)"),
        ([uses("a", "b"), results("a")], "messages.2: `tool_use` ids (a, b)"),
        ([uses("a"), user(TEXT, *results("a")["content"])], "messages.2: `tool_use` ids (a)"),
        ([uses("a"), results("a", "a")], "messages.2: `tool_use` ids (a)"),
        ([results("a")], "messages.1: `tool_use` ids (none)"),
        ([uses("a b"), results("a b")], "messages.1.content.0.tool_use.id: String should match pattern"),
        ([uses("a"), results("a", content=[PICTURE])], "messages.2.content.0.tool_result.content.0.type"),
    ],
)
def test_conversations_that_are_refused(messages, error):
    assert (validate_request(BODY | {"messages": [USER, *messages]}) or "").startswith(error)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),  # strict
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"thinking": {"type": "adaptive"}}, "thinking: Extra inputs are not permitted"),
        ({"output_config": {"effort": "low"}}, "output_config.effort: Extra inputs"),
        ({"stop_sequences": ["."]}, "stop_sequences: Extra inputs are not permitted"),
        ({"system": [PICTURE]}, "system.0.type: Input should be 'text'"),
        ({"messages": "Hi"}, "messages: Input should be a valid list"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages.0: first message must use the"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tools": [{**TOOL, "name": "n" * 129}]}, "tools.0.name: String should match pattern"),
        ({"tools": [{**TOOL, "input_schema": {}}]}, "tools.0.input_schema.type: Field required"),
        ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.parameters: Extra inputs"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type: Input should be 'custom'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "lok"}},
            "tool_choice.name: Tool 'lok' not",
        ),
        ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"anyOf": [{"type": "object"}]}}}},
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be",
        ),
    ],
)
def test_fields_that_are_refused(fields, error):
    assert (validate_request(BODY | fields) or "").startswith(error)


def test_required_fields():
    for field in ("model", "max_tokens", "messages"):
        assert validate_request({k: v for k, v in BODY.items() if k != field}) == f"{field}: Field required"
    assert validate_request(BODY, count_tokens=True) == "max_tokens: Extra inputs are not permitted"
    assert validate_request({"model": "tiny", "messages": [USER]}, count_tokens=True) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
WHOLE = BODY | {
    "tools": [TOOL],
    "tool_choice": {"type": "tool", "name": "look"},
    "system": [TEXT],
    "messages": [USER, uses("a"), results("a", content=[TEXT])],
    "output_config": {"format": FORMAT},
}


def places(value, path=()):
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))
        else:
            yield (*path, key)


@given(path=st.sampled_from(list(places(WHOLE))), value=json_values)
@hypothesis_settings(max_examples=100)
def test_any_json_gets_an_answer_and_no_exception(path, value):
    body = inner = copy.deepcopy(WHOLE)
    for key in path[:-1]:
        inner = inner[key]
    if path:
        inner[path[-1]] = value
    answer = validate_request(body if path else value)
    assert answer is None or isinstance(answer, str)


# --- the scripted API -------------------------------------------------------------------------------------


def test_the_scripted_api_speaks_json_and_sse():
    api = ScriptedMessages()
    asked = {"model": "m", "max_tokens": 9, "messages": [USER]}

    answers = []
    for _ in range(2):
        api.enqueue("Hi", [("look", {"at": "é"})], usage={"input_tokens": 7})
    answers.append(api.client.messages.create(**asked))
    with api.client.messages.stream(**asked) as stream:
        answers.append(stream.get_final_message())
    for answer in answers:
        assert [block.type for block in answer.content] == ["text", "tool_use"]
        assert answer.content[1].input == {"at": "é"}
        assert answer.stop_reason == "tool_use"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 10)
    assert [request.get("stream", False) for request in api.requests] == [False, True]


def test_the_scripted_api_refuses_what_the_api_would():
    api = ScriptedMessages()
    api.enqueue("Hi")
    with pytest.raises(WireError, match="would refuse this request"):
        api.client.messages.create(model="m", max_tokens=9, messages=[USER, uses("a"), USER])
    with pytest.raises(AssertionError):  # a reply that no server sends
        api.enqueue("Hi", stop_reason="tool_use")
    assert api.client.messages.create(model="m", max_tokens=9, messages=[USER]).content[0].text == "Hi"
    with pytest.raises(WireError, match="the script at its end"):
        api.client.messages.create(model="m", max_tokens=9, messages=[USER])
