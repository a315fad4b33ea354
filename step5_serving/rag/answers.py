"""Answers from step 3: its search and its readers, in threads, with times, tokens and cancellation.

    answerer = RagAnswerer(config, engine, versions)
    await answerer.answer(Query(question="When does it renew?"), call, tell=print)

The index is loaded, and the model waited for, when the answerer is made. Step 3 blocks, so each question has
a thread while it is answered. Text returns to the event loop piece by piece. When the task that waits is
cancelled, the next piece of text raises in the thread, which closes the model's stream, and that stops the
model.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import anthropic
import httpx2

from shared.chat.errors import NotMessagesApi, TimedOut, explain, with_timeouts
from shared.chat.usage import input_tokens
from shared.config import Settings
from shared.errors import UserError
from step3_rag.answer.read import MAX_TOKENS
from step3_rag.from_flags import check_question, parse_strategies
from step3_rag.opening import open_retriever
from step3_rag.pipeline import DEFAULT_STRATEGIES, ChatError, Outcome, Plan, ask
from step3_rag.reflect.loop import THRESHOLD
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.search import SearchOptions
from step5_serving.config import Config
from step5_serving.engines.choice import Engine
from step5_serving.errors import ApiError, not_found, overloaded, unavailable
from step5_serving.rag.library import Library
from step5_serving.rag.meter import Meter
from step5_serving.rag.sharing import SharedRetriever
from step5_serving.seam import Attempt, Query, Source, Tell, nothing, sha256_of
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prices import Spent, cost_of
from step5_serving.telemetry.versions import Versions, version_of

RERANK = ("maxsim", "scorer", "rerank")  # stages of a search; the others are retrieval
SILENT_S = 60.0  # without text from the model, while calls wait for it: it is stuck
PROMPT_TOKENS = 1000  # of instructions and a long question, at most
CHECK_S = 2.0  # seconds between two checks of the servers behind this one
WARM_UP = "What are the terms of renewal?"


class Stopped(Exception):
    """Nobody waits for this answer any more."""


class RagAnswerer:
    """Answers from the index of step 3."""

    def __init__(self, config: Config, engine: Engine, versions: Versions) -> None:
        """Load the index and wait for the model; raises UserError if there is no index or vector store."""
        self.config, self.serving, self.versions = config, engine, versions
        self.model, self.engine = engine.model, engine.name
        names = config.strategies
        self.strategies = DEFAULT_STRATEGIES if names is None else parse_strategies(names)
        self.threads = ThreadPoolExecutor(config.running, "answering")
        self._asking: set[threading.Event] = set()  # of the answers that the model writes
        self._heard_at = 0.0  # when it last sent text to one of them
        self._checked_at = 0.0
        self._trouble: str | None = None  # at the last check of the servers
        own = open_retriever(engine.settings, config.index, config.store, config.store_address)
        self.retriever = SharedRetriever(own)
        self.retriever.search(WARM_UP)  # so that the first question is not slower
        with contextlib.suppress(UserError):  # `ready` and each question will report it
            engine.warm_up()
        self.client = with_timeouts(engine.client(), max(1.0, config.timeout_s))
        self.library = Library(self.retriever, engine.settings)

    async def close(self) -> None:
        self.threads.shutdown(wait=False)
        await asyncio.to_thread(self.serving.close)

    async def answer(self, query: Query, call: Call, tell: Tell = nothing) -> None:
        """Answer, and fill in the call: first what was found, at the end the rest.

        `tell` gets what was found, then the text in pieces, both in the event loop's thread. The call's trace
        id decides the prompt's version if the query names none. Cancelling the task stops the model at its
        next piece of text.

        Raises:
            ApiError: it can't be answered.
        """
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def in_loop(function: Callable[..., None]) -> Callable[..., None]:
            """Call the function in the event loop's thread; raise Stopped if nobody waits any more."""

            def soon(*given: Any) -> None:
                if stopped.is_set():
                    raise Stopped
                loop.call_soon_threadsafe(function, *given)

            return soon

        meter = Meter(self.client, self.retriever.embedder.count_tokens)
        work = partial(self._ask, stopped, query, call, meter, in_loop(vars(call).update), in_loop(tell))
        try:
            outcome, plan = await loop.run_in_executor(self.threads, work)
            self._fill(call, outcome, plan)
        except asyncio.CancelledError:  # the caller left, or the time is over: what was sent is paid for
            self._fill_spent(call, meter.spent())
            raise
        except ApiError as error:  # a refused request costs nothing, a broken answer does
            self._fill_spent(call, meter.spent(started=error.status != 504))
            raise
        finally:
            stopped.set()

    def most_tokens(self) -> Spent:
        """The most that a question may take, about; a budget reserves it until the true count is known."""
        rewrites = len(set(self.strategies) & set(WITH_CHAT))
        requests = 1 + rewrites
        return Spent(self.config.context_tokens + PROMPT_TOKENS * requests, MAX_TOKENS * requests)

    def silence(self) -> float:
        """Seconds since the model sent text to anyone; 0 if nobody waits for it."""
        return time.monotonic() - self._heard_at if self._asking else 0.0

    async def ready(self) -> str | None:
        """None, or what is stuck or does not answer."""
        if (silence := self.silence()) > SILENT_S:
            return f"the engine {self.engine} has sent nothing for {silence:.0f} s, though calls wait"
        if time.monotonic() - self._checked_at > CHECK_S:
            self._checked_at = time.monotonic()
            self._trouble = await asyncio.to_thread(self._check_servers)
        return self._trouble

    # --- in a thread --------------------------------------------------------------------------------------

    def _check_servers(self) -> str | None:
        """Why the vector store's server or the engine does not answer; None if both do."""
        try:
            if self.config.store_address:
                with self.retriever.store.one_line_errors():
                    self.retriever.store.count()
            return None if self.config.reader == "quote" else self.serving.trouble()
        except UserError as error:
            return str(error)

    def _ask(
        self,
        stopped: threading.Event,
        query: Query,
        call: Call,
        meter: Meter,
        keep: Callable[..., None],
        tell: Tell,
    ) -> tuple[Outcome, Plan]:
        """Step 3's `ask`; its errors become ApiErrors."""

        def on_found(reflection: Any, sources: list[Any]) -> None:
            found = found_of(reflection, sources, call.queue_ms)
            keep(found)
            tell("retrieved", found)

        def heard(text: str) -> None:
            self._heard_at = time.monotonic()
            tell("delta", {"text": text})

        try:
            version = query.prompt_version or self.versions.pick(call.trace_id)
            question, plan = check_question(query.question), self._plan(query, version)
            if plan.needs_chat:
                self._heard_at = self._heard_at if self._asking else time.monotonic()
                self._asking.add(stopped)
            client: Any = meter if plan.needs_chat else None
            return ask(self.retriever, question, plan, client, self.model, heard, on_found), plan
        except ChatError as error:
            keep(found_of(error.reflection, error.sources, call.queue_ms))
            raise model_error(error.cause, self.serving.settings) from None
        except UserError as error:  # the vector store is gone, or the index damaged
            raise unavailable(str(error), 5) from None
        finally:
            self._asking.discard(stopped)

    def _fill(self, call: Call, outcome: Outcome, plan: Plan) -> None:
        """Fill in the call; raises ApiError if the model broke off its answer."""
        answer, verdict = outcome.answer, outcome.reflection.verdict
        reads = plan.reader == "chat"
        wrote = reads and bool(outcome.sources) and not (verdict == "abstain" and plan.abstain)
        if wrote and answer.stop_reason is None:  # the connection was closed in the middle
            raise unavailable(f"{self.model}: it broke off its answer: ask again", 5)
        rewrote = outcome.rewriting  # by the model, during the search
        call.parameters = {**self._parameters(plan), "verdict": verdict}
        call.answer, call.abstained, call.finish_reason = answer.text, answer.is_unknown, answer.stop_reason
        call.input_tokens = sum(map(input_tokens, rewrote)) + (answer.input_tokens or 0)  # a quote has none
        call.output_tokens = sum(each.output_tokens for each in rewrote) + (answer.output_tokens or 0)
        call.model = self.model if reads or rewrote else "quote"  # for its price
        call.engine = self.engine if reads else "step3_rag"
        call.cost_usd = cost_of(call.model, call.input_tokens, call.output_tokens)
        rerank = sum(each["rerank_ms"] for each in call.attempts)
        call.rerank_ms = round(rerank, 3)
        call.retrieve_ms = round(1000 * outcome.seconds["search"] - rerank, 3)  # with judge and rewriting
        call.generate_ms = round(1000 * outcome.seconds["answer"], 3)
        if prompt := plan.prompt:
            call.prompt_id, call.prompt_version = prompt.id, prompt.version
            call.prompt_sha256, call.prompt_text = prompt.sha256, str(prompt)

    def _fill_spent(self, call: Call, spent: Spent | None) -> None:
        """Fill in the tokens and the cost of a call without an answer, if it reached the model."""
        if spent:
            call.input_tokens, call.output_tokens = spent
            call.cost_usd = cost_of(self.model, *spent)

    def _parameters(self, plan: Plan) -> dict[str, Any]:
        """Everything that a replay needs."""
        return {
            "k": plan.options.k,
            "collection": next(iter(plan.options.collections), None),
            "reader": plan.reader,
            "strategies": list(plan.strategies),
            "threshold": plan.threshold,
            "budget": plan.budget,
            "max_tokens": MAX_TOKENS,
            "quantize": self.config.quantize,
        }

    def _plan(self, query: Query, version: int) -> Plan:
        """Step 3's plan for a query; raises ApiError if its collection or prompt version does not exist."""
        _ = self.retriever.snapshot  # brings `collections` up to date
        if query.collection is not None and query.collection not in self.retriever.collections:
            known = ", ".join(sorted(self.retriever.collections)) or "none"
            raise not_found(f"collection {query.collection!r} is not in the index: it has {known}")
        reader = self.config.reader if query.reader == "auto" else query.reader
        threshold = THRESHOLD if self.config.threshold is None else self.config.threshold
        return Plan(
            SearchOptions(k=query.k, collections=(query.collection,) if query.collection else ()),
            self.strategies,
            threshold,
            threshold > 0,
            reader,
            self.config.context_tokens,
            version_of(self.versions.known, version) if reader == "chat" else None,
        )


