"""The model's own routes: both SDKs and LangChain over a real server, errors in both formats, rows."""

import asyncio
import json
import threading

import anthropic
import httpx2
import openai
import pytest

from shared.config import load_settings
from shared.embedded.transport import EmbeddedTransport
from step5_serving.api import openai_format
from step5_serving.api.server import running
from step5_serving.engines.gateway import Gateway
from step5_serving.errors import ApiError
from tests.scripted import ScriptedMessages
from tests.step5.rag_parts import Trickle
from tests.step5.service_parts import (
    ListRecorder,
    app_of,
    calls_of,
    client_of,
    error_of,
    eventually,
    in_loop,
    post,
)

HI = [{"role": "user", "content": "Hi there"}]
MESSAGE = {"model": "scripted", "max_tokens": 9, "messages": HI}


@pytest.fixture
def api():
    """A scripted engine, and an app in front of it."""
    found = ScriptedMessages()
    client = httpx2.AsyncClient(
        transport=httpx2.MockTransport(found._answer_async), base_url="http://scripted.invalid"
    )
    found.app = app_of(gateway=Gateway(client, "scripted", "scripted", {"x-api-key": "of the engine"}))
    return found


class Served:
    """An app on a real port, in a thread with its own event loop."""

    def __init__(self, app):
        self.app, self._ready, self._stop = app, threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with running(self.app, self.app.state.service.config) as self.url:
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


# --- the SDKs ---------------------------------------------------------------------------------------------


@pytest.fixture
def tiny():
    """The tiny random model in the process, served on a real port."""
    settings = load_settings(model="tiny")
    client = httpx2.AsyncClient(transport=EmbeddedTransport(settings), base_url="http://embedded.invalid")
    with Served(app_of(gateway=Gateway(client, "tiny", "torch"))) as served:
        yield served


@pytest.mark.parametrize("stream", [False, True])
def test_the_anthropic_sdk(tiny, stream):
    client = anthropic.Anthropic(base_url=tiny.url, api_key="none", max_retries=0)
    request = {"model": "tiny", "max_tokens": 12, "system": "Be brief.", "messages": HI}
    direct = anthropic.Anthropic(
        api_key="none",
        base_url="http://embedded.invalid",
        http_client=httpx2.Client(transport=EmbeddedTransport(load_settings(model="tiny"))),
    )
    wanted = direct.messages.create(**request)
    if stream:
        with client.messages.stream(**request) as events:
            said = "".join(events.text_stream)
            got = events.get_final_message()
        assert said == got.content[0].text
    else:
        got = client.messages.create(**request)
        assert got._request_id.startswith("req_")
    assert got.content[0].text == wanted.content[0].text
    assert got.stop_reason == wanted.stop_reason
    [call] = calls_of(tiny.app)
    assert (call.route, call.status, call.question, call.answer) == (
        "messages",
        200,
        "Hi there",
        wanted.content[0].text,
    )
    assert (call.model, call.engine, call.finish_reason) == ("tiny", "torch", wanted.stop_reason)
    usage = wanted.usage
    assert call.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert call.output_tokens == usage.output_tokens
    assert call.parameters["max_tokens"] == 12
    assert "messages" not in call.parameters
    assert call.total_ms >= call.generate_ms > 0


