"""OpenTelemetry: each call as a tree of spans, sent by OTLP to Phoenix, Jaeger, or any collector.

    spans = Spans.of("http://127.0.0.1:6006")
    spans.export(call)

    invoke_agent rag                       41 ms   SERVER    gen_ai.agent.name = rag
      execute_tool search                   6 ms             rag.strategy = question, rag.confidence = 0.71
        retrieval                           4 ms             gen_ai.retrieval.top_k = 5
        rerank                              2 ms
      chat smollm2-135m-instruct           30 ms   CLIENT    gen_ai.usage.input_tokens = 164, ...

Spans are made from the finished call, with the times that were measured, and sent in batches by
OpenTelemetry's own thread. The trace's id is the call's, and so is the root's span id. When the endpoint is
gone, spans are dropped: the database must be complete; traces may have gaps.

Names are those of the GenAI conventions (github.com/open-telemetry/semantic-conventions-genai); what these
have no name for is under `rag.`. What was asked and answered is sent only with `content`: the other end may
be another company's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import OPERATIONS, microseconds

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)
SERVICE, AGENT = "step5_serving", "rag"
VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Spans:
    """Sends the spans of calls."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        content: bool = False,
        redact: Callable[[Call], Call] | None = None,
    ) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.content, self.redact = content, redact
        self._ids = _ids()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE)})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer(SERVICE)

    @classmethod
    def of(
        cls, otlp: str | None = None, *, content: bool = False, redact: Callable[[Call], Call] | None = None
    ) -> Spans | None:
        """To the endpoint of `--otlp`, else of OTEL_EXPORTER_OTLP_ENDPOINT; None where neither names one.

        Raises:
            UserError: the endpoint is not an address, or the exporter is not installed.
        """
        if otlp is None and not any(os.environ.get(each) for each in VARIABLES):
            return None
        if otlp is not None and not otlp.startswith(("http://", "https://")):
            raise UserError(f"--otlp {otlp[:80]!r} is not an address: use one like http://127.0.0.1:6006")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise UserError(
                "spans want their exporter: pip install opentelemetry-exporter-otlp-proto-http"
            ) from None
        address = otlp and otlp.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Once())
        # Nobody waits for spans, and the service's end not long: so no retries of ten seconds.
        own = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else 3.0
        return cls(OTLPSpanExporter(endpoint=address, timeout=own), content=content, redact=redact)

    def export(self, call: Call) -> None:
        """Make the spans of a call that has ended; a call that can't be drawn goes without."""
        try:
            call = self.redact(call) if self.redact else call
            self._ids.trace_id, self._ids.root = int(call.trace_id, 16), int(call.span_id, 16)
            draw(self._tracer, call, _context(call), content=self.content)
        except Exception:
            log.exception("call %s has no spans", call.trace_id)

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for so long at most."""
        self._provider.force_flush(int(seconds * 1000))
        self._provider.shutdown()


def _ids() -> Any:
    """Ids of the next call: its trace's, its own for the first span, others by chance."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        trace_id = root = 0

        def generate_trace_id(self) -> int:
            return self.trace_id

        def generate_span_id(self) -> int:
            root, self.root = self.root, 0
            return root or super().generate_span_id()

    return Ids()


def _context(call: Call) -> Context:
    """With the caller's span, where the request named one (traceparent)."""
    from opentelemetry import trace

    if call.parent_span_id is None:
        return trace.Context()
    sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    parent = trace.SpanContext(int(call.trace_id, 16), int(call.parent_span_id, 16), True, sampled)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


class _Once(logging.Filter):
    """Lets one line through: an endpoint that is gone would have one for each batch."""

    said = False

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        first, self.said = not self.said, True
        return first


# --- the tree -------------------------------------------------------------------------------------------


