import asyncio
import json
import socket
import threading
import time

import anthropic
import anyio
import httpx2
import pydantic
import pytest

from shared.chat import client as chat
from shared.chat import errors as api_errors
from shared.config import load_settings
from shared.embedded import endpoint, stream
from shared.embedded.transport import EmbeddedTransport
from shared.errors import UserError
from tests.scripted import check_message
from tests.shared.fake_engine import fake_backend

TOOL = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HI = {"model": "tiny", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}
KINDS = ["sync", "async"]


def client_of(fake, **options):
    """The SDK as it comes, with its own two retries."""
    http = httpx2.Client(transport=EmbeddedTransport(load_settings(model="tiny"), fake.backend))
    return anthropic.Anthropic(api_key="x", base_url="http://embedded.invalid", http_client=http, **options)


def async_client_of(fake, **options):
    http = httpx2.AsyncClient(transport=EmbeddedTransport(load_settings(model="tiny"), fake.backend))
    return anthropic.AsyncAnthropic(
        api_key="x", base_url="http://embedded.invalid", http_client=http, **options
    )


def create(kind, fake, **body):
    """The reply to `messages.create`, by either client."""
    if kind == "sync":
        return client_of(fake).messages.create(**body)
    return asyncio.run(async_client_of(fake).messages.create(**body))


def streamed(kind, fake, **body):
    """The events of `messages.stream` and the message that the SDK makes of them, by either client."""
    if kind == "sync":
        with client_of(fake).messages.stream(**body) as open_stream:
            return list(open_stream), open_stream.get_final_message()

    async def run():
        async with async_client_of(fake).messages.stream(**body) as open_stream:
            return [event async for event in open_stream], await open_stream.get_final_message()

    return asyncio.run(run())


def bare(message):
    """A message as the API would have sent it, without what differs from one to the next."""
    sent = json.loads(message.to_json())
    check_message(sent)
    assert sent.pop("stop_details", None) is None  # the SDK adds it to what was streamed
    content = [{**block, "id": "some"} if "id" in block else block for block in sent["content"]]
    return {**sent, "id": "some", "content": content}


# --- replies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", [(), [("get_weather", {"city": city}) for city in ("Zürich", "Oslo")]])
def test_a_stream_adds_up_to_the_same_message(kind, calls):
    body = HI | ({"tools": [TOOL], "max_tokens": 200} if calls else {})
    whole = bare(create(kind, fake_backend("Good ", "", "morning", calls=calls, cached=2), **body))
    events, message = streamed(kind, fake_backend("Good ", "", "morning", calls=calls, cached=2), **body)
    assert whole == bare(message)
    assert whole["usage"]["cache_read_input_tokens"] == (0 if calls else 2)
    assert [block["type"] for block in whole["content"]] == (["tool_use"] * 2 if calls else ["text"])
    assert events[-1].type == "message_stop"


def test_the_events_come_in_the_documented_order():
    fake = fake_backend("Good ", "morning")
    with httpx2.Client(transport=EmbeddedTransport(load_settings(model="tiny"), fake.backend)) as http:
        response = http.post("http://embedded.invalid/v1/messages", json=HI | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["request-id"].startswith("req_")
    lines = [part.split("\n") for part in response.text.removesuffix("\n\n").split("\n\n")]
    assert all(len(pair) == 2 for pair in lines)
    events = [json.loads(data.removeprefix("data: ")) for _, data in lines]
    assert [name.removeprefix("event: ") for name, _ in lines] == [event["type"] for event in events]
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[0]["message"]["stop_reason"] is None
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 2
    check_message(stream.whole(events))


@pytest.mark.parametrize("kind", KINDS)
def test_text_arrives_while_it_is_written(kind):
    fake = fake_backend(*"abcdef")
    written = []  # how much the engine had written when each piece came
    if kind == "sync":
        with client_of(fake).messages.stream(**HI) as open_stream:
            written.extend(fake.engine.generated for _ in open_stream.text_stream)
    else:

        async def run():
            async with async_client_of(fake).messages.stream(**HI) as open_stream:
                async for _ in open_stream.text_stream:
                    written.append(fake.engine.generated)

        asyncio.run(run())
    assert written == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_counted_as_usage_counts_them(kind):
    body = {"model": "tiny", "messages": HI["messages"], "tools": [TOOL], "system": "Be brief."}
    fake = fake_backend("Hello", cached=2)
    usage = create(kind, fake, max_tokens=9, **body).usage
    if kind == "sync":
        counted = client_of(fake).messages.count_tokens(**body)
    else:
        counted = asyncio.run(async_client_of(fake).messages.count_tokens(**body))
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens > 50


def test_parse_gives_the_object():
    class Greeting(pydantic.BaseModel):
        word: str
        loud: bool

    fake = fake_backend('{"word": "Hi", ', '"loud": true}')
    assert client_of(fake).messages.parse(output_format=Greeting, **HI).parsed_output == Greeting(
        word="Hi", loud=True
    )


def test_async_requests_do_not_hold_each_other_up():
    async def run():
        client = async_client_of(fake_backend("a ", "b"))
        both = await asyncio.gather(*(client.messages.create(**HI) for _ in range(2)))
        return [message.content[0].text for message in both]

    assert asyncio.run(run()) == ["a b", "a b"]


# --- stopping -------------------------------------------------------------------------------------------


def test_closing_a_stream_stops_the_engine():
    fake = fake_backend(*"abcdefgh")
    with client_of(fake).messages.stream(**HI) as open_stream:
        next(iter(open_stream.text_stream))
    assert (fake.engine.generated, fake.engine.closed) == (1, 1)


def test_another_thread_can_close_a_stream_at_work():
    fake = fake_backend(*"abcdefgh")
    at_work, go_on = threading.Event(), threading.Event()

    def slow():
        yield "a"
        at_work.set()
        go_on.wait(10)
        yield "b"
        yield "c"

    fake.engine.says = slow()
    response = client_of(fake).messages.create(stream=True, **HI)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(event.type for event in response))
    reader.start()
    at_work.wait(10)
    response.close()
    go_on.set()
    reader.join(10)
    assert not reader.is_alive()
    assert seen.count("content_block_delta") == 1
    assert fake.engine.closed == 1