def found_of(reflection: Any, sources: list[Any], queue_ms: float | None) -> dict[str, Any]:
    """The result of a search, as a call stores it: its sources, confidence and attempts."""
    attempts, start = [], queue_ms or 0.0
    for each in reflection.attempts:
        seconds = each.found.seconds
        rerank = 1000 * sum(seconds.get(stage, 0.0) for stage in RERANK)
        retrieve = 1000 * sum(seconds.values()) - rerank
        took = each is reflection.best
        attempts.append(Attempt(each.strategy, each.query, each.confidence, took, start, retrieve, rerank))
        start += retrieve + rerank
    passages = [
        Source(each.number, each.document, each.place, each.text, each.chunks[0], sha256_of(each.text))
        for each in sources
    ]
    return {
        "sources": [asdict(each) for each in passages],
        "confidence": reflection.best.confidence,
        "attempts": [asdict(each) for each in attempts],
    }


def model_error(error: Exception, settings: Settings) -> ApiError:
    """The error for a caller when the chat model fails."""
    message = f"{settings.model}: {explain(error, settings)}"
    if isinstance(error, TimedOut | httpx2.TimeoutException):
        return ApiError(504, "timeout_error", message)
    status = getattr(error, "status_code", None)
    if status in (429, 503, 529):
        return overloaded(message, 5)
    # It is gone, or was killed in the middle of its answer.
    away = anthropic.APIConnectionError | httpx2.TransportError | UserError
    is_away = status is None and isinstance(error, away)
    if is_away and not isinstance(error, NotMessagesApi):  # then, trying again would not help
        return unavailable(message, 5)
    return ApiError(502, "api_error", message)
