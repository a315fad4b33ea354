import asyncio
import copy

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.embedded.wire import validate_reply, validate_request
from tests.scripted import ScriptedMessages, WireError

USER = {"role": "user", "content": "Hi"}
TOOL = {
    "name": "look",
    "description": "Look.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
BODY = {"model": "tiny", "max_tokens": 9, "messages": [USER]}


def uses(*ids):
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": each, "name": "look", "input": {}} for each in ids],
    }


def results(*ids, content="seen"):
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": each, "content": content} for each in ids],
    }


TEXT = {"type": "text", "text": "And?"}
FORMAT = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"system": "Be brief.", "stop_sequences": ["."], "stream": True, "metadata": {"user_id": "u"}},
        {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look"}},
        {"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]},
        {"messages": [USER, uses("a", "b"), results("a", "b"), {"role": "assistant", "content": "Yes"}]},
        {"messages": [USER, uses("a"), {"role": "user", "content": [*results("a")["content"], TEXT]}, USER]},
        {"messages": [USER, uses("a"), results("a", content=[TEXT])]},
        {"messages": [USER, {"role": "assistant", "content": ""}]},
        {"output_config": {"format": FORMAT}},
    ],
)
def test_what_the_api_takes_has_no_problem(fields):
    assert validate_request(BODY | fields) is None


UNANSWERED = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"stop_sequences": ["a", 5]}, "stop_sequences.1: Input should be a valid string"),
        ({"system": 5}, "system: Input should be a list"),
        ({"system": [{"type": "image"}]}, "system.0: Input tag 'image'"),
        ({"messages": "Hi"}, "messages: Input should be a list"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": ["Hi"]}, "messages.0: Input should be an object"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be 'user'"),
        ({"messages": [{**USER, "name": "Ann"}]}, "messages.0.name: Extra inputs are not permitted"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty"),
        ({"messages": [{"role": "user", "content": []}, USER]}, "messages.0: all messages must have non-"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content: Input should be a string"),
        (
            {"messages": [{"role": "assistant", "content": "Hi"}]},
            'messages: first message must use the "user"',
        ),
        ({"messages": [USER, {"role": "assistant", "content": "So "}]}, "messages: final assistant content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "messages.0.content.0.text: text content blocks must be non-empty",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages.0.content.0.type: Field req",
        ),
        ({"messages": [{"role": "user", "content": [{"type": []}]}]}, "messages.0.content.0: Input tag []"),
        (
            {"messages": [{**uses("a"), "role": "user"}]},
            "messages.0.content.0: `tool_use` blocks can only be",
        ),
        (
            {"messages": [USER, {**results("a"), "role": "assistant"}]},
            "messages.1.content.0: `tool_result` bl",
        ),
        ({"messages": [USER, uses("a")]}, UNANSWERED + "a."),
        ({"messages": [USER, uses("a"), USER]}, UNANSWERED + "a."),
        ({"messages": [USER, uses("a", "b"), results("a")]}, UNANSWERED + "b."),
        (
            {"messages": [USER, uses("a"), {"role": "user", "content": [TEXT, *results("a")["content"]]}]},
            UNANSWERED + "a.",
        ),
        (
            {"messages": [USER, uses("a"), results("a", "a")]},
            "messages.2: each `tool_use` must have a single",
        ),
        ({"messages": [USER, results("a")]}, "messages.1.content.0: unexpected `tool_use_id` found in"),
        (
            {"messages": [USER, uses("a"), results("a"), uses("a"), results("a")]},
            "messages.3: `tool_use` ids must be unique: a",
        ),
        (
            {"messages": [USER, uses("a b"), results("a b")]},
            "messages.1.content.0.tool_use.id: String should",
        ),
        (
            {"messages": [USER, uses("a"), results("a", content=[{"type": "text"}])]},
            "messages.2.content.0.tool_result.content.0.text.text: Field required",
        ),
        (
            {"messages": [{"role": "user", "content": [{**TEXT, "citations": [{"type": "none"}]}]}]},
            "messages.0.content.0.text.",  # an Iterable, which pydantic reads only when asked
        ),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tools": [{**TOOL, "name": "look up"}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [{**TOOL, "name": "n" * 129}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{**TOOL, "input_schema": {}}]}, "tools.0.custom.input_schema.type: Input should be 'obj"),
        (
            {"tools": [{**TOOL, "input_schema": {"type": "object", "required": "at"}}]},
            "tools.0.custom.input_schema: Input should be a valid list",
        ),
        ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
        ({"tools": [{"type": "crystal_ball"}]}, "tools.0: Input tag 'crystal_ball'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "lok"}},
            "tool_choice.name: Tool 'lok' not",
        ),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice: Input should be an object"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
        (
            {"output_config": {"format": {"type": "json_schema"}}},
            "output_config.format.schema: Field required",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"anyOf": [{"type": "object"}]}}}},
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be",
        ),
    ],
)
def test_what_the_api_refuses_is_said_in_its_manner(fields, problem):
    said = validate_request(BODY | fields)
    assert said is not None
    assert said.startswith(problem), said


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_required_fields(field):
    assert validate_request({k: v for k, v in BODY.items() if k != field}) == f"{field}: Field required"


