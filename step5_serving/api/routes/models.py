"""The model itself, for any client of either API: /v1/messages, /v1/chat/completions, /v1/models.

    client = anthropic.Anthropic(base_url="http://localhost:8000", api_key=KEY)
    client = openai.OpenAI(base_url="http://localhost:8000/v1", api_key=KEY)

Messages go to the engine as they came, and its replies and errors come back as it said them; chat completions
are told in the Messages API's words (openai_format.py). Both wait in the same queue as questions do, count
against the same limits, and have their row before their last byte.
"""

from __future__ import annotations

from typing import Any

import httpx2
from fastapi import APIRouter, Request, Response
from pydantic_core import from_json, to_json

from shared.catalog import default
from step5_serving.api import openai_format
from step5_serving.api.live import Live, event, while_connected
from step5_serving.api.model_call import Served
from step5_serving.api.replies import caller_of, errors, reply, service_of
from step5_serving.api.usage import Tally
from step5_serving.engines.gateway import Gateway, error_type_of, passed_on, refusal_of
from step5_serving.errors import ApiError, shaped

router = APIRouter(prefix="/v1", tags=["models"])
HI = [{"role": "user", "content": "Hi!"}]
EXAMPLE = {"model": default("chat").id, "max_tokens": 64, "messages": HI}


KINDS: dict[str, Any] = {
    "model": {"type": "string", "minLength": 1},
    "max_tokens": {"type": "integer", "minimum": 1},
    "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    "stream": {"type": "boolean"},
}


def _body(example: dict[str, Any]) -> dict[str, Any]:
    """What is needed; the rest is as the API that is imitated has it, as far as the engine does."""
    schema = {"type": "object", "properties": KINDS, "required": list(example)}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _ok(description: str) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}}
    return {200: {"description": description, "content": content}, **errors(400, 404, 502, 503, 504)}


@router.post(
    "/messages",
    response_class=Response,
    responses=_ok("A message, or its events, as Anthropic's API sends them."),
    openapi_extra=_body(EXAMPLE),
)
async def messages(request: Request) -> Response:
    """The Messages API."""
    return await _served(request, "messages", _messages)


@router.post(
    "/chat/completions",
    response_class=Response,
    responses=_ok("A chat completion, or its chunks, as OpenAI's API sends them."),
    openapi_extra=_body(EXAMPLE),
)
async def chat_completions(request: Request) -> Response:
    """OpenAI's chat completions."""
    return await _served(request, "chat.completions", _completions)


@router.post(
    "/messages/count_tokens",
    response_class=Response,
    responses=_ok("The tokens of a prompt."),
    openapi_extra=_body({"model": EXAMPLE["model"], "messages": HI}),
)
async def count_tokens(request: Request) -> Response:
    """How long a prompt would be. No call of the model, so it has no row."""
    caller_of(request, "ask")
    gateway, body = gateway_of(request), await request.body()

    async def count() -> Response:
        response = await gateway.send("/v1/messages/count_tokens", body, request.headers)
        try:
            content = await _read(response, gateway)
        finally:
            await response.aclose()
        return Response(content, response.status_code, passed_on(response))

    return await while_connected(request.receive, count())


@router.get("/models", response_class=Response, responses=_ok("The models, in the fields of both APIs."))
async def models(request: Request) -> Response:
    """Which models there are: one."""
    caller_of(request, "ask")
    row = _row(request)
    page = {"has_more": False, "first_id": row["id"], "last_id": row["id"]}
    return reply({"object": "list", "data": [row], **page})


@router.get("/models/{name:path}", response_class=Response, responses=_ok("A model."))
async def model(request: Request, name: str) -> Response:
    """One of them."""
    caller_of(request, "ask")
    row = _row(request)
    if name != row["id"]:
        raise ApiError(404, "not_found_error", f"model: {name[:80]} (here is {row['id']})")
    return reply(row)


def gateway_of(request: Request) -> Gateway:
    """The way to the engine.

    Raises:
        ApiError: this server has none (it is scripted).
    """
    gateway: Gateway | None = request.app.state.gateway
    if gateway is None:
        raise ApiError(404, "not_found_error", "this server has no model: its answers are scripted")
    return gateway


def _row(request: Request) -> dict[str, Any]:
    gateway, began = gateway_of(request), request.app.state.began
    return {
        "id": gateway.model,
        "object": "model",
        "type": "model",
        "display_name": gateway.model,
        "created": int(began.timestamp()),
        "created_at": began.isoformat(timespec="seconds"),
        "owned_by": gateway.engine,
    }