def draw(tracer: Tracer, call: Call, context: Context | None = None, *, content: bool = False) -> None:
    """Make the spans of a call; searches that were not timed have none.

    Args:
        context: with the caller's span, where there is one.
        content: put in what was asked, found and answered.
    """
    from opentelemetry.trace import SpanKind, StatusCode

    began = microseconds(call.started_at) * 1000

    @contextlib.contextmanager
    def span(
        name: str, start_ms: float, end_ms: float, attributes: dict[str, Any], **more: Any
    ) -> Iterator[Span]:
        """Around its children; times are after the call's start."""
        known = {key: value for key, value in attributes.items() if value is not None}
        opened = tracer.start_as_current_span(
            name, attributes=known, start_time=began + round(start_ms * 1e6), end_on_exit=False, **more
        )
        with opened as it:
            yield it
        it.end(began + round(end_ms * 1e6))

    operation = OPERATIONS.get(call.route, call.route)
    name = f"{operation} {AGENT}" if call.route == "query" else call.route
    root = _of_root(call, operation, content)
    with span(name, 0.0, call.total_ms or 0.0, root, kind=SpanKind.SERVER, context=context) as whole:
        if call.status >= 500:
            whole.set_status(StatusCode.ERROR, call.error_type or "error")
        after = call.queue_ms or 0.0
        for attempt in call.attempts:
            if attempt.get("start_ms") is None:
                continue
            start = attempt["start_ms"]
            found = start + (attempt["retrieve_ms"] or 0.0)
            after = found + (attempt["rerank_ms"] or 0.0)
            with span("execute_tool search", start, after, _of_attempt(attempt)):
                with span("retrieval", start, found, _of_retrieval(call, attempt, content)):
                    pass
                with span("rerank", found, after, {}):
                    pass
        if call.generate_ms is not None and call.prompt_id:
            end = call.total_ms if call.total_ms is not None else after + call.generate_ms
            start = max(after, end - call.generate_ms)
            end = start + call.generate_ms
            with span(f"chat {call.model}", start, end, _of_chat(call, start, content), kind=SpanKind.CLIENT):
                pass


def _of_root(call: Call, operation: str, content: bool) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.agent.name": AGENT if call.route == "query" else None,
        "http.route": call.route,
        "http.response.status_code": call.status,
        "error.type": call.error_type,
        "rag.prompt": call.prompt,
        "rag.confidence": call.confidence,
        "rag.abstained": call.abstained,
        "rag.cost_usd": call.cost_usd,
        "rag.queue_ms": call.queue_ms,
        "rag.first_token_ms": call.first_token_ms,
        **_messages(call, content),
    }


def _of_attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "datastore",
        "rag.strategy": attempt.get("strategy"),
        "rag.confidence": attempt.get("confidence"),
        "rag.took": attempt.get("took"),
    }


def _of_retrieval(call: Call, attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    """The documents are those of the attempt that was taken: of the others, none is kept."""
    documents = None
    if attempt.get("took") and content:
        documents = [{"id": each["place"], "content": each["text"]} for each in call.sources]
    return {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.top_k": call.parameters.get("k"),
        "gen_ai.retrieval.query.text": attempt.get("query") if content else None,
        "gen_ai.retrieval.documents": documents and json.dumps(documents, ensure_ascii=False),
    }


def _of_chat(call: Call, start_ms: float, content: bool) -> dict[str, Any]:
    """The time to the first chunk counts from where this span starts, not from the call's arrival."""
    first = None if call.first_token_ms is None else max(0.0, call.first_token_ms - start_ms) / 1000
    reason = call.finish_reason
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.engine,
        "gen_ai.request.model": call.model,
        "gen_ai.request.max_tokens": call.parameters.get("max_tokens"),
        "gen_ai.prompt.name": call.prompt_id,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.response.time_to_first_chunk": first,
        **_messages(call, content),
    }


def _messages(call: Call, content: bool) -> dict[str, str]:
    """Question and answer in the form of the conventions."""
    if not content:
        return {}

    def message(role: str, text: str | None, **more: str) -> str:
        parts = [{"type": "text", "content": text or ""}]
        return json.dumps([{"role": role, "parts": parts, **more}], ensure_ascii=False)

    answer = message("assistant", call.answer, finish_reason=call.finish_reason or "stop")
    return {"gen_ai.input.messages": message("user", call.question), "gen_ai.output.messages": answer}
