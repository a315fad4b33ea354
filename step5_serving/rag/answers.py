"""The seam on step 3: its search and its readers, in threads, with what they took and how to stop them.

    answerer = RagAnswerer(config, serving, versions)
    answered = await answerer.answer(Query(question="When does it renew?"), write=print)

Step 3 is written for one person who waits: it blocks. So every question has a thread of its own while it is
answered. Text comes back into the event loop piece by piece; when the task that waits is cancelled, the next
piece raises in the thread, which closes the model's stream, and that stops the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import httpx2

from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, not_found
from step5_serving.rag.cancelling import ModelCalls, Stopped
from step5_serving.rag.loading import Opened, Opening
from step5_serving.rag.wording import refusal_of, refusing, retrieved
from step5_serving.seam import Answered, PromptRef, Query, Retrieved, Source, Tell, Write, nothing
from step5_serving.telemetry.versions import Versions, prompt_of, ref_of


class RagAnswerer:
    """Answers from the index of step 3."""

    def __init__(self, config: Config, serving: Engine, versions: Versions) -> None:
        self.config, self.serving, self.versions = config, serving, versions
        self.model, self.engine = serving.model, serving.name
        self.threads = ThreadPoolExecutor(config.running, "answering")
        self.calls = ModelCalls()
        self.opening = Opening(config, serving, self.calls)
        self.opened, self.ready = self.opening.opened, self.opening.ready

    @cached_property
    def library(self) -> Any:
        """The documents behind the answers (library.py)."""
        from step5_serving.rag.library import Library

        return Library(self.opening)

    def pick(self, trace_id: str) -> int | None:
        return self.versions.pick(trace_id)

    async def close(self) -> None:
        self.threads.shutdown(wait=False)
        await asyncio.to_thread(self.serving.close)

    # --- answering ----------------------------------------------------------------------------------------

    async def answer(self, query: Query, write: Write = nothing, tell: Tell = nothing) -> Answered:
        opened, loop = await self.opened(), asyncio.get_running_loop()

        def work(stopped: threading.Event) -> Answered:
            def handing(to: Callable[[Any], None]) -> Callable[[Any], None]:
                """What a thread gives, for the loop's thread, until nobody waits."""

                def hand(item: Any) -> None:
                    if stopped.is_set():
                        raise Stopped
                    loop.call_soon_threadsafe(to, item)

                return hand

            return self._ask(opened, stopped, query, handing(write), handing(tell))

        return await self._in_thread(work)

    async def again(
        self, query: Query, sources: list[Source], prompt: PromptRef | None, parameters: dict[str, Any]
    ) -> Answered:
        opened = await self.opened()
        return await self._in_thread(
            lambda stopped: self._read(opened, stopped, query.question, sources, prompt, parameters)
        )

    async def _in_thread(self, work: Callable[[threading.Event], Answered]) -> Answered:
        """Run it; the event tells it that nobody waits any more."""
        stopped = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work, stopped)
        finally:
            stopped.set()

    def _ask(
        self, opened: Opened, stopped: threading.Event, query: Query, write: Write, tell: Tell
    ) -> Answered:
        """Step 3's `ask`, in a thread. The gate is held for the search, not while a model writes."""
        from step3_rag.options import check_question
        from step3_rag.pipeline import ChatError, ask

        found: Retrieved | None = None
        with contextlib.ExitStack() as held, refusing():
            held.enter_context(opened.gate.reading())
            plan = self._plan(opened, query)
            client = self.calls.watched(opened.client, stopped) if plan.needs_chat else None

            def told(reflection: Any, sources: list[Any]) -> None:
                nonlocal found
                held.close()
                found = retrieved(reflection, sources)
                tell(found)

            try:
                outcome = ask(
                    opened.retriever, check_question(query.question), plan, client, self.model, write, told
                )
            except ChatError as error:
                found = found or retrieved(error.reflection, error.sources)
                raise refusal_of(error.cause, self.serving.settings, found) from None
        assert found is not None
        silent = not found.sources or (outcome.reflection.verdict == "abstain" and plan.abstain)
        answered = self._answered(outcome.answer, plan, found, silent=silent)
        rerank = sum(each.rerank_ms or 0.0 for each in found.attempts)
        answered.latency_ms = {
            "retrieve": 1000 * outcome.seconds["search"] - rerank,  # with the evaluator, and rewriting
            "rerank": rerank,
            "generate": 1000 * outcome.seconds["answer"],
        }
        answered.parameters = {**self._parameters(plan), "verdict": outcome.reflection.verdict}
        rewriting = outcome.rewriting  # a model may read and write while searching, too
        answered.input_tokens = _sum(answered.input_tokens, rewriting.input_tokens)
        answered.output_tokens = _sum(answered.output_tokens, rewriting.output_tokens)
        if rewriting.input_tokens != 0:  # then it is the model's price, also of a quote
            answered.parameters["rewriting_tokens"] = [rewriting.input_tokens, rewriting.output_tokens]
            answered.model = self.model
        return answered

    def _read(
        self,
        opened: Opened,
        stopped: threading.Event,
        question: str,
        sources: list[Source],
        prompt: PromptRef | None,
        parameters: dict[str, Any],
    ) -> Answered:
        """The reader alone, in a thread."""
        import anthropic

        from step3_rag.answer import read
        from step3_rag.answer.context import Source as Passage
        from step3_rag.pipeline import Plan

        passages = [
            Passage(each.number, each.document, each.place, each.text, (each.chunk,)) for each in sources
        ]
        plan = Plan(reader="chat" if prompt else "quote", prompt=prompt_of(prompt) if prompt else None)
        silent = not passages or parameters.get("verdict") == "abstain"
        began = time.perf_counter()
        with refusing():
            if silent:
                answer = read.Answer(read.UNKNOWN)
            elif prompt is None:
                answer = read.quote(question, passages, opened.retriever.embedder, opened.retriever.rarity)
            else:
                client = self.calls.watched(opened.client, stopped)
                try:
                    answer = read.chat(client, self.model, question, passages, prompt=plan.prompt)
                except (anthropic.AnthropicError, httpx2.TransportError) as error:
                    raise refusal_of(error, self.serving.settings, None) from None
        answered = self._answered(answer, plan, Retrieved(sources=sources), silent=silent)
        answered.latency_ms = {"generate": 1000 * (time.perf_counter() - began)}
        answered.parameters, answered.prompt = parameters, prompt
        return answered

    def _answered(self, answer: Any, plan: Any, found: Retrieved, *, silent: bool) -> Answered:
        """What a reader gave. Where no chat model wrote, it used no tokens, which is known.

        Raises:
            ApiError: the model broke off.
        """
        chat = plan.reader == "chat"
        wrote = chat and not silent
        if wrote and answer.stop_reason is None:  # as of a connection that is closed in the middle
            why = f"{self.model}: it broke off its answer: ask again"
            raise ApiError(502, "api_error", why, retrieved=found)
        return Answered(
            text=answer.text,
            abstained=answer.is_unknown,
            sources=found.sources,
            confidence=found.confidence,
            attempts=found.attempts,
            input_tokens=answer.input_tokens if wrote else 0,
            output_tokens=answer.output_tokens if wrote else 0,
            prompt=ref_of(plan.prompt) if chat else None,
            model=self.model if chat else "quote",
            engine=self.engine if chat else "step3_rag",
            finish_reason=answer.stop_reason,
        )

    def _parameters(self, plan: Any) -> dict[str, Any]:
        """All that it takes to make the call again."""
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

    def _plan(self, opened: Opened, query: Query) -> Any:
        """How to answer this one.

        Raises:
            ApiError: it names a collection or a version of the prompt that is not there.
        """
        from step3_rag.pipeline import STRATEGIES, Plan
        from step3_rag.reflect.reflect import THRESHOLD
        from step3_rag.retrieve.search import Options

        _ = opened.retriever.snapshot  # as the index is now
        if query.collection is not None and query.collection not in opened.retriever.collections:
            known = ", ".join(sorted(opened.retriever.collections)) or "none"
            raise not_found(f"collection {query.collection!r} is not in the index: it has {known}")
        reader = self.config.reader if query.reader == "auto" else query.reader
        threshold = THRESHOLD if self.config.threshold is None else self.config.threshold
        return Plan(
            Options(k=query.k, collections=(query.collection,) if query.collection else ()),
            STRATEGIES if self.config.strategies is None else self.config.strategies,
            threshold,
            threshold > 0,
            reader,
            self.config.context_tokens,
            self._prompt(query.prompt_version) if reader == "chat" else None,
        )

    def _prompt(self, version: int | None) -> Any:
        if version is None:  # the service draws one before it asks; `replay` and tests may leave it open
            version = max(self.versions.shares, key=lambda each: self.versions.shares[each])
        if version not in self.versions.known:
            there = ", ".join(map(str, sorted(self.versions.known)))
            raise not_found(f"prompt_version {version} does not exist: there are {there}")
        return self.versions.known[version]


def _sum(one: int | None, other: int | None) -> int | None:
    """Of two counts; unknown where one of them is."""
    return None if one is None or other is None else one + other
