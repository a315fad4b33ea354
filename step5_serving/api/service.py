"""The service itself: what happens to a call between its arrival and its reply, whichever route it took.

    key -> rate -> budget -> turn in the queue -> answer -> row in the database -> reply

    service = Service(Config(...), ScriptedAnswerer(), recorder)
    reply = await service.query(Query(question="When does it renew?"), caller, Trace.new())

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
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi.security.utils import get_authorization_scheme_param

from shared.masking import masked
from step5_serving.api.admission import Admission
from step5_serving.api.keys import Keys
from step5_serving.api.rates import Rates
from step5_serving.api.response import body_of, fill, fill_found
from step5_serving.api.security import internal
from step5_serving.api.trace import Caller, Trace
from step5_serving.config import Config
from step5_serving.errors import ApiError, ClientGone
from step5_serving.seam import Answerer, PromptRef, Query, Tell, Write, nothing
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prices import Budget
from step5_serving.telemetry.versions import Versions

log = logging.getLogger(__name__)

GONE = 499  # the status of nginx for a client that went away before the answer came
UNREAD = (400, 401, 403, 404, 413, 429)  # refused before a model read anything
UNKNOWN_KEY = "the key is not known here: send one as `Authorization: Bearer KEY` or `x-api-key: KEY`"


class Records(Protocol):
    """What the service needs of telemetry's Recorder."""

    async def open(self, call: Call) -> None: ...
    async def record(self, call: Call, prompt_text: str | None = None) -> None: ...
    def refused(self, route: str, status: int) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


