"""Answers from step 3: its search and its readers, in threads, with times, tokens and cancellation.

    answerer = RagAnswerer(config, engine, versions)
    answered = await answerer.answer(Query(question="When does it renew?"), write=print)

Step 3 blocks, so each question has a thread while it is answered. Text returns to the event loop piece by
piece. When the task that waits is cancelled, the next byte from the model (text or a ping) raises in the
thread, which closes the model's stream, and that stops the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import httpx2

from shared.errors import UserError
from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, not_found, unavailable
from step5_serving.rag.loading import Loader
from step5_serving.rag.wording import model_error, retrieved
from step5_serving.seam import Answered, Query, Retrieved, Tell, Write, nothing
from step5_serving.telemetry.versions import Versions, to_ref

if TYPE_CHECKING:
    import anthropic


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class HeardStream(httpx2.SyncByteStream):
    """The bytes of a reply; `heard` is called for each piece, and may raise."""

    def __init__(self, inner: Any, heard: Callable[[], None]) -> None:
        self._inner, self._heard = inner, heard

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._inner:
            self._heard()
            yield piece

    def close(self) -> None:
        self._inner.close()


class RagAnswerer:
    """Answers from the index of step 3."""

    def __init__(self, config: Config, engine: Engine, versions: Versions) -> None:
        self.config, self.serving, self.versions = config, engine, versions
        self.model, self.engine = engine.model, engine.name
        self.threads = ThreadPoolExecutor(config.running, "answering")
        self._asking: set[threading.Event] = set()  # of the answers that have asked the model
        self._heard_at = 0.0  # when it last sent something to one of them
        self.loader = Loader(config, engine, self.silence)
        self.retriever, self.ready = self.loader.retriever, self.loader.ready

    @cached_property
    def library(self) -> Any:
        """The documents behind the answers (library.py)."""
        from step5_serving.rag.library import Library

        return Library(self.loader)

    async def close(self) -> None:
        self.threads.shutdown(wait=False)
        await asyncio.to_thread(self.serving.close)

    async def answer(
        self, query: Query, write: Write = nothing, tell: Tell = nothing, trace_id: str = ""
    ) -> Answered:
        query = query.model_copy(
            update={"prompt_version": query.prompt_version or self.versions.pick(trace_id)}
        )
        retriever, loop, stopped = await self.retriever(), asyncio.get_running_loop(), threading.Event()

        def in_loop(function: Callable[[Any], None]) -> Callable[[Any], None]:
            """Call the function in the event loop's thread; raise Stopped if nobody waits any more."""

            def call(item: Any) -> None:
                if stopped.is_set():
                    raise Stopped
                loop.call_soon_threadsafe(function, item)

            return call

        work = partial(self._ask, retriever, stopped, query, in_loop(write), in_loop(tell))
        try:
            return await loop.run_in_executor(self.threads, work)
        finally:
            stopped.set()

    def silence(self) -> float:
        """Seconds since the model sent anything to anyone; 0 if nobody waits for it."""
        return time.monotonic() - self._heard_at if self._asking else 0.0

    # --- in a thread --------------------------------------------------------------------------------------

    def _ask(
        self, retriever: Any, stopped: threading.Event, query: Query, write: Write, tell: Tell
    ) -> Answered:
        """Step 3's `ask`. The index is locked for the search, not while the model writes."""
        from step3_rag.options import check_question
        from step3_rag.pipeline import ChatError, ask

        with contextlib.ExitStack() as reading:
            reading.enter_context(retriever.lock.reading())

            def on_found(reflection: Any, sources: list[Any]) -> None:
                reading.close()
                tell(retrieved(reflection, sources))

            try:
                question, plan = check_question(query.question), self._plan(retriever, query)
                client = self._watched(self.loader.client, stopped) if plan.needs_chat else None
                outcome = ask(retriever, question, plan, client, self.model, write, on_found)
            except ChatError as error:
                found = retrieved(error.reflection, error.sources)
                raise model_error(error.cause, self.serving.settings, found) from None
            except UserError as error:  # the vector store is gone, or the index damaged
                raise unavailable(str(error), 5) from None
            finally:
                self._asking.discard(stopped)
        found = retrieved(outcome.reflection, outcome.sources)
        return self._answered(outcome, plan, found)

    def _watched(self, client: anthropic.Anthropic, stopped: threading.Event) -> anthropic.Anthropic:
        """The client, with calls that end at the next byte once `stopped` is set."""

        def heard() -> None:
            self._heard_at = time.monotonic()
            if stopped.is_set():
                raise Stopped

        def call(request: Any, call_next: Any) -> Any:
            if not self._asking:
                self._heard_at = time.monotonic()
            self._asking.add(stopped)
            response = call_next(request)
            self._heard_at = time.monotonic()
            response.http_response.stream = HeardStream(response.http_response.stream, heard)
            return response

        return client.with_middleware(call)

    def _answered(self, outcome: Any, plan: Any, found: Retrieved) -> Answered:
        """The outcome of step 3; raises ApiError if the model broke off its answer."""
        answer, reads = outcome.answer, plan.reader == "chat"
        abstained = not found.sources or (outcome.reflection.verdict == "abstain" and plan.abstain)
        wrote = reads and not abstained
        if wrote and answer.stop_reason is None:  # the connection was closed in the middle
            message = f"{self.model}: it broke off its answer: ask again"
            raise ApiError(502, "api_error", message, retrieved=found)
        parameters = {**self._parameters(plan), "verdict": outcome.reflection.verdict}
        usage = outcome.rewriting  # tokens of the model during the search
        rewrote = usage.input_tokens != 0
        if rewrote:
            parameters["rewriting_tokens"] = [usage.input_tokens, usage.output_tokens]
        if wrote:
            usage.add(answer)
        rerank = sum(each.rerank_ms or 0.0 for each in found.attempts)
        return Answered(
            text=answer.text,
            abstained=answer.is_unknown,
            sources=found.sources,
            confidence=found.confidence,
            attempts=found.attempts,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            latency_ms={
                "retrieve": 1000 * outcome.seconds["search"] - rerank,  # with the evaluator and rewriting
                "rerank": rerank,
                "generate": 1000 * outcome.seconds["answer"],
            },
            prompt=to_ref(plan.prompt) if reads else None,
            model=self.model if reads or rewrote else "quote",  # for its price
            engine=self.engine if reads else "step3_rag",
            finish_reason=answer.stop_reason,
            parameters=parameters,
        )

    def _parameters(self, plan: Any) -> dict[str, Any]:
        """Everything that a replay needs."""
        from step3_rag.answer.read import MAX_TOKENS

        quantize = self.config.options.quantize
        return {
            "k": plan.options.k,
            "collection": next(iter(plan.options.collections), None),
            "reader": plan.reader,
            "strategies": list(plan.strategies),
            "threshold": plan.threshold,
            "budget": plan.budget,
            "max_tokens": MAX_TOKENS,
            **({"quantize": quantize} if quantize else {}),
        }

    def _plan(self, retriever: Any, query: Query) -> Any:
        """Step 3's plan for a query; raises ApiError if its collection or prompt version does not exist."""
        from step3_rag.pipeline import DEFAULT_STRATEGIES, Plan
        from step3_rag.reflect.reflect import THRESHOLD
        from step3_rag.retrieve.search import Options

        _ = retriever.snapshot  # brings `collections` up to date
        if query.collection is not None and query.collection not in retriever.collections:
            known = ", ".join(sorted(retriever.collections)) or "none"
            raise not_found(f"collection {query.collection!r} is not in the index: it has {known}")
        reader = self.config.reader if query.reader == "auto" else query.reader
        threshold = THRESHOLD if self.config.threshold is None else self.config.threshold
        return Plan(
            Options(k=query.k, collections=(query.collection,) if query.collection else ()),
            DEFAULT_STRATEGIES if self.config.strategies is None else self.config.strategies,
            threshold,
            threshold > 0,
            reader,
            self.config.context_tokens,
            self._prompt(query.prompt_version) if reader == "chat" else None,
        )

    def _prompt(self, version: int | None) -> Any:
        """The prompt of that version; raises ApiError if there is none."""
        if version not in self.versions.known:
            known = ", ".join(map(str, sorted(self.versions.known)))
            raise not_found(f"prompt_version {version} does not exist: there are {known}")
        return self.versions.known[version]
