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
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2

from shared.config import Settings
from shared.errors import UserError
from step5_serving.answering import (
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
from step5_serving.config import Config
from step5_serving.engines import Serving
from step5_serving.errors import Refusal
from step5_serving.telemetry.versions import Versions, prompt_of
from step5_serving.threads import Threads

RERANK = ("maxsim", "scorer", "rerank")  # stages of a search; the others are retrieval
TRY_AGAIN = 2.0  # seconds between attempts to open what could not be opened
LOADING = "loading the index and the model"
WARM_UP = "What are the terms of renewal?"


def prompts_folder() -> Path:
    """Step 3's prompts. Found without an import of step 3, which takes its time."""
    import step3_rag

    return Path(step3_rag.__file__).with_name("prompts")


def check_index(config: Config) -> None:
    """Look whether there is an index where one was named; the rest shows when it is opened.

    Raises:
        UserError: there is none, or no such store.
    """
    stores = ("chroma", "faiss", "weaviate", "pinecone")
    if config.store not in stores:
        raise UserError(f"--store {config.store} is not known: use {', '.join(stores)}")
    if config.index is not None and not (config.index / "index.sqlite").exists():
        raise UserError(
            f"no index in {config.index}: make one with "
            f"`python -m step3_rag ingest PATH --index {config.index}`"
        )


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class Watched(httpx2.SyncByteStream):
    """A reply's bytes, until nobody waits for them."""

    def __init__(self, inner: Any, stopped: threading.Event) -> None:
        self._inner, self._stopped = inner, stopped

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if self._stopped.is_set():
                raise Stopped
            yield chunk

    def close(self) -> None:
        self._inner.close()


@dataclass
class Opened:
    """What an answer needs, loaded."""

    retriever: Any  # SharedRetriever
    gate: Any  # Gate
    client: Any  # anthropic.Anthropic


class RagAnswerer:
    """Answers from the index of step 3."""

    def __init__(self, config: Config, serving: Serving, versions: Versions) -> None:
        self.config, self.serving, self.versions = config, serving, versions
        self.model, self.engine = serving.model, serving.name
        self.threads = Threads(config.running, "answering")
        self._own = threading.local()  # `stopped`: whether anybody waits for what this thread does
        self._opening = asyncio.Lock()
        self._opened: Opened | None = None
        self._trouble: tuple[float, str] | None = None  # when, and why it could not be opened

    @property
    def settings(self) -> Settings:
        return self.serving.settings

    @cached_property
    def library(self) -> Any:
        """The documents behind the answers (library.py)."""
        from step5_serving.library import Library

        return Library(self)

    # --- answering ----------------------------------------------------------------------------------------

    async def answer(self, query: Query, write: Write = nothing, tell: Tell = nothing) -> Answered:
        opened = await self.opened()
        return await self._in_thread(write, tell, lambda says, tells: self._ask(opened, query, says, tells))

    async def again(
        self, query: Query, sources: list[Source], prompt: PromptRef | None, parameters: dict[str, Any]
    ) -> Answered:
        opened = await self.opened()
        return await self._in_thread(
            nothing,
            nothing,
            lambda says, _tells: self._read(opened, query, sources, prompt, parameters, says),
        )

    async def _in_thread(self, write: Write, tell: Tell, work: Callable[[Write, Tell], Answered]) -> Answered:
        """Run it; what it writes and tells is handed over to the loop's thread, until nobody waits."""
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def watched() -> Answered:
            self._own.stopped = stopped
            return work(handing(write), handing(tell))

        def handing(to: Callable[[Any], None]) -> Callable[[Any], None]:
            def hand(item: Any) -> None:
                if stopped.is_set():
                    raise Stopped
                loop.call_soon_threadsafe(to, item)

            return hand

        try:
            return await self.threads.run(watched)
        finally:
            stopped.set()

    def _ask(self, opened: Opened, query: Query, write: Write, tell: Tell) -> Answered:
        """Step 3's `ask`, in a thread. The gate is held for the search, not while a model writes."""
        from step3_rag.answer import ChatError, ask
        from step3_rag.asking import checked, needs_chat

        found: Retrieved | None = None
        with contextlib.ExitStack() as held, _refusing():
            held.enter_context(opened.gate.reading())
            plan = self._plan(opened, query)
            client = opened.client if needs_chat(plan) else None

            def told(reflection: Any, sources: list[Any]) -> None:
                nonlocal found
                held.close()
                found = retrieved(reflection, sources)
                tell(found)

            try:
                outcome = ask(
                    opened.retriever, checked(query.question), plan, client, self.model, write, told
                )
            except ChatError as error:
                found = found or retrieved(error.reflection, error.sources)
                raise refusal_of(error.cause, self.settings, found) from None
        assert found is not None
        silent = not found.sources or (outcome.reflection.verdict == "abstain" and plan.abstain)
        if plan.reader == "chat" and not silent:
            whole(outcome.answer, self.model, found)
        answered = self._answered(outcome.answer, plan, found, wrote=plan.reader == "chat" and not silent)
        answered.latency_ms = {
            "retrieve": sum(each.retrieve_ms or 0.0 for each in found.attempts),
            "rerank": sum(each.rerank_ms or 0.0 for each in found.attempts),
            "generate": 1000 * outcome.seconds["answer"],
        }
        answered.parameters["verdict"] = outcome.reflection.verdict
        if needs_chat(plan) and plan.reader != "chat":  # a model read and wrote while searching, uncounted
            answered.input_tokens = answered.output_tokens = None
        return answered

    def _read(
        self,
        opened: Opened,
        query: Query,
        sources: list[Source],
        prompt: PromptRef | None,
        parameters: dict[str, Any],
        write: Write,
    ) -> Answered:
        """The reader alone, in a thread."""
        import anthropic

        from step3_rag import read
        from step3_rag.answer import Plan
        from step3_rag.context import Source as Passage

        passages = [
            Passage(each.number, each.document, each.place, each.text, (each.chunk,)) for each in sources
        ]
        reader = "chat" if prompt is not None else "quote"
        plan = Plan(reader=reader, prompt=prompt_of(prompt) if prompt else None)
        silent = not passages or parameters.get("verdict") == "abstain"
        began = time.perf_counter()
        with _refusing():
            if silent:
                answer = read.Answer(read.UNKNOWN)
            elif reader == "quote":
                answer = read.quote(
                    query.question, passages, opened.retriever.embedder, opened.retriever.rarity
                )
            else:
                try:
                    answer = read.chat(
                        opened.client, self.model, query.question, passages, write, plan.prompt
                    )
                except (anthropic.AnthropicError, httpx2.TransportError) as error:
                    raise refusal_of(error, self.settings, None) from None
                whole(answer, self.model, None)
        answered = self._answered(
            answer, plan, Retrieved(sources, None, []), wrote=reader == "chat" and not silent
        )
        answered.latency_ms = {"generate": 1000 * (time.perf_counter() - began)}
        answered.parameters = parameters
        answered.prompt = prompt
        return answered

    def _answered(self, answer: Any, plan: Any, found: Retrieved, *, wrote: bool) -> Answered:
        """`wrote` says whether the chat model did; where it didn't, it used no tokens, which is known."""
        from step3_rag.read import MAX_TOKENS

        return Answered(
            text=answer.text,
            abstained=answer.is_unknown,
            sources=found.sources,
            confidence=found.confidence,
            attempts=found.attempts,
            input_tokens=answer.input_tokens if wrote else 0,
            output_tokens=answer.output_tokens if wrote else 0,
            prompt=self.versions.refs.get(plan.prompt.version)
            if plan.prompt and plan.reader == "chat"
            else None,
            model=self.model if plan.reader == "chat" else "quote",
            engine=self.engine if plan.reader == "chat" else "step3_rag",
            finish_reason=answer.stop_reason,
            parameters={
                "k": plan.options.k,
                "collection": next(iter(plan.options.collections), None),
                "reader": plan.reader,
                "strategies": list(plan.strategies),
                "threshold": plan.threshold,
                "budget": plan.budget,
                "max_tokens": MAX_TOKENS,
            },
        )

    def _plan(self, opened: Opened, query: Query) -> Any:
        """How to answer this one.

        Raises:
            Refusal: it names a collection or a version of the prompt that is not there.
        """
        from step3_rag.answer import STRATEGIES, Plan
        from step3_rag.reflect import THRESHOLD
        from step3_rag.search import Options

        _ = opened.retriever.snapshot  # as the index is now
        if query.collection is not None and query.collection not in opened.retriever.collections:
            known = ", ".join(sorted(opened.retriever.collections)) or "none"
            raise Refusal(
                404,
                "not_found_error",
                f"collection {query.collection!r} is not in the index: it has {known}",
            )
        reader = self.config.reader if query.reader == "auto" else query.reader
        prompt = None
        if reader == "chat":
            prompt = self._prompt(query.prompt_version)
        threshold = THRESHOLD if self.config.threshold is None else self.config.threshold
        return Plan(
            Options(k=query.k, collections=(query.collection,) if query.collection else ()),
            STRATEGIES if self.config.strategies is None else self.config.strategies,
            threshold,
            threshold > 0,
            reader,
            self.config.context_tokens,
            prompt,
        )

    def _prompt(self, version: int | None) -> Any:
        if version is None:  # the service draws one before it asks; `replay` and tests may leave it open
            version = max(self.versions.shares, key=lambda each: self.versions.shares[each])
        if version not in self.versions.known:
            there = ", ".join(map(str, sorted(self.versions.known)))
            raise Refusal(
                404, "not_found_error", f"prompt_version {version} does not exist: there are {there}"
            )
        return self.versions.prompt(version)

    # --- its life -----------------------------------------------------------------------------------------

    async def opened(self) -> Opened:
        """Index and model, loaded when first asked for. What failed is tried again, but not all the time.

        Raises:
            Refusal: they can't be had.
        """
        if self._opened is not None:
            return self._opened
        async with self._opening:
            if self._opened is None:
                if self._trouble and time.monotonic() - self._trouble[0] < TRY_AGAIN:
                    raise Refusal(503, "api_error", self._trouble[1], retry_after=2)
                try:
                    # One that is asked for does not begin anew because the one who asked first has left.
                    self._opened = await asyncio.shield(self._loading)
                    self._trouble = None
                except UserError as error:
                    self._trouble = time.monotonic(), str(error)
                    raise Refusal(503, "api_error", str(error), retry_after=2) from None
                finally:
                    if self._opened is None and self._loading.done():
                        del self._loading
            return self._opened

    @cached_property
    def _loading(self) -> asyncio.Future[Opened]:
        return asyncio.ensure_future(self.threads.run(self._open))

    def _open(self) -> Opened:
        """Load everything, in a thread, and use it once: the first question shall not pay for it."""
        from shared.api_errors import ready
        from step3_rag.service import open_service
        from step5_serving.sharing import Gate, SharedRetriever

        config = self.config
        service = open_service(self.settings, config.index, config.store, config.store_address)
        retriever = SharedRetriever.of(service)
        retriever.search(WARM_UP)
        # Not beside it: transformers imports its parts when they are first used, which two threads at once
        # break, and loading a model in bf16 changes torch's default for all threads: an embedder that loads
        # meanwhile is bf16 in half of its layers.
        self._warm_engine()
        timeout = max(1.0, config.timeout_s)
        client = ready(self.serving.client(), timeout).with_middleware(self._watching)
        return Opened(retriever, Gate(), client)

    def _watching(self, request: Any, call_next: Any) -> Any:
        """What the model sends ends when nobody waits any more: also where it sends no text, but pings."""
        response = call_next(request)
        stopped = getattr(self._own, "stopped", None)
        if request.stream and stopped is not None:
            response.http_response.stream = Watched(response.http_response.stream, stopped)
        return response

    def _warm_engine(self) -> None:
        with contextlib.suppress(UserError):  # `ready` will say it, and every question
            self.serving.warm_up()

    async def ready(self) -> str | None:
        try:
            await self.opened()
        except Refusal as refusal:
            return refusal.message
        checked = getattr(self, "_checked", None)
        if checked is None or time.monotonic() - checked[0] > TRY_AGAIN:
            trouble = await asyncio.to_thread(self._trouble_elsewhere)
            self._checked = checked = time.monotonic(), trouble
        return checked[1]

    def _trouble_elsewhere(self) -> str | None:
        """Why the servers behind this one would not answer."""
        from step3_rag import stores

        assert self._opened is not None
        try:
            if self.config.store_address:
                stores.count(self._opened.retriever.store, self.config.store)
            if self.serving.backend is None and self.config.reader != "quote":
                self.serving.warm_up()
        except UserError as error:
            return str(error)
        return None

    async def close(self) -> None:
        self.threads.close()
        await asyncio.to_thread(self.serving.close)


# --- step 3's words in ours -------------------------------------------------------------------------------


def retrieved(reflection: Any, sources: list[Any]) -> Retrieved:
    """What a search gave."""
    attempts, start = [], 0.0
    for each in reflection.attempts:
        seconds = each.found.seconds
        rerank = 1000 * sum(seconds.get(stage, 0.0) for stage in RERANK)
        retrieve = 1000 * sum(seconds.values()) - rerank
        took = each is reflection.best
        attempts.append(Attempt(each.strategy, each.query, each.confidence, took, start, retrieve, rerank))
        start += retrieve + rerank
    return Retrieved([source_of(each) for each in sources], reflection.best.confidence, attempts)


def source_of(source: Any) -> Source:
    """A passage, with the hash by which a replay knows it."""
    sha256 = hashlib.sha256(source.text.encode("utf-8", "replace")).hexdigest()
    return Source(source.number, source.document, source.place, source.text, source.chunks[0], sha256)


def refusal_of(error: Exception, settings: Settings, found: Retrieved | None) -> Refusal:
    """What to tell the caller when the chat model fails."""
    import anthropic

    from shared.api_errors import NotTheApi, TimedOut, said

    message = f"{settings.model}: {said(error, settings)}"
    if isinstance(error, NotTheApi):  # and will not in five seconds either
        return Refusal(502, "api_error", message, retrieved=found)
    if isinstance(error, TimedOut | httpx2.TimeoutException):
        return Refusal(504, "timeout_error", message, retrieved=found)
    if isinstance(error, anthropic.APIConnectionError) or (
        isinstance(error, UserError) and not isinstance(error, anthropic.APIStatusError)
    ):
        return Refusal(503, "api_error", message, retry_after=5, retrieved=found)
    if isinstance(error, anthropic.APIStatusError) and error.status_code in (429, 503, 529):
        return Refusal(503, "overloaded_error", message, retry_after=5, retrieved=found)
    return Refusal(502, "api_error", message, retrieved=found)


def whole(answer: Any, model: str, found: Retrieved | None) -> None:
    """Look whether the model came to an end: a connection that is closed without one looks like it.

    Raises:
        Refusal: it broke off.
    """
    if answer.stop_reason is None:
        raise Refusal(502, "api_error", f"{model}: it broke off its answer: ask again", retrieved=found)


@contextlib.contextmanager
def _refusing() -> Any:
    """A UserError of step 3 as a refusal: the vector store is gone, the index is damaged."""
    try:
        yield
    except UserError as error:
        raise Refusal(503, "api_error", str(error), retry_after=5) from None