@dataclass
class Service:
    """All parts of a running server."""

    config: Config
    answerer: Answerer
    recorder: Records
    keys: Keys
    admission: Admission = field(init=False)
    rates: Rates | None = field(init=False)
    versions: Versions | None = None
    budget: Budget | None = None
    after: list[Callable[[Call], None]] = field(default_factory=list)  # metrics and spans
    draining: bool = False

    def __post_init__(self) -> None:
        self.admission = Admission(self.config.running, self.config.waiting)
        self.rates = Rates(self.config.rate, self.config.burst) if self.config.rate else None
        # Once keys are wanted, they stay wanted: a file of keys that is gone opens nothing.
        self._wants_keys = self.config.is_reachable or len(self.keys) > 0

    # --- who may ------------------------------------------------------------------------------------------

    @property
    def wants_keys(self) -> bool:
        """Whether requests need a key: always, except on loopback without a proxy while there is none."""
        self._wants_keys = self._wants_keys or len(self.keys) > 0
        return self._wants_keys

    def caller(self, headers: Mapping[str, str], host: str | None, scope: str) -> Caller:
        """Who asks, if he may and not too often.

        Raises:
            ApiError: no key (401), one without that scope (403), too many requests (429), or a key file that
                can't be read (503).
        """
        key_id = None
        if self.wants_keys:
            scheme, bearer = get_authorization_scheme_param(headers.get("authorization"))
            given = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
            key = self.keys.find(given.strip()) if given else None
            if self.keys.trouble:
                raise ApiError(
                    503, "api_error", "the server can't read its keys: try again later", retry_after=5
                )
            if key is None:
                raise ApiError(401, "authentication_error", UNKNOWN_KEY)
            if scope not in key.scopes:
                raise ApiError(
                    403, "permission_error", f"this key may {' and '.join(key.scopes)}, this wants {scope}"
                )
            key_id = key.id
        if self.rates and (wait := self.rates.take(key_id or host or "")):
            allowed = f"{self.rates.per_second:g} requests a second are allowed, {self.rates.burst:g} at once"
            why = f"{allowed}: try again in {wait:.1f} s"
            refusal = ApiError(429, "rate_limit_error", why, retry_after=int(wait) + 1)
            refusal.key_id = key_id
            raise refusal
        return Caller(key_id)

    # --- a question ---------------------------------------------------------------------------------------

    async def query(
        self,
        query: Query,
        caller: Caller,
        trace: Trace,
        write: Write = nothing,
        tell: Tell = nothing,
        opened: asyncio.Event | None = None,
    ) -> dict[str, Any]:
        """Answer a question; the body of the reply.

        Args:
            opened: for a stream, which may send nothing before this is set.

        Raises:
            ApiError: it can't be answered, or the row could not be written.
        """
        call = self.begin("query", caller, trace)
        call.question, began = query.question, time.perf_counter()
        if self.config.reader == "quote" and query.reader == "auto":
            query = query.model_copy(update={"reader": "quote"})

        def write_on(text: str) -> None:
            if call.first_token_ms is None:
                call.first_token_ms = _ms(time.perf_counter() - began)
            write(text)

        async with self.recorded(call, began, opened) as prompts:
            query = self._with_version(query, trace)
            async with self.turn(call, began):
                answered = await self.answerer.answer(query, write_on, tell)
            fill(call, answered)
            if answered.prompt:
                prompts.append(answered.prompt)
        return body_of(answered, call)

    def _with_version(self, query: Query, trace: Trace) -> Query:
        """The query with the prompt's version that falls to it."""
        if self.versions is None or query.prompt_version is not None or query.reader == "quote":
            return query
        chosen = self.versions.pick(trace.id)
        return query.model_copy(update={"prompt_version": chosen.version})

    # --- any call -----------------------------------------------------------------------------------------

    def begin(self, route: str, caller: Caller, trace: Trace) -> Call:
        """The row of a call, as far as it is known when it comes."""
        return Call(
            route,
            200,
            trace_id=trace.id,
            parent_span_id=trace.parent,
            key_id=caller.key_id,
            model=self.answerer.model,
            engine=self.answerer.engine,
        )

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
    async def recorded(
        self, call: Call, began: float, opened: asyncio.Event | None = None
    ) -> AsyncIterator[list[PromptRef]]:
        """What happens inside ends with the call's row; add the prompt to what this gives.

        Args:
            opened: the call is a stream: it has an opening row before anything happens inside, and then this
                is set.

        Raises:
            ApiError: what was raised inside, in the caller's words; or the row could not be written.
        """
        used: list[PromptRef] = []
        try:
            if opened is not None:
                self.admission.check()  # else it would be a stream that never began
                await self.recorder.open(call)
                opened.set()
            yield used
        except (asyncio.CancelledError, ClientGone):
            _failed(call, GONE, "client_gone")
            await self._close_books(call, began, used)
            raise
        except ApiError as refusal:
            _failed(call, refusal.status, refusal.type)
            refusal.has_row = True
            if refusal.retrieved:
                fill_found(call, refusal.retrieved)
            await self._close_books(call, began, used)
            raise
        except Exception:
            log.exception("call %s failed", call.trace_id)
            _failed(call, 500, "api_error")
            await self._close_books(call, began, used)
            bug = internal(call.trace_id)
            bug.has_row = True
            raise bug from None
        call.total_ms = _ms(time.perf_counter() - began)
        _settle(call)
        try:
            await self.recorder.record(call, used[0].text if used else None)
        except ApiError as refusal:
            refusal.has_row = True  # it was tried
            raise
        self._count(call)

    async def record_refusal(self, refusal: ApiError, route: str, caller: Caller, trace: Trace) -> None:
        """The row of a call that was refused before it began: too many requests, no room."""
        call, began = self.begin(route, caller, trace), time.perf_counter()
        _failed(call, refusal.status, refusal.type)
        await self._close_books(call, began, [])
        refusal.has_row = True

    async def _close_books(self, call: Call, began: float, used: list[PromptRef]) -> None:
        """The row of a call that failed; where even that fails, the log has it."""
        call.total_ms = _ms(time.perf_counter() - began)
        _settle(call)
        try:
            await self.recorder.record(call, used[0].text if used else None)
        except ApiError as error:
            log.warning("call %s, status %s, has no row: %s", call.trace_id, call.status, error.message)
        self._count(call)

    def _count(self, call: Call) -> None:
        if self.budget:
            self.budget.add(call)
        for each in self.after:
            each(call)

    # --- its life -----------------------------------------------------------------------------------------

    async def ready(self) -> str | None:
        """None, or why questions can't be answered now."""
        if self.draining:
            return "the server is stopping"
        reason = await self.answerer.ready() or await self.recorder.ready()
        return masked(reason) if reason else None

    def drain(self) -> None:
        """Let nobody in any more."""
        self.draining = True
        self.admission.close("the server is stopping: try again at another, or in a minute")

    async def close(self) -> None:
        """Let go of everything."""
        await self.answerer.close()
        await self.recorder.close()


def _failed(call: Call, status: int, type: str) -> None:
    call.status, call.error_type = status, type


def _settle(call: Call) -> None:
    """A call that no model was asked for cost nothing; what one that broke off had cost is not known."""
    if call.cost_usd is None and (call.queue_ms is None or call.status in UNREAD):
        call.cost_usd = 0.0


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
