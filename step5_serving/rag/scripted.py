"""An Answerer without a model: a fixed passage, a fixed answer. For tests, and to measure the API itself.

    >>> scripted = ScriptedAnswerer(text="Two years. [1]")
    >>> (await scripted.answer(Query(question="How long?"))).text
    'Two years. [1]'

It can be slow (`delay`: seconds before the first word; `pace`: seconds per word), wait for an event
(`gate`), or fail (`error`); `asked`, `running` and `cancelled` count its calls. By default it answers
without yielding to the event loop, so that only the API's own time is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from step5_serving.errors import not_found
from step5_serving.seam import Answered, Attempt, PromptRef, Query, Retrieved, Source, Tell, Write, nothing

TEXT = "This agreement renews for two years unless a party gives 90 days notice."
ANSWER = "It renews for two years unless a party gives 90 days notice. [1]"
TIMES = {"retrieve": 4.0, "rerank": 1.5, "generate": 20.0}  # ms
CONFIDENCE = 0.97


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


SOURCE = Source(1, "contracts/supply-brightwell.md", "Renewal", TEXT, 1, _sha256(TEXT))
PROMPTS = {
    version: PromptRef("answer", version, _sha256(text), text)
    for version in (1, 2)
    for text in [f"Answer from the sources, version {version}."]
}


@dataclass
class ScriptedAnswerer:
    """Gives everybody the same answer."""

    text: str = ANSWER
    input_tokens: int | None = 164
    delay: float = 0.0
    pace: float = 0.0
    gate: asyncio.Event | None = None
    error: Exception | None = None
    not_ready: str | None = None
    model: str = "scripted"
    engine: str = "scripted"
    # Bounded, so that a load test does not fill the memory.
    asked: deque[Query] = field(default_factory=lambda: deque(maxlen=1000))
    running: int = 0
    cancelled: int = 0
    is_closed: bool = False
    library: Any = None

    async def answer(
        self,
        query: Query,
        write: Write = nothing,
        tell: Tell = nothing,
        trace_id: str = "",  # noqa: ARG002
    ) -> Answered:
        self.asked.append(query)
        self.running += 1
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
        prompt = PROMPTS.get(query.prompt_version or 1)
        if prompt is None:
            known = ", ".join(map(str, PROMPTS))
            raise not_found(f"prompt_version {query.prompt_version} does not exist: there are {known}")
        search = Attempt(
            "question", query.question, CONFIDENCE, True, 0.0, TIMES["retrieve"], TIMES["rerank"]
        )
        tell(Retrieved(sources=[SOURCE], confidence=CONFIDENCE, attempts=[search]))
        for piece in re.findall(r"\S+\s*", self.text):
            if self.pace:
                await asyncio.sleep(self.pace)
            write(piece)
        if self.error:
            raise self.error
        return Answered(
            text=self.text,
            sources=[SOURCE],
            confidence=CONFIDENCE,
            attempts=[search],
            input_tokens=self.input_tokens,
            output_tokens=18,
            latency_ms=TIMES,
            prompt=prompt,
            model=self.model,
            engine=self.engine,
            finish_reason="end_turn",
            parameters={"k": query.k, "collection": query.collection, "reader": "chat"},
        )

    async def ready(self) -> str | None:
        return self.not_ready

    async def close(self) -> None:
        self.is_closed = True
