"""The seam without any model: fixed passages, a fixed answer. For tests, and for measuring the API itself.

    >>> scripted = ScriptedAnswerer(text="Two years. [1]")
    >>> (await scripted.answer(Query(question="How long?"))).text
    'Two years. [1]'

It can be slow (`delay`, seconds before the first word; `pace`, seconds a word), wait for a test's sign
(`gate`), or fail (`error`); `asked`, `running`, `cancelled` say what became of its calls. With none of these
it answers without giving up the event loop once, so that what one measures is the API.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from step5_serving.errors import not_found
from step5_serving.seam import (
    Answered,
    Attempt,
    PromptRef,
    Query,
    Retrieved,
    Source,
    Tell,
    Write,
    nothing,
)

TEXT = "This agreement renews for two years unless a party gives 90 days notice."
ANSWER = "It renews for two years unless a party gives 90 days notice. [1]"


def source_of(text: str, document: str = "contracts/supply-brightwell.md", number: int = 1) -> Source:
    """A passage with the hash that belongs to it."""
    return Source(number, document, "Renewal", text, number, hashlib.sha256(text.encode()).hexdigest())


def prompt_of(version: int) -> PromptRef:
    """A made-up prompt; every version has a hash of its own."""
    text = f"Answer from the sources, version {version}."
    return PromptRef("answer", version, hashlib.sha256(text.encode()).hexdigest(), text)


@dataclass
class ScriptedAnswerer:
    """Says the same to everybody."""

    text: str = ANSWER
    sources: list[Source] = field(default_factory=lambda: [source_of(TEXT)])
    confidence: float | None = 0.97
    attempts: list[Attempt] | None = None  # None: one, with the question as it was asked
    abstained: bool = False
    input_tokens: int | None = 164
    output_tokens: int | None = 18
    latency_ms: dict[str, float] = field(
        default_factory=lambda: {"retrieve": 4.0, "rerank": 1.5, "generate": 20.0}
    )
    delay: float = 0.0
    pace: float = 0.0
    gate: asyncio.Event | None = None
    error: Exception | None = None
    not_ready: str | None = None
    versions: tuple[int, ...] = (1, 2)
    model: str = "scripted"
    engine: str = "scripted"
    # The last ones only: a load test must not fill the memory.
    asked: deque[Query] = field(default_factory=lambda: deque(maxlen=1000))
    running: int = 0
    most_running: int = 0
    cancelled: int = 0
    is_closed: bool = False

    def __post_init__(self) -> None:
        self._pieces = re.findall(r"\S+\s*", self.text)
        self._prompts = {version: prompt_of(version) for version in self.versions}

    async def answer(self, query: Query, write: Write = nothing, tell: Tell = nothing) -> Answered:
        self.asked.append(query)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._answer(query, write, tell)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _answer(self, query: Query, write: Write, tell: Tell) -> Answered:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.gate:
            await self.gate.wait()
        prompt = self._prompts.get(query.prompt_version or 1)
        if prompt is None:
            known = ", ".join(map(str, self.versions))
            raise not_found(f"prompt_version {query.prompt_version} does not exist: there are {known}")
        attempts = self.attempts or [Attempt("asked", query.question, self.confidence)]
        sources = self.sources[: query.k]
        tell(Retrieved(sources, self.confidence, attempts))
        for piece in self._pieces:
            if self.pace:
                await asyncio.sleep(self.pace)
            write(piece)
        if self.error:
            raise self.error
        return Answered(
            text=self.text,
            abstained=self.abstained,
            sources=sources,
            confidence=self.confidence,
            attempts=attempts,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            latency_ms=dict(self.latency_ms),
            prompt=prompt,
            model=self.model,
            engine=self.engine,
            finish_reason="end_turn",
            parameters={"k": query.k, "collection": query.collection, "reader": "chat"},
        )

    async def again(
        self, query: Query, sources: list[Source], prompt: PromptRef | None, parameters: dict[str, Any]
    ) -> Answered:
        answered = await self.answer(query.model_copy(update={"prompt_version": None}))
        answered.sources, answered.prompt, answered.parameters = sources, prompt, parameters
        return answered

    async def ready(self) -> str | None:
        return self.not_ready

    async def close(self) -> None:
        self.is_closed = True
