"""The service: what happens to a call between its arrival and its reply, whatever route it took.

    key -> rate -> budget -> turn in the queue -> answer -> row in the database -> reply

    service = Service(Config(...), ScriptedAnswerer(), recorder)
    reply = await service.query(Query(question="When does it renew?"), caller)

The routes turn HTTP into calls of this class. Each call has its row before its reply, whatever happened to
it: answered, refused because there is no room, failed, timed out, abandoned by the caller. A stream sends
text before its end is known, so its row is opened before the first byte and closed at the end. A key that
asks too often could fill the disk with refusals: one a minute has a row, all are counted in /metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from shared.masking import masked
from step5_serving.api.admission import Admission
from step5_serving.api.keys import Access, Keys
from step5_serving.api.rates import Rates
from step5_serving.api.security import internal
from step5_serving.config import Config
from step5_serving.errors import ApiError
from step5_serving.seam import Query, Reply, Tell, nothing
from step5_serving.telemetry.call import CHANGES, STAGES, Call, Caller, new_trace_id
from step5_serving.telemetry.prices import Budget, cost_of
from step5_serving.telemetry.writer import Recorder

if TYPE_CHECKING:
    from step5_serving.rag.answers import RagAnswerer
    from step5_serving.rag.scripted import ScriptedAnswerer
    from step5_serving.telemetry.spans import Spans

log = logging.getLogger(__name__)

GONE = 499  # nginx's status for a client that left before the reply
NOTES_PER_S = 1 / 60  # rows of a key that asks too often


class Service:
    """All parts of a running server."""

    def __init__(
        self,
        config: Config,
        answerer: RagAnswerer | ScriptedAnswerer,
        recorder: Recorder,
        keys: Keys | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.config, self.answerer, self.recorder, self.spans = config, answerer, recorder, spans
        self.keys = Keys(config.keys) if keys is None else keys  # one without keys is false
        self.admission, self.access = Admission(config.running, config.waiting), Access(config, self.keys)
        self.budget: Budget | None = None
        if limit := config.budget_usd_per_day:
            self.budget = Budget(limit, cost_of(answerer.model, *answerer.most_tokens()) or 0.0)
        self.observers: list[Callable[[Call], None]] = []  # metrics and spans
        if spans:
            self.observers.append(lambda call: spans.export(recorder.redact(call)))
        self._notes = Rates(NOTES_PER_S, burst=1)
        self._troubled: set[str] = set()  # parts that the log has reported as broken

    # --- calls --------------------------------------------------------------------------------------------

    async def query(self, query: Query, caller: Caller, tell: Tell = nothing, stream: bool = False) -> Reply:
        """Answer a question; for a `stream`, its row is opened before anything is told.

        Raises:
            ApiError: it can't be answered, or the row could not be written.
        """
        call, began = self._new_call("query", query.question, caller), time.perf_counter()

        def tell_timed(event: str, data: dict[str, Any]) -> None:
            if event == "delta" and call.first_token_ms is None:
                call.first_token_ms = _ms_since(began)
            tell(event, data)

        async with self._recorded(call, began):
            self.access.check_rate(caller)
            await self._leave_foreign_trace(call)
            if stream or self.budget:
                self.admission.check()  # a call that is refused needs no opening row
                await self.recorder.open(call)
            async with self._turn(call, began):
                await self.answerer.answer(query, call, tell_timed)
        return reply_of(call)

    async def change(
        self, route: str, what: str, caller: Caller, work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Change the documents.

        Args:
            route: ingest or delete.
            what: names of the documents, stored in place of a question.

        Raises:
            ApiError: what `work` raises; or the row could not be written.
        """
        call, began = self._new_call(route, what, caller), time.perf_counter()
        call.model, call.engine, call.cost_usd = None, None, 0.0
        async with self._recorded(call, began):
            return await work()

    def _new_call(self, route: str, what: str, caller: Caller) -> Call:
        known = {"key_id": caller.key_id, "model": self.answerer.model, "engine": self.answerer.engine}
        trace = {"trace_id": caller.trace_id, "parent_span_id": caller.parent_span_id}
        return Call(route, 200, question=what, **known, **trace)

    async def _leave_foreign_trace(self, call: Call) -> None:
        """Start a new trace if the one that the caller named has a call of another key."""
        is_named = call.parent_span_id is not None
        if is_named and await self.recorder.is_foreign(call.trace_id, call.key_id):
            call.trace_id, call.parent_span_id = new_trace_id(), None

    @contextlib.asynccontextmanager
    async def _turn(self, call: Call, began: float) -> AsyncIterator[None]:
        """A place among the running calls; ApiError without one (503), without budget (429) or time (504)."""
        try:
            async with asyncio.timeout(self.config.timeout_s):
                if self.budget:
                    await asyncio.to_thread(self.budget.check, self.recorder.store, call.span_id)
                async with self.admission.turn() as queued_s:
                    call.queue_ms = round(1000 * queued_s, 3)
                    yield
        except TimeoutError:
            where = "in the queue" if call.queue_ms is None else "from the model"
            if call.queue_ms is None:
                call.queue_ms, call.cost_usd = _ms_since(began), 0.0
            raise ApiError(
                504, "timeout_error", f"no answer {where} within {self.config.timeout_s:g} s: try again later"
            ) from None

    @contextlib.asynccontextmanager
    async def _recorded(self, call: Call, began: float) -> AsyncIterator[None]:
        """Write the call's row after the `with`; raises what was raised inside, or that there is no row."""
        raised: BaseException | None = None
        part = "documents" if call.route in CHANGES else "model"
        try:
            yield
            self.log_state(part, None)
        except asyncio.CancelledError as gone:
            raised = gone
            call.status, call.error_type = GONE, "client_gone"
        except ApiError as refusal:
            raised = refusal
            call.status, call.error_type = refusal.status, refusal.type
            if refusal.status in (502, 503) and refusal.type == "api_error":
                self.log_state(part, refusal.message)
        except Exception:
            log.exception("call %s failed", call.trace_id)
            raised = internal(call.trace_id)
            call.status, call.error_type = 500, "api_error"
        call.total_ms = _ms_since(began)
        if call.cost_usd is None and (call.queue_ms is None or 400 <= call.status < GONE):
            call.cost_usd = 0.0  # it reached no model; what an aborted answer cost stays unknown
        if call.status == 429:
            call.question = None  # nobody reads it, and it would fill the disk
        try:
            if self._needs_row(call):
                await self.recorder.record(call)
                self.log_state("telemetry", None)
        except asyncio.CancelledError as gone:  # the client left; the row is written all the same
            raised = gone
        except ApiError as down:
            self.log_state("telemetry", down.message)
            if raised is None:
                raised, call.status, call.error_type = down, down.status, down.type
            else:
                log.warning("call %s, status %s, has no row: %s", call.trace_id, call.status, down.message)
        if call.route not in CHANGES:  # they would make answers look slow
            for observe in self.observers:
                observe(call)
        if raised is not None:
            raise raised from None

    def _needs_row(self, call: Call) -> bool:
        """Whether the call gets a row: of the calls that come too often, one a minute for each key."""
        if call.error_type != "rate_limit_error":
            return True
        return self._notes.take(call.key_id or "") == 0.0

    # --- state --------------------------------------------------------------------------------------------

    async def ready(self) -> str | None:
        """None, or why questions can't be answered now."""
        self.keys.refresh()
        troubles = {
            "keys": self.keys.trouble,
            "model": await self.answerer.ready(),
            "telemetry": await self.recorder.ready(),
        }
        for part, trouble in troubles.items():
            self.log_state(part, trouble)
        reason = next(filter(None, troubles.values()), None)
        return masked(reason) if reason else None

    def log_state(self, part: str, trouble: str | None) -> None:
        """Log that a part (keys, model, telemetry, documents) broke or works again: once per change."""
        if trouble is not None and part not in self._troubled:
            self._troubled.add(part)
            log.warning("%s: %s", part, trouble)
        elif trouble is None and part in self._troubled:
            self._troubled.discard(part)
            log.warning("%s: works again", part)

    async def close(self) -> None:
        """Close everything once the rows of the last calls are on their way; no new ones come any more."""
        await self.admission.drained()
        await self.answerer.close()
        await self.recorder.close()
        if self.spans:
            await asyncio.to_thread(self.spans.close)


def reply_of(call: Call) -> Reply:
    """The reply to a call that was answered: fields of the same name, and three others."""
    mine = {
        "usage": {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens},
        "latency_ms": {name: getattr(call, f"{name}_ms") for name in ("total", *STAGES)},
        "prompt_version": call.prompt,
    }
    return Reply.model_validate(vars(call) | mine)


def _ms_since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 3)
