"""One call of a model on its way through the service: what came, the engine's reply, and its row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from fastapi import Request
from pydantic_core import from_json

from step5_serving.api.live import Received, Sender, events_of
from step5_serving.api.replies import trace_of
from step5_serving.api.service import Service
from step5_serving.api.trace import Caller, Trace
from step5_serving.api.usage import Tally, parameters_of, question_of
from step5_serving.engines.gateway import Gateway, error_type_of, refusal_of
from step5_serving.errors import ApiError
from step5_serving.telemetry.call import Call


class Served:
    """One call of a model on its way through the service."""

    def __init__(
        self,
        request: Request,
        service: Service,
        gateway: Gateway,
        sender: Sender,
        body: bytes,
        caller: Caller,
        route: str,
    ) -> None:
        self.request, self.service, self.gateway = request, service, gateway
        self.sender, self.body = sender, body
        try:
            self.parsed: Any = from_json(body, allow_inf_nan=False)
        except ValueError:
            self.parsed = None  # the engine will say what is wrong with it
        trace: Trace = trace_of(request)
        self.call: Call = service.begin(route, caller, trace)
        self.call.model, self.call.engine = gateway.model, gateway.engine
        self.call.question = question_of(self.parsed)
        self.call.parameters = parameters_of(self.parsed)
        self.began = time.perf_counter()
        is_stream = isinstance(self.parsed, dict) and self.parsed.get("stream") is True
        self.opened = asyncio.Event() if is_stream else None

    async def post(self, body: bytes) -> httpx2.Response:
        return await self.gateway.send("/v1/messages", body, self.request.headers)

    def failed(self, status: int, body: Any) -> None:
        """The engine refuses, in its own words."""
        self.call.status, self.call.error_type = status, error_type_of(body)

    async def events(self, response: httpx2.Response, tally: Tally) -> AsyncIterator[Received]:
        """The engine's events, counted.

        Raises:
            ApiError: they broke off.
        """
        try:
            async for got in events_of(response.aiter_raw()):
                tally.add(got.data)
                yield got
        except Exception as error:
            tally.fill(self.call)
            raise refusal_of(error, self.gateway.engine) from None
        tally.fill(self.call)
        if tally.error is not None:
            self.failed(502, {"error": tally.error})
        elif not tally.ended:
            raise ApiError(
                502, "api_error", f"the engine {self.gateway.engine} broke off its answer: try again"
            )
