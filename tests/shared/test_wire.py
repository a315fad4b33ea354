"""Which requests the embedded model takes, and the scripted API that other tests use."""

import pytest

from shared.embedded.wire import Refused, validate_request
from tests.scripted import ScriptedMessages, WireError
from tests.shared.fake_engine import TOOL

USER = {"role": "user", "content": "Hi"}
BODY = {"model": "tiny", "max_tokens": 9, "messages": [USER]}
TEXT = {"type": "text", "text": "And?"}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def uses(*ids):
    return {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": each, "name": "get_weather", "input": {}} for each in ids],
    }


def results(*ids):
    return user(*({"type": "tool_result", "tool_use_id": each, "content": "seen"} for each in ids))


def test_an_empty_beginning_of_the_answer_is_taken():
    messages = [USER, {"role": "assistant", "content": ""}]
    assert validate_request(BODY | {"messages": messages}).messages[-1].content == []


ANY_OBJECT = {"type": "json_schema", "schema": {"anyOf": [{"type": "object"}]}}
PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


def then(*messages):
    """A conversation that begins with USER."""
    return {"messages": [USER, *messages]}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        # a field that is wrong, missing or unknown is named with its place
        ({"model": ""}, "model: String should have at least 1 character"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),  # strict
        ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        ({"system": [PICTURE]}, "system.0.type: Input should be 'text'"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"tools": [{**TOOL, "input_schema": {}}]}, "tools.0.input_schema.type: Field required"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools.0.type: Input should be 'custom'"),
        (then({"role": "tool", "content": "x"}), "messages.1.role: Input should be 'user', 'assistant'"),
        (then(user({"text": "x"})), "messages.1.content.0: Unable to extract tag"),
        (then(user(TEXT, PICTURE)), "messages.1.content.1: Input tag 'image' found"),
        (then(uses("a b"), results("a b")), "messages.1.content.0.tool_use.id: String should match pattern"),
        # rules over several fields
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "messages.0: first message must use the"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "lok"}}, "tool_choice.name: Tool 'lok' "),
        ({"tool_choice": {"type": "any"}}, "tool_choice: may only be specified while providing tools"),
        ({"output_config": {"format": ANY_OBJECT}}, "output_config.format.schema: For 'object' type, 'addi"),
        (then({"role": "user", "content": ""}), "messages.1: all messages must have non-empty content"),
        (then(user(*uses("a")["content"])), "messages.1: `tool_use` is for the assistant's turns"),
        (then({**results("a"), "role": "assistant"}), "messages.1: `tool_use` is for the assistant's turns"),
        # calls and their results
        (then(uses("a")), "messages: `tool_use` ids without `tool_result` blocks after them: a"),
        (then(uses("a", "b"), results("a")), "messages.2: `tool_use` ids (a, b)"),
        (then(uses("a"), user(TEXT, *results("a")["content"])), "messages.2: `tool_use` ids (a)"),
        (then(uses("a"), results("a", "a")), "messages.2: `tool_use` ids (a)"),
        (then(results("a")), "messages.1: `tool_use` ids (none)"),
    ],
)
def test_what_the_api_refuses(fields, error):
    with pytest.raises(Refused) as refused:
        validate_request(BODY | fields)
    assert str(refused.value).startswith(error)


# --- the scripted API -------------------------------------------------------------------------------------


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
