"""The embedded model in place of a server: an HTTP transport for the SDK that answers in this process.

    client = anthropic.Anthropic(
        api_key="none",
        base_url="http://embedded.invalid",
        http_client=httpx2.Client(transport=EmbeddedTransport(load_settings())),
    )

It answers POST /v1/messages (as JSON, or as server-sent events) with the statuses, headers and errors of the
API. Nothing is sent over a network, and timeouts are ignored. Ctrl-C and closing a stream stop the model at
the next token.

Source: https://docs.claude.com/en/api/errors
"""

from collections.abc import Generator

import anthropic
import httpx2

from shared.config import Settings
from shared.embedded import endpoint
from shared.embedded.backend import Backend, get_backend
from shared.errors import UserError


class Unavailable(UserError, anthropic.AnthropicError):
    """The model is not available. The SDK passes an AnthropicError on as it is, without a retry."""


class EmbeddedTransport(httpx2.BaseTransport):
    """Answers the SDK's requests with the settings' model, in the caller's thread.

    Raises:
        UserError: there is no such model, or it can't chat.
    """

    def __init__(self, settings: Settings, backend: Backend | None = None) -> None:
        self.model = settings.model
        self._backend = backend or get_backend(settings)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response to a request; errors become responses with an error status.

        Raises:
            Unavailable: the model is not available.
        """
        content = request.read()
        try:
            events, as_stream = endpoint.handle(
                request.method, request.url.path, content, self.model, self._backend
            )
            if as_stream:
                headers = {**endpoint.response_headers(), "content-type": "text/event-stream; charset=utf-8"}
                return httpx2.Response(200, headers=headers, stream=EventStream(events))
            message = endpoint.assemble_message(events)
            return httpx2.Response(200, headers=endpoint.response_headers(), json=message)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:
            status, body = endpoint.describe_error(error)
            headers = endpoint.response_headers(status)
            body["request_id"] = headers["request-id"]
            return httpx2.Response(status, headers=headers, json=body)


class EventStream(httpx2.SyncByteStream):
    """The events of an answer as bytes, each as soon as it is generated."""

    def __init__(self, events: Generator[endpoint.Event, None, None]) -> None:
        self.events = events

    def __iter__(self) -> Generator[bytes, None, None]:
        try:
            for event in self.events:
                yield endpoint.encode_event(event)
        except UserError as error:
            raise Unavailable(str(error)) from None
        except Exception as error:  # status 200 has been sent already
            yield endpoint.encode_event(endpoint.describe_error(error)[1])

    def close(self) -> None:
        """Stop generating."""
        self.events.close()