def test_counting_takes_no_max_tokens():
    assert validate_request(BODY, count_tokens=True) == "max_tokens: Extra inputs are not permitted"
    assert validate_request({"model": "tiny", "messages": [USER]}, count_tokens=True) is None


REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "tiny",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, None),
        ({"content": [CALL], "stop_reason": "tool_use"}, None),
        ({"stop_reason": None}, "stop_reason: a finished message has one"),
        ({"stop_reason": "length"}, "message.stop_reason: Input should be"),
        ({"stop_reason": "tool_use"}, "stop_reason: 'tool_use' without"),
        ({"stop_reason": "stop_sequence"}, "stop_sequence: is given when"),
        ({"content": [CALL]}, "stop_reason: 'end_turn' with a tool_use block"),
        ({"content": [CALL, CALL], "stop_reason": "tool_use"}, "content: `tool_use` ids must be unique"),
        (
            {"content": [{**CALL, "input": "{}"}], "stop_reason": "tool_use"},
            "content.0.tool_use.input: Input",
        ),
        ({"content": "Hi"}, "content: Input should be a list"),
        ({"content": [{"type": "words"}]}, "content.0: Input tag 'words'"),
        ({"content": [{"type": "text", "text": "Hi", "logprobs": []}]}, "content.0.text.logprobs: Extra"),
        ({"usage": {"input_tokens": 1}}, "message.usage.output_tokens: Field required"),
        ({"usage": {"input_tokens": -1, "output_tokens": 1}}, "usage.input_tokens: Input should be greater"),
        ({"choices": []}, "message.choices: Extra inputs"),
        ({"role": "user"}, "message.role: Input should be 'assistant'"),
    ],
)
def test_replies(fields, problem):
    said = validate_reply(REPLY | fields)
    assert said is None if problem is None else said.startswith(problem), said


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


@given(data=st.data(), value=json_values)
@hypothesis_settings(max_examples=150)
def test_any_json_gets_an_answer_and_no_exception(data, value):
    for whole, check in ((WHOLE, validate_request), (REPLY | {"content": [CALL]}, validate_reply)):
        body = copy.deepcopy(whole)
        path = data.draw(st.sampled_from(list(places(body))))
        inner = body
        for key in path[:-1]:
            inner = inner[key]
        if path:
            inner[path[-1]] = value
        said = check(body if path else value)
        assert said is None or isinstance(said, str)


def test_the_double_speaks_json_and_sse_alike_to_both_clients():
    api = ScriptedMessages()
    asked = {"model": "m", "max_tokens": 9, "messages": [USER]}

    async def stream():
        async with api.async_client.messages.stream(**asked) as stream:
            return await stream.get_final_message()

    answers = []
    for _ in range(3):
        api.enqueue("Hi", [("look", {"at": "é"})], usage={"input_tokens": 7})
    answers.append(api.client.messages.create(**asked))
    with api.client.messages.stream(**asked) as stream_:
        answers.append(stream_.get_final_message())
    answers.append(asyncio.run(stream()))
    for answer in answers:
        assert [block.type for block in answer.content] == ["text", "tool_use"]
        assert answer.content[1].input == {"at": "é"}
        assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == (
            "tool_use",
            7,
            10,
        )
    assert [request.get("stream", False) for request in api.requests] == [False, True, True]


def test_the_double_refuses_what_the_api_would():
    api = ScriptedMessages()
    api.enqueue("Hi")
    with pytest.raises(WireError, match="would refuse this request"):
        api.client.messages.create(model="m", max_tokens=9, messages=[USER, uses("a"), USER])
    with pytest.raises(WireError, match="no server sends this"):
        api.enqueue("Hi", stop_reason="tool_use")
    assert api.client.messages.create(model="m", max_tokens=9, messages=[USER]).content[0].text == "Hi"
    with pytest.raises(WireError, match="the script at its end"):
        api.client.messages.create(model="m", max_tokens=9, messages=[USER])
