"""Tokens while the model still writes: a call whose caller leaves has a cost, too.

    meter = Meter(client, count_tokens)
    ask(retriever, question, plan, meter, model)        # used like the client
    meter.spent()                                       # in another thread, at any time

A model says at the start how many tokens it has read, and only at the end how many it has written. Until it
does, both are counted in the text itself, with the tokens of another model, so these are estimates.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic

from shared.chat.usage import input_tokens
from step5_serving.telemetry.prices import Spent


@dataclass
class Request:
    """One request to a model; the thread that waits for it fills it in."""

    prompt: str
    pieces: list[str] = field(default_factory=list)  # of the answer, so far
    read: int | None = None  # tokens of the prompt, once the model has said so
    written: int | None = None  # tokens of the answer, once it is whole


@dataclass(frozen=True)
class Watched:
    """What a reader uses of the SDK's stream."""

    text_stream: Iterator[str]
    get_final_message: Callable[[], anthropic.types.Message]


class Meter:
    """A client of the Messages API, for one call, that knows what has been read and written so far."""

    def __init__(self, client: anthropic.Anthropic, count_tokens: Callable[[str], int]) -> None:
        self.messages = self  # it is asked like the SDK's client: `client.messages.stream(...)`
        self._client, self._count = client, count_tokens
        self._requests: list[Request] = []

    def spent(self, *, started: bool = False) -> Spent | None:
        """The tokens of all requests so far; None if there were none.

        Args:
            started: only those of requests that the model has begun to answer.
        """
        requests = [each for each in self._requests if each.read is not None or not started]
        if not requests:
            return None
        read = written = 0
        for each in requests:
            read += self._count(each.prompt) if each.read is None else each.read
            written += self._count("".join(each.pieces)) if each.written is None else each.written
        return Spent(read, written)

    @contextlib.contextmanager
    def stream(self, **request: Any) -> Iterator[Watched]:
        """Like the SDK's."""
        own = self._begin(request)
        with self._client.messages.stream(**request) as stream:

            def texts() -> Iterator[str]:
                for text in stream.text_stream:
                    own.read = input_tokens(stream.current_message_snapshot.usage)
                    own.pieces.append(text)
                    yield text

            yield Watched(texts(), stream.get_final_message)

    def create(self, **request: Any) -> anthropic.types.Message:
        """Like the SDK's. It can't be stopped, so until it returns all that it may write is counted."""
        own = self._begin(request)
        own.written = request["max_tokens"]
        message = self._client.messages.create(**request)
        own.read, own.written = input_tokens(message.usage), message.usage.output_tokens
        return message

    def _begin(self, request: dict[str, Any]) -> Request:
        texts = [str(request.get("system", ""))]
        texts += [str(message["content"]) for message in request["messages"]]
        own = Request("\n\n".join(texts))
        self._requests.append(own)
        return own