@pytest.mark.parametrize("streams", [False, True])
def test_cancelling_an_async_request_stops_the_engine(streams):
    fake = fake_backend()

    def slow():
        for letter in "abcdefgh" * 20:
            time.sleep(0.01)
            yield letter

    fake.engine.says = slow()

    async def ask():
        client = async_client_of(fake)
        if streams:
            async with client.messages.stream(**HI | {"max_tokens": 200}) as open_stream:
                await open_stream.get_final_text()
        else:
            await client.messages.create(**HI | {"max_tokens": 200})

    async def run():
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while fake.engine.generated < 3:
                await anyio.sleep(0.001)
            group.cancel_scope.cancel()

    anyio.run(run)
    assert fake.engine.generated < 100
    assert fake.engine.closed == 1


# --- errors ---------------------------------------------------------------------------------------------


def post(path="/v1/messages", method="POST", fake=None, **options):
    fake = fake or fake_backend("Hello")
    with httpx2.Client(transport=EmbeddedTransport(load_settings(model="tiny"), fake.backend)) as http:
        return http.request(method, f"http://embedded.invalid{path}", **options)


@pytest.mark.parametrize(
    ("request_", "status", "kind", "line"),
    [
        ({"json": {**HI, "max_tokens": 0}}, 400, "invalid_request_error", "max_tokens: Input should be"),
        ({"json": {**HI, "temperature": 1}}, 400, "invalid_request_error", "temperature: Extra inputs"),
        (
            {"json": {**HI, "messages": []}},
            400,
            "invalid_request_error",
            "messages: List should have at least 1 item",
        ),
        (
            {"json": {**HI, "thinking": {"type": "adaptive"}}},
            400,
            "invalid_request_error",
            "thinking.type: Input",
        ),
        ({"json": [1]}, 400, "invalid_request_error", "must be a JSON object"),
        ({"content": b'{"model": '}, 400, "invalid_request_error", "not valid JSON"),
        ({"content": b"\xff\xfe"}, 400, "invalid_request_error", "not valid JSON"),
        ({"content": b'{"max_tokens": NaN}'}, 400, "invalid_request_error", "NaN is not JSON"),
        ({"content": b'"\\ud800"'}, 400, "invalid_request_error", "not valid JSON"),
        ({"content": b"[" * 100_000}, 400, "invalid_request_error", "nested too deeply"),
        ({"json": {**HI, "model": "claude-9"}}, 404, "not_found_error", "model: claude-9"),
        ({"path": "/v1/models", "json": HI}, 404, "not_found_error", "/v1/models"),
        ({"method": "GET"}, 405, "invalid_request_error", "GET"),
        ({"method": "DELETE", "path": "/v1/messages/count_tokens"}, 405, "invalid_request_error", "DELETE"),
        ({"path": "/v1/messages/count_tokens", "json": HI}, 400, "invalid_request_error", "max_tokens"),
    ],
)
def test_errors_look_like_those_of_the_api(request_, status, kind, line):
    response = post(**request_)
    assert response.status_code == status
    said = response.json()
    assert said["type"] == "error"
    assert said["error"]["type"] == kind
    assert line in said["error"]["message"]
    assert "\n" not in said["error"]["message"]
    assert said["request_id"] == response.headers["request-id"]


