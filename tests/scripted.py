"""A Messages API that answers from a script: the real SDK over a transport without a network.

    api = ScriptedMessages()
    api.enqueue(tool_uses=[("get_weather", {"city": "Bangkok"})])
    api.enqueue("It is 31 °C in Bangkok.")
    loop.run(api.client, ...)
    api.requests[1]["messages"]         what was sent the second time

Every request and every reply is checked, so that a test never sends or sees what the real API would not. JSON
and SSE; errors, cuts and time-outs on demand.
"""

import itertools
import json
import threading
from collections import deque

import anthropic
import httpx2
from anthropic.types import Message

from shared.embedded import wire

URL = "http://scripted.invalid"
PLAIN = {"status": 200, "error": None, "headers": {}, "sse_cut": None, "hang": False, "refused": False}


class WireError(BaseException):
    """A test sent what the API would refuse, or asked once too often. The SDK would retry an Exception."""


def check_message(body):
    """Check that `body` is a finished Message, as the API sends it.

    Raises:
        ValidationError: a field is missing or has another type.
        AssertionError: the fields contradict each other, or there are others.
    """
    message = Message.model_validate(body, strict=True)
    calls = [block.id for block in message.content if block.type == "tool_use"]
    assert message.stop_reason
    assert calls or message.stop_reason != "tool_use"
    assert not calls or message.stop_reason not in ("end_turn", "stop_sequence")
    assert len(calls) == len(set(calls))
    assert (message.stop_reason == "stop_sequence") == (message.stop_sequence is not None)
    assert not any(each.model_extra for each in (message, message.usage, *message.content))


def message_of(content, id="msg_1", stop_reason="end_turn", usage=None):
    """A message with these blocks of content, checked."""
    message = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 10} | (usage or {}),
    }
    check_message(message)
    return message


class ScriptedMessages:
    """The server's side of a test: `enqueue` what it says, read in `requests` what it was asked.

    Or give a function `reply`: what it makes of a request is what `enqueue` takes.
    """

    def __init__(self, reply=None, **client_options):
        self.requests = []
        self.reply, self._lock = reply, threading.Lock()
        self._script = deque()
        self._ids = itertools.count(1)
        transport = httpx2.MockTransport(lambda request: _response(request, self._next(request)))
        options = {"api_key": "scripted", "base_url": URL} | client_options
        self.client = anthropic.Anthropic(http_client=httpx2.Client(transport=transport), **options)

    def enqueue(self, text="", tool_uses=(), *, stop_reason=None, usage=None, **failure):
        """The next answer.

        tool_uses  [(name, input), ...]; ids are given in order: toolu_1, toolu_2, ...
        failure    status     other than 200: an error with the message `error`
                   error      with status 200: an `error` event in the middle of the stream
                   headers    of the response
                   sse_cut    the stream ends after so many events, as when a connection breaks; "quietly"
                              ends it without its last events, as when a proxy closes it
                   hang       the time-out passes before the answer comes, or after `sse_cut` events of it
                   refused    no server is there
        """
        content = [{"type": "text", "text": text}] if text else []
        for name, tool_input in tool_uses:
            tool_use = {"type": "tool_use", "id": f"toolu_{next(self._ids)}", "name": name}
            content.append({**tool_use, "input": tool_input})
        id = f"msg_{len(self._script) + len(self.requests) + 1}"
        message = message_of(content, id, stop_reason or ("tool_use" if tool_uses else "end_turn"), usage)
        assert failure.keys() <= PLAIN.keys()
        self._script.append(PLAIN | failure | {"message": message})

    @property
    def left(self):
        """How many answers of the script nobody has asked for."""
        return len(self._script)

    def _next(self, request):
        body = json.loads(request.content)
        if request.url.path != "/v1/messages":
            raise WireError(f"this double has no {request.url.path}")
        try:
            wire.validate_request(body)
        except wire.Refused as refused:
            raise WireError(f"the API would refuse this request: {refused}") from None
        with self._lock:
            self.requests.append(body)
            if self.reply:
                self.enqueue(**self.reply(body))
            if not self._script:
                raise WireError(f"request {len(self.requests)} finds the script at its end")
            return self._script.popleft()


def _response(request, step):
    body, headers = json.loads(request.content), step["headers"]
    if step["refused"]:
        raise httpx2.ConnectError("connection refused", request=request)
    if step["hang"] and step["sse_cut"] is None:
        raise httpx2.ReadTimeout("timed out", request=request)
    if step["status"] != 200:
        wrong = {"type": "api_error", "message": step["error"] or "scripted"}  # the SDK goes by the status
        return httpx2.Response(step["status"], headers=headers, json={"type": "error", "error": wrong})
    if body.get("stream"):
        headers = {"content-type": "text/event-stream", **headers}
        return httpx2.Response(200, headers=headers, content=_stream(step))
    return httpx2.Response(200, headers=headers, json=step["message"])


def _stream(step):
    """The answer as server-sent events, whole or cut."""
    cut, sent = step["sse_cut"], list(events(step["message"]))
    if step["error"]:
        wrong = {"type": "overloaded_error", "message": step["error"]}
        sent = [*sent[:3], {"type": "error", "error": wrong}]
    for event in sent[: -2 if cut == "quietly" else cut]:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    if step["hang"]:
        raise httpx2.ReadTimeout("timed out")
    if cut not in (None, "quietly"):
        raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")


def events(message):
    """A message as the events of its stream; texts and inputs come in two pieces."""
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**message["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": start}
    for i, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, kind, field, whole = {**block, "text": ""}, "text_delta", "text", block["text"]
        else:
            whole = json.dumps(block["input"])
            empty, kind, field = {**block, "input": {}}, "input_json_delta", "partial_json"
        yield {"type": "content_block_start", "index": i, "content_block": empty}
        for piece in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
            yield {"type": "content_block_delta", "index": i, "delta": {"type": kind, field: piece}}
        yield {"type": "content_block_stop", "index": i}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    usage = {"output_tokens": message["usage"]["output_tokens"]}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}
