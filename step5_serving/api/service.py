"""The service itself: what happens to a call between its arrival and its reply, whichever route it took.

    key -> rate -> budget -> turn in the queue -> answer -> row in the database -> reply

    service = Service(Config(...), ScriptedAnswerer(), recorder)
    reply = await service.query(Query(question="When does it renew?"), key_id, Trace.of(None))

The routes turn HTTP into calls of this and its results back into HTTP. A call has its row before its reply,
whatever became of it: answered, refused for want of room, failed, timed out, given up by its caller. A stream
sends text before it is known what becomes of it: its row is opened before the first byte, and closed at its
end.
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
from step5_serving.api.response import Reply, fill, fill_found, reply_of, settle
from step5_serving.api.security import internal
from step5_serving.config import Config
from step5_serving.errors import ApiError, overloaded
from step5_serving.seam import Answerer, Query, Tell, Write, nothing
from step5_serving.telemetry.call import CHANGES, Call, Trace
from step5_serving.telemetry.prices import Budget
from step5_serving.telemetry.writer import Recorder

if TYPE_CHECKING:
    from step5_serving.telemetry.spans import Spans

log = logging.getLogger(__name__)

GONE = 499  # the status of nginx for a client that went away before the answer came


class Service:
    """All parts of a running server."""

    def __init__(
        self,
        config: Config,
        answerer: Answerer,
        recorder: Recorder,
        keys: Keys,
        budget: Budget | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.config, self.answerer, self.recorder, self.keys = config, answerer, recorder, keys
        self.budget, self.spans = budget, spans
        self.admission, self.access = Admission(config.running, config.waiting), Access(config, keys)
        self.after: list[Callable[[Call], None]] = [spans.export] if spans else []  # metrics, too
        self.draining = False
        self.changes: set[asyncio.Future[Any]] = set()  # of the documents, under way
        self._troubled: set[str] = set()  # parts of which the log says that they are in trouble

    # --- a question ---------------------------------------------------------------------------------------

    async def query(
        self,
        query: Query,
        key_id: str | None,
        trace: Trace,
        write: Write = nothing,
        tell: Tell = nothing,
        stream: bool = False,
    ) -> Reply:
        """Answer a question.

        Args:
            stream: it has a row before it writes or tells anything.

        Raises:
            ApiError: it can't be answered, or the row could not be written.
        """
        call, began = self.begin("query", key_id, trace), time.perf_counter()
        call.question = query.question
        if self.config.reader == "quote" and query.reader == "auto":
            query = query.model_copy(update={"reader": "quote"})
        if query.prompt_version is None and query.reader != "quote":
            query = query.model_copy(update={"prompt_version": self.answerer.pick(trace.id)})

        def write_on(text: str) -> None:
            if call.first_token_ms is None:
                call.first_token_ms = _ms(time.perf_counter() - began)
            write(text)

        async with self.recorded(call, began, stream):
            async with self.turn(call, began):
                answered = await self.answerer.answer(query, write_on, tell)
            fill(call, answered)
        return reply_of(answered, call)

    async def change(
        self,
        route: str,
        what: str,
        key_id: str | None,
        trace: Trace,
        work: Callable[[], Coroutine[Any, Any, Any]],
    ) -> Any:
        """Change the documents; the row says who did it. A server that stops waits for it.

        Args:
            route: ingest or delete.
            what: for the row, in place of a question.

        Raises:
            ApiError: what `work` raises; or the server stops; or the row could not be written.
        """
        call, began = self.begin(route, key_id, trace), time.perf_counter()
        call.question, call.model, call.engine, call.cost_usd = what, None, None, 0.0
        async with self.recorded(call, began):
            if self.admission.closed:
                raise overloaded(self.admission.closed, 1)
            task = asyncio.ensure_future(work())
            self.changes.add(task)
            task.add_done_callback(self.changes.discard)
            return await asyncio.shield(task)

    # --- any call -----------------------------------------------------------------------------------------

    def begin(self, route: str, key_id: str | None, trace: Trace) -> Call:
        """The row of a call, as far as it is known when it comes."""
        known = {"key_id": key_id, "model": self.answerer.model, "engine": self.answerer.engine}
        return Call(route, 200, trace_id=trace.id, parent_span_id=trace.parent, **known)

    @contextlib.asynccontextmanager
    async def turn(self, call: Call, began: float) -> AsyncIterator[None]:
        """A place among the running, for as long as a call may take.

        Raises:
            ApiError: no place (503), no money (429), or no answer in time (504).
        """
        if self.budget:
            self.budget.check()
        try:
            async with asyncio.timeout(self.config.timeout_s), self.admission.turn() as queued:
                call.queue_ms = _ms(queued)
                yield
        except TimeoutError:
            where = "in the queue" if call.queue_ms is None else "from the model"
            if call.queue_ms is None:
                call.queue_ms, call.cost_usd = _ms(time.perf_counter() - began), 0.0
            raise ApiError(
                504, "timeout_error", f"no answer {where} within {self.config.timeout_s:g} s: try again later"
            ) from None

    @contextlib.asynccontextmanager
    async def recorded(self, call: Call, began: float, stream: bool = False) -> AsyncIterator[None]:
        """What happens inside ends with the call's row.

        Args:
            stream: there is an opening row before anything happens inside.

        Raises:
            ApiError: what was raised inside, in the caller's words; or the row could not be written.
        """
        raised: BaseException | None = None
        part = "documents" if call.route in CHANGES else "model"
        try:
            if stream:
                self.admission.check()  # else it would be a stream that never began
                await self.recorder.open(call)
            yield
            self.log_state(part, None)
        except asyncio.CancelledError as gone:
            raised = gone
            call.status, call.error_type = GONE, "client_gone"
        except ApiError as refusal:
            raised = refusal
            refusal.has_row = True
            call.status, call.error_type = refusal.status, refusal.type
            if refusal.status in (502, 503) and refusal.type == "api_error":
                self.log_state(part, refusal.message)
            if refusal.retrieved:
                fill_found(call, refusal.retrieved)
        except Exception:
            log.exception("call %s failed", call.trace_id)
            raised = internal(call.trace_id)
            raised.has_row = True
            call.status, call.error_type = 500, "api_error"
        call.total_ms = _ms(time.perf_counter() - began)
        settle(call)
        try:
            await self.recorder.record(call)
            self.log_state("telemetry", None)
        except ApiError as down:
            down.has_row = True  # it was tried
            self.log_state("telemetry", down.message)
            if raised is None:
                raise
            log.warning("call %s, status %s, has no row: %s", call.trace_id, call.status, down.message)
        self._count(call)
        if raised is not None:
            raise raised from None

    async def record_refusal(self, refusal: ApiError, key_id: str | None, trace: Trace) -> None:
        """The row of a question that was refused before it began: too many requests, no room."""
        with contextlib.suppress(ApiError):
            async with self.recorded(self.begin("query", key_id, trace), time.perf_counter()):
                raise refusal

    def _count(self, call: Call) -> None:
        if call.route in CHANGES:  # which would make answers look slow
            return
        if self.budget:
            self.budget.add(call)
        for each in self.after:
            each(call)

    # --- its life -----------------------------------------------------------------------------------------

    async def ready(self) -> str | None:
        """None, or why questions can't be answered now."""
        if self.draining:
            return "the server is stopping"
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
        """What was seen of a part (keys, model, telemetry, documents): None where it works.

        The operator's log has a line for each change, not for each call.
        """
        if trouble is not None and part not in self._troubled:
            self._troubled.add(part)
            log.warning("%s: %s", part, trouble)
        elif trouble is None and part in self._troubled:
            self._troubled.discard(part)
            log.warning("%s: works again", part)

    async def drained(self) -> None:
        """Wait until nothing runs or waits, no change of the documents either."""
        await self.admission.drained()
        while self.changes:
            await asyncio.wait(self.changes)

    def drain(self) -> None:
        """Let nobody in any more."""
        self.draining = True
        self.admission.close("the server is stopping: try again at another, or in a minute")

    async def close(self) -> None:
        """Let go of everything."""
        await self.answerer.close()
        await self.recorder.close()
        if self.spans:
            await asyncio.to_thread(self.spans.close)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
