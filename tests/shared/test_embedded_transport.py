"""The SDK's client: over the embedded transport, with a scripted engine behind it, and for other servers."""

import json

import anthropic
import httpx2
import pytest

from shared.chat import client as chat
from shared.chat import errors as api_errors
from shared.config import load_settings
from shared.embedded import endpoint
from shared.embedded.backend import Backend
from shared.embedded.transport import EmbeddedTransport
from shared.errors import UserError
from tests.scripted import check_message
from tests.shared.fake_engine import TOOL, fake_backend

HI = {"model": "tiny", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}


def http_of(backend):
    return httpx2.Client(transport=EmbeddedTransport(load_settings(model="tiny"), backend))


def client_of(fake):
    """The SDK as it comes, with its own two retries."""
    http = http_of(fake.backend)
    return anthropic.Anthropic(api_key="x", base_url="http://embedded.invalid", http_client=http)


def create(fake, **body):
    return client_of(fake).messages.create(**body)


def streamed(fake, **body):
    """The events of `messages.stream` and the message that the SDK makes of them."""
    with client_of(fake).messages.stream(**body) as open_stream:
        return list(open_stream), open_stream.get_final_message()


def bare(message):
    """A message as the API would have sent it, without what differs from one to the next."""
    sent = json.loads(message.to_json())
    check_message(sent)
    assert sent.pop("stop_details", None) is None  # the SDK adds it to what was streamed
    content = [{**block, "id": "some"} if "id" in block else block for block in sent["content"]]
    return {**sent, "id": "some", "content": content}


# --- replies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [(), [("get_weather", {"city": city}) for city in ("Zürich", "Oslo")]])
def test_a_stream_adds_up_to_the_same_message(calls):
    body = HI | ({"tools": [TOOL], "max_tokens": 200} if calls else {})
    whole = bare(create(fake_backend("Good ", "", "morning", calls=calls, cached=2), **body))
    events, message = streamed(fake_backend("Good ", "", "morning", calls=calls, cached=2), **body)
    assert whole == bare(message)
    assert whole["usage"]["cache_read_input_tokens"] == (0 if calls else 2)
    assert [block["type"] for block in whole["content"]] == (["tool_use"] * 2 if calls else ["text"])
    assert events[-1].type == "message_stop"