def test_the_anthropic_sdk_counts_lists_and_is_refused(tiny):
    client = anthropic.Anthropic(base_url=tiny.url, api_key="none", max_retries=0)
    assert client.messages.count_tokens(model="tiny", messages=HI).input_tokens > 0
    assert [each.id for each in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").display_name == "tiny"
    with pytest.raises(anthropic.NotFoundError, match="here is tiny"):
        client.models.retrieve("huge")
    with pytest.raises(anthropic.NotFoundError, match="here is tiny"):
        client.messages.create(model="huge", max_tokens=5, messages=HI)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(model="tiny", max_tokens=0, messages=HI)
    assert [call.status for call in calls_of(tiny.app)] == [404, 400]


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_sdk(tiny, stream):
    client = openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0)
    wanted = anthropic.Anthropic(base_url=tiny.url, api_key="none").messages.create(
        model="tiny", max_tokens=12, system="Be brief.", messages=HI
    )
    request = {
        "model": "tiny",
        "max_tokens": 12,
        "messages": [{"role": "system", "content": "Be brief."}, *HI],
    }
    if stream:
        chunks = list(
            client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
        )
        assert chunks[0].choices[0].delta.role == "assistant"
        text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        [finish] = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
        usage = chunks[-1].usage
        assert len({each.id for each in chunks}) == 1
    else:
        got = client.chat.completions.create(**request)
        text, finish, usage = got.choices[0].message.content, got.choices[0].finish_reason, got.usage
    assert text == wanted.content[0].text
    assert finish == {"max_tokens": "length", "end_turn": "stop"}[wanted.stop_reason]
    assert usage.completion_tokens == wanted.usage.output_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    call = calls_of(tiny.app)[-1]
    assert (call.route, call.status, call.question) == ("chat.completions", 200, "Hi there")
    assert call.output_tokens == usage.completion_tokens


def test_the_openai_sdk_stops_lists_and_is_refused(tiny):
    client = openai.OpenAI(base_url=f"{tiny.url}/v1", api_key="none", max_retries=0)
    assert [each.id for each in client.models.list()] == ["tiny"]
    whole = client.chat.completions.create(model="tiny", max_tokens=12, messages=HI)
    text = whole.choices[0].message.content
    stop = text[len(text) // 2 : len(text) // 2 + 2]
    cut = client.chat.completions.create(model="tiny", max_tokens=12, messages=HI, stop=stop)
    assert cut.choices[0].message.content == text[: text.find(stop)]
    assert cut.choices[0].finish_reason == "stop"
    with pytest.raises(openai.BadRequestError, match="tools is not supported here") as refused:
        client.chat.completions.create(
            model="tiny",
            messages=HI,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError, match="here is tiny"):
        client.chat.completions.create(model="huge", messages=HI)


def test_langchain(tiny):
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(model="tiny", base_url=tiny.url, api_key="none", max_tokens=12, max_retries=0)
    said = model.invoke("Hi there")
    assert said.content == "".join(chunk.text for chunk in model.stream("Hi there"))
    assert said.usage_metadata["output_tokens"] > 0
    assert {call.route for call in calls_of(tiny.app)} == {"messages"}


# --- what goes through ------------------------------------------------------------------------------------


def test_what_is_posted_goes_to_the_engine_as_it_came(api):
    api.enqueue("Hello.", usage={"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3})
    got = post(api.app, "/v1/messages", json={**MESSAGE, "stop_sequences": ["END"]})
    assert got.status_code == 200
    assert got.json()["content"] == [{"type": "text", "text": "Hello."}]
    assert api.requests == [{**MESSAGE, "stop_sequences": ["END"]}]
    [call] = calls_of(api.app)
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (12, 3, None)
    assert call.parameters == {"model": "scripted", "max_tokens": 9, "stop_sequences": ["END"]}


def test_the_engine_gets_its_own_key_and_not_the_callers():
    seen = []

    def engine(request):
        seen.append(request.headers)
        return httpx2.Response(200, json={"input_tokens": 3})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(engine), base_url="http://engine.invalid")
    app = app_of(gateway=Gateway(client, "m", "e", {"x-api-key": "of the engine"}))
    headers = {
        "x-api-key": "of the caller",
        "authorization": "Bearer of the caller",
        "cookie": "a=b",
        "anthropic-beta": "some-beta",
        "anthropic-version": "2023-01-01",
    }
    assert post(app, "/v1/messages/count_tokens", headers=headers).json() == {"input_tokens": 3}
    [got] = seen
    assert got["x-api-key"] == "of the engine"
    assert (got["anthropic-beta"], got["anthropic-version"]) == ("some-beta", "2023-01-01")
    assert "authorization" not in got
    assert "cookie" not in got


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
def test_the_engines_errors_keep_their_status_and_words(api, path, status):
    api.enqueue(status=status, error="the engine's words", headers={"retry-after": "7"})
    got = post(api.app, path, json=MESSAGE)
    assert got.status_code == status
    kind, message = error_of(got)
    assert message == "the engine's words"
    assert got.headers["retry-after"] == "7"
    [call] = calls_of(api.app)
    assert (call.status, call.error_type, call.answer) == (status, kind, None)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        ({"refused": True}, 503, "can't be reached"),
        ({"hang": True}, 504, "sends nothing any more"),
    ],
)
def test_an_engine_that_is_gone_or_hangs(api, path, failure, status, said):
    api.enqueue(**failure)
    got = post(api.app, path, json=MESSAGE)
    assert got.status_code == status
    assert said in error_of(got)[1]
    assert calls_of(api.app)[0].status == status
    api.enqueue("Back again.")
    assert post(api.app, path, json=MESSAGE).status_code == 200  # without a restart


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("failure", [{"sse_cut": 4}, {"sse_cut": "quietly"}, {"error": "overloaded"}])
def test_a_stream_that_breaks_off_ends_with_an_error_and_its_row(api, path, failure):
    api.enqueue("Half an answer", **failure)
    got = post(api.app, path, json={**MESSAGE, "stream": True})
    assert got.status_code == 200
    assert '"error"' in got.text
    assert "message_stop" not in got.text
    assert "[DONE]" not in got.text
    [call] = calls_of(api.app)
    assert call.status == 502
    assert call.answer
    assert "Half an answer".startswith(call.answer)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("content", [b"hello", b"[]", b'{"type": "other"}', b'{"type": "message"}', b""])
