"""The embedded model where the SDK expects a server: a transport that answers in the process.

    client = anthropic.Anthropic(
        api_key="none",
        base_url="http://embedded.invalid",
        http_client=httpx2.Client(transport=EmbeddedTransport(load_settings())),
    )

It answers POST /v1/messages (as JSON, or as server-sent events) and POST /v1/messages/count_tokens, with the
statuses, headers and errors of the API. Nothing is sent anywhere. Time-outs are not kept: they are for
networks. Ctrl-C stops the model, and so does closing a stream, at the next token.

Source: https://docs.claude.com/en/api/errors
"""

from __future__ import annotations

from collections.abc import Generator

import anthropic
import httpx2

from shared.config import Settings
from shared.embedded import backend, endpoint, stream
from shared.errors import UserError


class Unavailable(UserError, anthropic.AnthropicError):
    """The model can't be had. Being of the SDK's own kind, it passes through the SDK as it is, at once."""


class EmbeddedTransport(httpx2.BaseTransport):
    """Answers what the SDK sends with the settings' model, in the thread of the caller.

    Raises:
        UserError: there is no such model, or it can't chat.
    """

    def __init__(self, settings: Settings, answering: backend.Backend | None = None) -> None:
        self.model = settings.model
        self._backend = answering or backend.backend(settings)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The reply to a request; errors are replies, too.

        Raises:
            Unavailable: the model can't be had.
        """
        path, content = request.url.path, request.read()
        try:
            begun = endpoint.begin(request.method, path, content, self.model, self._backend)
            if isinstance(begun, endpoint.Reply) and begun.wanted:
                headers = {**endpoint.headers_of(), "content-type": "text/event-stream; charset=utf-8"}
                return httpx2.Response(200, headers=headers, stream=Events(begun.events))
            body = stream.whole(begun.events) if isinstance(begun, endpoint.Reply) else begun
            return httpx2.Response(200, headers=endpoint.headers_of(), json=body)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:
            status, body = endpoint.describe(error)
            headers = endpoint.headers_of(status)
            body["request_id"] = headers["request-id"]
            return httpx2.Response(status, headers=headers, json=body)


class Events(httpx2.SyncByteStream):
    """The events of an answer, each sent as soon as it is there."""

    def __init__(self, events: Generator[stream.Event, None, None]) -> None:
        self.events = events

    def __iter__(self) -> Generator[bytes, None, None]:
        try:
            for event in self.events:
                yield endpoint.encode(event)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:  # 200 has been said already
            yield endpoint.encode(endpoint.describe(error)[1])

    def close(self) -> None:
        """Stop the model."""
        self.events.close()