async def _served(request: Request, route: str, how: Any) -> Response:
    """A reply that `how` writes, once it is known who asks."""
    caller, gateway, body = caller_of(request, "ask"), gateway_of(request), await request.body()
    service = service_of(request)
    return Live(lambda sender: how(Served(request, service, gateway, sender, body, caller, route)))


async def _messages(served: Served) -> None:
    """As it came, and back as it comes; the last event waits for the row."""
    sender, held, whole = served.sender, list[bytes](), None
    try:
        async with (
            served.service.recorded(served.call, served.began, served.opened),
            served.service.turn(served.call, served.began),
        ):
            tally, response = Tally(), await served.post(served.body)
            try:
                if is_stream(response):
                    await sender.start(200, passed_on(response))
                    async for got in served.events(response, tally):
                        if got.name == "message_stop" or held:
                            held.append(got.raw)
                        else:
                            await sender.write(got.raw)
                else:
                    whole = await _read(response, served.gateway)
                    _count(served, tally, response.status_code, whole)
            finally:
                await response.aclose()
    except ApiError as refusal:
        if not sender.started:
            raise
        await sender.end(event("error", shaped(refusal, "/v1/messages")))
        return
    if whole is None:
        await sender.end(*held)
    else:
        await sender.start(response.status_code, {**passed_on(response), "content-length": str(len(whole))})
        await sender.end(whole)


async def _completions(served: Served) -> None:
    """Told in the other API's words, there and back."""
    sender, last, whole, status = served.sender, list[bytes](), None, 200
    wanted = served.parsed
    try:
        async with (
            served.service.recorded(served.call, served.began, served.opened),
            served.service.turn(served.call, served.began),
        ):
            if wanted is None:
                raise openai_format.wrong("the request body is not valid JSON")
            told = openai_format.to_messages(wanted)
            chunks = openai_format.Chunks(told["model"], with_usage=openai_format.wants_usage(wanted))
            tally, response = Tally(), await served.post(to_json(told))
            try:
                if is_stream(response):
                    await sender.start()
                    async for got in served.events(response, tally):
                        is_event = isinstance(got.data, dict) and tally.error is None
                        for chunk in chunks.of(got.data) if is_event else ():
                            await sender.write(event(None, chunk))
                    if tally.error is not None:
                        message = str(tally.error.get("message") or "the engine broke off its answer")
                        raise ApiError(502, error_type_of({"error": tally.error}), message)
                    last = [event(None, each) for each in chunks.end(tally.stop_reason, tally.usage)]
                else:
                    status, content = response.status_code, await _read(response, served.gateway)
                    body = _count(served, tally, status, content)
                    whole = to_json(openai_format.completion(body) if status == 200 else _as_openai(body))
            finally:
                await response.aclose()
    except ApiError as refusal:
        if not sender.started:
            raise
        await sender.end(event(None, shaped(refusal, "/v1/chat/completions")))
        return
    if whole is None:
        await sender.end(*last, b"data: [DONE]\n\n")
    else:
        headers = {**passed_on(response), "content-type": "application/json"}
        await sender.start(status, {**headers, "content-length": str(len(whole))})
        await sender.end(whole)


def is_stream(response: httpx2.Response) -> bool:
    """Whether events come."""
    kind = response.headers.get("content-type", "")
    return response.status_code == 200 and kind.startswith("text/event-stream")


async def _read(response: httpx2.Response, gateway: Gateway) -> bytes:
    try:
        return await response.aread()
    except Exception as error:
        raise refusal_of(error, gateway.engine) from None


def _count(served: Served, tally: Tally, status: int, content: bytes) -> Any:
    """Note a reply that came in one piece; its JSON.

    Raises:
        ApiError: it is none of the API's.
    """
    try:
        body: Any = from_json(content)
    except ValueError:
        body = None
    if status != 200:
        served.failed(status, body)
        return body
    tally.whole(body)
    if not tally.ended:
        raise ApiError(
            502, "api_error", f"the engine {served.gateway.engine} does not speak the Messages API"
        )
    tally.fill(served.call)
    return body


def _as_openai(body: Any) -> dict[str, Any]:
    """An engine's error in OpenAI's format."""
    found = body.get("error") if isinstance(body, dict) else None
    message = found.get("message") if isinstance(found, dict) else None
    refusal = ApiError(502, error_type_of(body), str(message or "the engine refuses the request"))
    return shaped(refusal, "/v1/chat/completions")