def test_a_body_over_the_limit_is_not_read(monkeypatch):
    monkeypatch.setattr(endpoint, "LONGEST_BODY", 100)
    response = post(json={**HI, "system": "x" * 100})
    assert (response.status_code, response.json()["error"]["type"]) == (413, "request_too_large")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streams", [False, True])
def test_the_sdk_raises_what_it_raises_for_the_api(kind, streams):
    ask = streamed if streams else create
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: ") as error:
        ask(kind, fake_backend("x", context=10), **HI)
    assert error.value.request_id.startswith("req_")
    with pytest.raises(anthropic.NotFoundError):
        ask(kind, fake_backend("x"), **HI | {"model": "claude-9"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_bug_of_ours_is_a_500_once_and_without_internals(kind):
    fake = fake_backend("a", "b", fails=KeyError("secret"))
    with pytest.raises(anthropic.InternalServerError) as error:
        create(kind, fake, **HI)
    assert len(fake.engine.asked) == 1  # the SDK would ask two times more
    assert error.value.response.json()["error"] == {"type": "api_error", "message": "Internal server error"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_in_the_middle_of_a_stream_ends_it_with_an_error_event(kind):
    fake = fake_backend("a", "b", fails=KeyError("secret"))
    with pytest.raises(anthropic.APIStatusError, match="Internal server error") as error:
        streamed(kind, fake, **HI)
    assert error.value.status_code == 200
    assert len(fake.engine.asked) == fake.engine.closed == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streams", [False, True])
def test_a_model_that_cannot_be_had_is_one_line_for_the_user(kind, streams, monkeypatch):
    tried = []

    def load(settings):
        tried.append(settings)
        raise UserError("no source has tiny: bring it yourself")

    monkeypatch.setattr("shared.embedded.engines.load_engine", load)
    fake = fake_backend()
    fake.backend._engine = None
    with pytest.raises(UserError, match=r"^no source has tiny: bring it yourself$"):
        (streamed if streams else create)(kind, fake, **HI)
    with (
        pytest.raises(UserError, match=r"^no source has tiny: bring it yourself$"),
        api_errors.one_line_errors("tiny", load_settings()),
    ):
        (streamed if streams else create)(kind, fake, **HI)
    assert len(tried) == 2


def test_ctrl_c_passes_and_stops_the_engine():
    fake = fake_backend("a", "b", fails=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        client_of(fake).messages.create(**HI)
    assert fake.engine.closed == 1


# --- the clients ----------------------------------------------------------------------------------------


def test_nothing_leaves_the_machine(monkeypatch):
    """Not the key of the user, not by a proxy, not a look-up of the name."""

    def refuse(*_args, **_more):
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = chat.chat_client("tiny", load_settings(dtype="float32"))
    assert (client.api_key, client.base_url.host) == ("not-needed", "embedded.invalid")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    message = client.messages.create(**HI | {"max_tokens": 5})
    check_message(json.loads(message.to_json()))
    assert message.model == "tiny"


def test_tiny_streams_what_it_says():
    client = chat.chat_client("tiny", load_settings(dtype="float32"))
    body = HI | {"max_tokens": 12}
    said = client.messages.create(**body).content[0].text
    with client.messages.stream(**body) as open_stream:
        pieces = list(open_stream.text_stream)
    assert len(pieces) > 3
    assert "".join(pieces) == said
    assert len(client.messages.create(**body | {"stop_sequences": [said[3:5]]}).content[0].text) <= 3


@pytest.mark.real
def test_the_real_model_calls_a_tool_and_tells_what_it_returned():
    client, model = chat.chat_client(), load_settings().model
    request = {"model": model, "max_tokens": 200, "tools": [TOOL]}
    asked = {"role": "user", "content": "What is the weather in Bangkok?"}
    reply = client.messages.create(messages=[asked], **request)
    assert [(block.name, block.input) for block in reply.content] == [("get_weather", {"city": "Bangkok"})]
    result = {"type": "tool_result", "tool_use_id": reply.content[0].id, "content": "31 °C and sunny"}
    told = client.messages.create(
        messages=[asked, reply.to_param(), {"role": "user", "content": [result]}], **request
    )
    assert "31 °C" in told.content[0].text
    assert told.stop_reason == "end_turn"
