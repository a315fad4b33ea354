"""The way to the model itself: what is posted to /v1/messages goes on to the engine as it came.

    gateway = Gateway.of(serving)
    response = await gateway.send("/v1/messages", body, headers)       # an httpx2.Response, not yet read
    async for chunk in response.aiter_raw(): ...

An engine of ours is reached through `EmbeddedTransport`, any other over HTTP: to the caller, and to the
rest of the service, both are the same httpx2 client. Bodies are handed through as bytes, both ways, so that
the service costs an engine next to nothing; its errors keep their words and their status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from shared.errors import UserError, reason
from step5_serving.errors import ApiError

if TYPE_CHECKING:
    from step5_serving.engines.choice import Serving

TO_ENGINE = ("anthropic-version", "anthropic-beta")
TO_CALLER = ("content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry")
VERSION = "2023-06-01"  # of the Messages API
CONNECT_S = 5.0


class Gateway:
    """An open way to one engine."""

    def __init__(
        self, client: httpx2.AsyncClient, model: str, engine: str, own: Mapping[str, str] | None = None
    ) -> None:
        """`own` are headers of ours, the engine's key among them."""
        self.client, self.model, self.engine = client, model, engine
        self._own = dict(own or {})

    @classmethod
    def of(cls, serving: Serving, timeout_s: float) -> Gateway:
        """To the engine that was chosen; loads nothing and asks nobody.

        Raises:
            UserError: Claude without a key.
        """
        timeout = httpx2.Timeout(timeout_s, connect=CONNECT_S)
        if serving.backend is not None:
            from shared.embedded.transport import EmbeddedTransport

            transport = EmbeddedTransport(serving.settings, answering=serving.backend)
            client = httpx2.AsyncClient(transport=transport, base_url="http://embedded.invalid")
            return cls(client, serving.model, serving.name)
        sdk = serving.async_client()
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        client = httpx2.AsyncClient(base_url=str(sdk.base_url), timeout=timeout, limits=limits)
        own = {name: value for name, value in sdk.auth_headers.items() if isinstance(value, str)}
        return cls(client, serving.model, serving.name, own)

    async def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Post; the reply's body is still to be read, and the reply to be closed.

        Raises:
            ApiError: the engine can't be reached (503), or says nothing in time (504).
        """
        given = {name: headers.get(name, "") for name in TO_ENGINE}
        passed = {name: value for name, value in given.items() if value and value.isascii()}
        fixed = {"content-type": "application/json", "accept-encoding": "identity"}
        fixed |= {"anthropic-version": VERSION, **passed, **self._own}
        try:
            request = self.client.build_request("POST", path, content=body, headers=fixed)
            return await self.client.send(request, stream=True)
        except Exception as error:
            raise refusal_of(error, self.engine) from None

    async def close(self) -> None:
        await self.client.aclose()


def refusal_of(error: Exception, engine: str) -> ApiError:
    """What to tell the caller when the way to the engine fails.

    Raises:
        Exception: the error itself, where it is none of these.
    """
    if isinstance(error, UserError):  # our own model can't be had
        return ApiError(503, "api_error", str(error))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        text = f"the engine {engine} can't be reached ({reason(error)}): try again when it is back"
        return ApiError(503, "api_error", text, retry_after=5)
    if isinstance(error, httpx2.TimeoutException):
        return ApiError(504, "timeout_error", f"the engine {engine} sends nothing any more: try again later")
    if isinstance(error, httpx2.TransportError):
        text = f"the connection to the engine {engine} broke off ({reason(error)}): try again"
        return ApiError(502, "api_error", text)
    raise error


def passed_on(response: httpx2.Response) -> dict[str, str]:
    """The headers of the engine's reply that are the caller's to see."""
    return {
        name: value
        for name, value in response.headers.items()
        if name in TO_CALLER or name.startswith("anthropic-ratelimit-")
    }


def error_type_of(body: Any) -> str:
    """The type that an engine's error has, in either API's format."""
    found = body.get("error") if isinstance(body, dict) else None
    kind = found.get("type") if isinstance(found, dict) else None
    return str(kind)[:60] if kind else "api_error"