def test_a_server_that_speaks_something_else(path, content):
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, content=content))
    client = httpx2.AsyncClient(transport=transport, base_url="http://engine.invalid")
    got = post(app_of(gateway=Gateway(client, "m", "e")), path, json=MESSAGE)
    assert got.status_code == 502
    assert "does not speak the Messages API" in error_of(got)[1]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_events_that_make_no_sense(path):
    class Nonsense(httpx2.AsyncByteStream):
        async def __aiter__(self):
            yield b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": 3}\n\n'

    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(
        lambda _request: httpx2.Response(200, headers=headers, stream=Nonsense())
    )
    client = httpx2.AsyncClient(transport=transport, base_url="http://engine.invalid")
    app = app_of(gateway=Gateway(client, "m", "e"))
    assert post(app, path, json={**MESSAGE, "stream": True}).status_code in (200, 502)
    assert calls_of(app)[0].status == 502


def test_no_row_no_end(api):
    recorder = ListRecorder()
    recorder.trouble = "the disk is full"
    api.app.state.service.recorder = recorder
    api.enqueue("Hello.")
    got = post(api.app, "/v1/messages", json=MESSAGE)
    assert (got.status_code, got.json()["error"]["message"]) == (503, "the disk is full")
    for path, end in (("/v1/messages", "message_stop"), ("/v1/chat/completions", "[DONE]")):
        api.enqueue("Hello.")
        got = post(api.app, path, json={**MESSAGE, "stream": True})
        assert "the disk is full" in got.text
        assert end not in got.text


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_the_model_stops_when_the_client_goes_away(path):
    class Words(httpx2.AsyncByteStream):
        def __init__(self):
            self.inner = Trickle()

        async def __aiter__(self):
            for each in self.inner:
                await asyncio.sleep(0)
                yield each

        async def aclose(self):
            self.inner.close()

    @in_loop
    async def test():
        words = Words()
        headers = {"content-type": "text/event-stream"}
        transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers=headers, stream=words))
        client = httpx2.AsyncClient(transport=transport, base_url="http://engine.invalid")
        app = app_of(gateway=Gateway(client, "m", "e"))
        async with running(app, app.state.service.config) as url, httpx2.AsyncClient() as caller:
            async with caller.stream("POST", f"{url}{path}", json={**MESSAGE, "stream": True}) as response:
                async for _ in response.aiter_bytes():
                    break
            await eventually(lambda: calls_of(app))
            await eventually(words.inner.closed.is_set)
        assert words.inner.sent < 400
        [call] = calls_of(app)
        assert (call.status, call.error_type) == (499, "client_gone")

    test()