def test_the_events_come_in_the_documented_order():
    with http_of(fake_backend("Good ", "morning").backend) as http:
        response = http.post("http://embedded.invalid/v1/messages", json=HI | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["request-id"].startswith("req_")
    lines = [part.split("\n") for part in response.text.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in lines]
    assert [name.removeprefix("event: ") for name, _ in lines] == [event["type"] for event in events]
    order = "message_start content_block_start content_block_delta content_block_delta content_block_stop"
    assert [event["type"] for event in events] == [*order.split(), "message_delta", "message_stop"]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[0]["message"]["stop_reason"] is None
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 2
    check_message(endpoint.assemble_message(events))


def test_text_arrives_while_it_is_written_and_an_early_end_stops_the_engine():
    fake = fake_backend(*"abcdef")
    with client_of(fake).messages.stream(**HI) as open_stream:
        written = [fake.engine.generated for _ in open_stream.text_stream]
    assert written == [1, 2, 3, 4, 5, 6]
    fake = fake_backend(*"abcdef")
    with client_of(fake).messages.stream(**HI) as open_stream:
        next(iter(open_stream.text_stream))
    assert (fake.engine.generated, fake.engine.closed) == (1, 1)
    fake = fake_backend("a", "b", fails=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        create(fake, **HI)
    assert fake.engine.closed == 1


# --- errors ---------------------------------------------------------------------------------------------


def post(path="/v1/messages", method="POST", **options):
    with http_of(fake_backend("Hello").backend) as http:
        return http.request(method, f"http://embedded.invalid{path}", **options)


@pytest.mark.parametrize(
    ("request_", "status", "kind", "line"),
    [
        ({"json": {**HI, "max_tokens": 0}}, 400, "invalid_request_error", "max_tokens: Input should be"),
        ({"json": [1]}, 400, "invalid_request_error", "must be a JSON object"),
        ({"content": b"\xff\xfe"}, 400, "invalid_request_error", "not valid JSON"),
        ({"content": b'"\\ud800"'}, 400, "invalid_request_error", "not valid JSON"),
        ({"content": b"[" * 100_000}, 400, "invalid_request_error", "nested too deeply"),
        ({"json": {**HI, "system": "x" * 200_000}}, 413, "request_too_large", ""),
        ({"json": {**HI, "system": "x " * 9_000, "stream": True}}, 400, "invalid_request_error", "prompt is"),
        ({"json": {**HI, "model": "claude-9"}}, 404, "not_found_error", "model: claude-9"),
        ({"path": "/v1/models", "json": HI}, 404, "not_found_error", "/v1/models"),
        ({"method": "GET"}, 404, "not_found_error", "GET"),
    ],
)
def test_errors_look_like_those_of_the_api(monkeypatch, request_, status, kind, line):
    monkeypatch.setattr(endpoint, "MAX_BODY_BYTES", 200_000)
    response = post(**request_)
    assert response.status_code == status
    said = response.json()
    assert said["type"] == "error"
    assert said["error"]["type"] == kind
    assert line in said["error"]["message"]
    assert "\n" not in said["error"]["message"]
    assert said["request_id"] == response.headers["request-id"]


def test_an_internal_error_is_a_500_without_retries_and_details():
    fake = fake_backend("a", "b", fails=KeyError("secret"))
    with pytest.raises(anthropic.InternalServerError) as error:
        create(fake, **HI)
    assert len(fake.engine.asked) == 1  # the SDK would ask two times more
    assert error.value.response.json()["error"] == {"type": "api_error", "message": "Internal server error"}
    fake = fake_backend("a", "b", fails=KeyError("secret"))
    with pytest.raises(anthropic.APIStatusError, match="Internal server error") as error:
        streamed(fake, **HI)  # in the middle of a stream: an error event
    assert error.value.status_code == 200
    assert len(fake.engine.asked) == fake.engine.closed == 1


@pytest.mark.parametrize("ask", [create, streamed])
def test_an_unavailable_model_is_one_line_for_the_user(ask):
    tried = []

    def load():
        tried.append(1)
        raise UserError("no source has tiny: bring it yourself")

    fake = fake_backend()
    fake.backend = Backend(load_settings(model="tiny"), load=load)
    with (
        pytest.raises(UserError, match=r"^no source has tiny: bring it yourself$"),
        api_errors.one_line_errors("tiny", load_settings()),
    ):
        ask(fake, **HI)
    assert tried == [1]


# --- the client -----------------------------------------------------------------------------------------


def test_nothing_leaves_the_machine(monkeypatch):
    """Not the key of the user, not by a proxy, not a look-up of the name, which tests may not do."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = chat.chat_client("tiny", load_settings(dtype="float32"))
    assert (client.api_key, client.base_url.host) == ("not-needed", "embedded.invalid")
    body = HI | {"max_tokens": 12}
    message = client.messages.create(**body)
    check_message(json.loads(message.to_json()))
    assert (message.model, client.max_retries) == ("tiny", 0)
    with client.messages.stream(**body) as open_stream:
        pieces = list(open_stream.text_stream)
    assert len(pieces) > 3
    assert "".join(pieces) == message.content[0].text


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("claude-sonnet-5-5", "set ANTHROPIC_API_KEY, or choose a local model"),
        ("tinny", "unknown model 'tinny': did you mean tiny"),
        ("all-minilm-l6-v2", "all-minilm-l6-v2 can't chat"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused_at_once(model, why):
    with pytest.raises(UserError, match=why):
        chat.chat_client(model)


def test_claude_with_a_key_is_the_real_api_wherever_the_environment_points(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", " sk-test ")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    made = chat.chat_client(load_settings().claude_model)
    assert (made.api_key, made.base_url.host) == ("sk-test", "api.anthropic.com")


def test_a_server_of_ones_own_gets_its_own_key_or_none(monkeypatch):
    """The user's key is for Anthropic only."""
    monkeypatch.setenv("ROADMAP_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    for key in ("not-needed", "its-own"):
        made = chat.chat_client("any-name")
        assert (made.api_key, str(made.base_url)) == (key, "http://127.0.0.1:9")
        assert "very-secret" not in str(made.default_headers)
        monkeypatch.setenv("ROADMAP_BASE_URL_KEY", "its-own")


@pytest.mark.real
def test_the_real_model_answers_quietly_and_ends_its_turn(capfd):
    client, model = chat.chat_client(), load_settings().model
    question = {"role": "user", "content": "What is the capital of France?"}
    capfd.readouterr()
    answer, again = (
        client.messages.create(model=model, max_tokens=100, messages=[question]) for _ in range(2)
    )
    assert "Paris" in answer.content[0].text
    assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 7)
    assert again.usage.cache_read_input_tokens > 10
    assert capfd.readouterr() == ("", "")
