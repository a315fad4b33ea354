"""The real model behind the SDK's client, loaded once: it answers and calls tools."""

import pytest

from shared.chat import client as chat
from shared.config import load_settings
from tests.shared.fake_engine import TOOL

pytestmark = pytest.mark.real


def user(content):
    return {"role": "user", "content": content}


@pytest.fixture
def ask():
    client, model = chat.chat_client(), load_settings().model
    return lambda *messages, **more: client.messages.create(
        model=model, max_tokens=100, messages=messages, **more
    )


def test_it_answers_quietly_and_ends_its_turn(ask, capfd):
    capfd.readouterr()
    answer, again = (ask(user("What is the capital of France?")) for _ in range(2))
    assert "Paris" in answer.content[0].text
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 7)
    assert again.usage.cache_read_input_tokens > 10
    assert capfd.readouterr() == ("", "")


def test_it_calls_a_tool_and_tells_the_result_and_leaves_small_talk_alone(ask):
    question = user("What is the weather in Bangkok?")
    reply = ask(question, tools=[TOOL])
    assert [(block.name, block.input) for block in reply.content] == [("get_weather", {"city": "Bangkok"})]
    result = {"type": "tool_result", "tool_use_id": reply.content[0].id, "content": "31 °C and sunny"}
    answer = ask(question, reply.to_param(), user([result]), tools=[TOOL])
    assert "31 °C" in answer.content[0].text
    assert answer.stop_reason == "end_turn"
    thanks = ask(user("Thank you, that was helpful!"), tools=[TOOL])
    assert [block.type for block in thanks.content] == ["text"]