@in_loop
async def test_models_wait_in_the_same_queue(api):
    app = api.app
    app.state.service.admission.most_running = app.state.service.admission.most_waiting = 1
    for _ in range(3):
        api.enqueue("Hello.", delay=0.05)
    async with client_of(app) as client:
        paths = ["/v1/messages", "/v1/chat/completions", "/v1/messages"]
        got = await asyncio.gather(*(client.post(path, json=MESSAGE) for path in paths))
    assert sorted(each.status_code for each in got) == [200, 200, 503]


def test_what_is_no_json_is_the_engines_to_say(tiny):
    import httpx

    for content in (b"{", b"[1]", b"", b"\xff"):
        got = httpx.post(f"{tiny.url}/v1/messages", content=content)
        assert got.status_code == 400
        assert got.json()["error"]["type"] == "invalid_request_error"
        got = httpx.post(f"{tiny.url}/v1/chat/completions", content=content)
        assert got.status_code == 400
        assert got.json()["error"]["code"] is None


# --- the translation --------------------------------------------------------------------------------------


def told(**fields):
    return openai_format.to_messages({"model": "m", "messages": HI, **fields})


def test_a_request_in_the_other_words():
    assert told(max_tokens=7, max_completion_tokens=5)["max_tokens"] == 5
    assert told()["max_tokens"] == openai_format.MAX_TOKENS
    assert told(stop="END")["stop_sequences"] == ["END"]
    assert told(stop=["a", "b"], stream=True)["stream"] is True
    assert told(temperature=0.2, top_p=None) == {
        "model": "m",
        "max_tokens": openai_format.MAX_TOKENS,
        "messages": HI,
        "temperature": 0.2,
    }
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert told(messages=[{"role": "user", "content": parts}])["messages"] == HI
    two = [
        {"role": "system", "content": "One."},
        {"role": "developer", "content": "Two."},
        *HI,
        {"role": "assistant", "content": "Hello."},
        *HI,
    ]
    got = told(messages=two)
    assert got["system"] == "One.\n\nTwo."
    assert [each["role"] for each in got["messages"]] == ["user", "assistant", "user"]
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert told(response_format=form)["output_config"]["format"]["schema"] == schema
    assert "output_config" not in told(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": None}, "model is missing"),
        ({"model": 3}, "model is missing"),
        ({"messages": None}, "messages must be a list"),
        ({"messages": []}, "at least one message"),
        ({"messages": ["x"]}, r"messages\[0\].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "parts of type text"),
        ({"messages": [{"role": "system", "content": "x"}]}, "at least one of the user"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]}, "tool_calls"),
        ({"n": 2}, "n is not supported"),
        ({"tools": [{}]}, "tools is not supported"),
        ({"logprobs": True}, "logprobs is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": 3}, "response_format"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"reply_in": "verse"}, "'reply_in' is not supported"),
    ],
)
def test_what_can_not_be_told_is_refused(fields, said):
    with pytest.raises(ApiError, match=said) as refused:
        told(**fields)
    assert refused.value.status == 400


def test_why_it_ended_in_the_other_words():
    message = {
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2},
    }
    for reason, word in (("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")):
        got = openai_format.completion({**message, "stop_reason": reason})
        assert got["choices"][0]["finish_reason"] == word
    assert got["usage"]["prompt_tokens"] == 7
    assert got["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    json.dumps(got)
