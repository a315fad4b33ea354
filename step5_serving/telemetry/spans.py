"""OpenTelemetry: each call as a tree of spans, sent by OTLP to Phoenix, Jaeger, or any collector.

    spans = Spans("http://127.0.0.1:6006")
    spans.export(call)

    invoke_agent rag                       41 ms   SERVER    gen_ai.agent.name = rag
      execute_tool search                   6 ms             rag.strategy = question, rag.confidence = 0.71
        retrieval                           4 ms             gen_ai.retrieval.top_k = 5
        rerank                              2 ms
      chat smollm2-135m-instruct           30 ms   CLIENT    gen_ai.usage.input_tokens = 164, ...

Spans are made from the finished call, with the times that were measured, and sent in batches by the SDK's
own thread. When the endpoint is gone, they are dropped: the database must be complete; traces may have gaps.
Names are those of the GenAI conventions (github.com/open-telemetry/semantic-conventions-genai); what these
have no name for is under `rag.`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.errors import UserError
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import microseconds, operation_of

log = logging.getLogger(__name__)
SERVICE, AGENT = "step5_serving", "rag"
FIGURES = ("confidence", "abstained", "cost_usd", "queue_ms", "first_token_ms")
TIMEOUT_S = 3.0  # of the exporter: nobody waits for spans, and the service's end not long


class Spans:
    """Sends the spans of calls."""

    def __init__(
        self,
        otlp: str | None = None,
        *,
        content: bool = False,
        redact: Callable[[Call], Call] | None = None,
    ) -> None:
        """To the endpoint `otlp`, else where OpenTelemetry's own variables say.

        Args:
            content: send what was asked, found and answered, too; the other end may be another company's.

        Raises:
            UserError: the endpoint is not an address.
        """
        if otlp is not None and not otlp.startswith(("http://", "https://")):
            raise UserError(f"--otlp {otlp[:80]!r} is not an address: use one like http://127.0.0.1:6006")
        address = otlp and otlp.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        timeout = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else TIMEOUT_S
        exporter = trace_exporter.OTLPSpanExporter(endpoint=address, timeout=timeout)
        first = iter([True])  # an endpoint that is gone would have a line for each batch
        logging.getLogger(trace_exporter.__name__).addFilter(lambda _record: next(first, False))
        self.content, self.redact, self._ids = content, redact, _Ids()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE)})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer(SERVICE)

    def export(self, call: Call) -> None:
        """Make the spans of a call that has ended; a call that can't be drawn goes without."""
        try:
            call = self.redact(call) if self.redact else call
            self._ids.trace_id, self._ids.root = int(call.trace_id, 16), int(call.span_id, 16)
            draw(self._tracer, call, content=self.content)
        except Exception:
            log.exception("call %s has no spans", call.trace_id)

    def close(self) -> None:
        """Send what waits, for five seconds at most."""
        self._provider.force_flush(5000)
        self._provider.shutdown()


class _Ids(RandomIdGenerator):
    """The ids of the call: its trace's, and its own for the first span; others by chance."""

    trace_id = root = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        root, self.root = self.root, 0
        return root or super().generate_span_id()


# --- the tree -------------------------------------------------------------------------------------------


def draw(tracer: trace.Tracer, call: Call, *, content: bool = False) -> None:
    """Make the spans of a call; searches that were not timed have none."""
    began = microseconds(call.started_at) * 1000

    @contextlib.contextmanager
    def span(
        name: str, start_ms: float, end_ms: float, attributes: dict[str, Any], **more: Any
    ) -> Iterator[trace.Span]:
        """Around its children; times are after the call's start."""
        known = {key: value for key, value in attributes.items() if value is not None}
        opened = tracer.start_as_current_span(
            name, attributes=known, start_time=began + round(start_ms * 1e6), end_on_exit=False, **more
        )
        with opened as it:
            yield it
        it.end(began + round(end_ms * 1e6))

    def leaf(*args: Any, **more: Any) -> None:
        with span(*args, **more):
            pass

    operation = operation_of(call)
    name = f"{operation} {AGENT}" if call.route == "query" else call.route
    kinds = {"kind": trace.SpanKind.SERVER, "context": _parent(call)}
    with span(name, 0.0, call.total_ms or 0.0, _of_root(call, operation, content), **kinds) as root:
        if call.status >= 500:
            root.set_status(trace.StatusCode.ERROR, call.error_type or "error")
        after = call.queue_ms or 0.0
        for attempt in call.attempts:
            if attempt.get("start_ms") is None:
                continue
            start = attempt["start_ms"]
            found = start + (attempt["retrieve_ms"] or 0.0)
            after = found + (attempt["rerank_ms"] or 0.0)
            with span("execute_tool search", start, after, _of_attempt(attempt)):
                leaf("retrieval", start, found, _of_retrieval(call, attempt, content))
                leaf("rerank", found, after, {})
        if call.generate_ms is not None and call.prompt_id:
            start = max(after, (call.total_ms or 0.0) - call.generate_ms)
            end = start + call.generate_ms
            leaf(f"chat {call.model}", start, end, _of_chat(call, start, content), kind=trace.SpanKind.CLIENT)


def _parent(call: Call) -> trace.Context:
    """The caller's span, where the request named one (traceparent)."""
    header = f"00-{call.trace_id}-{call.parent_span_id}-01"
    return TraceContextTextMapPropagator().extract({"traceparent": header}, trace.Context())


def _of_root(call: Call, operation: str, content: bool) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.agent.name": AGENT if call.route == "query" else None,
        "http.route": call.route,
        "http.response.status_code": call.status,
        "error.type": call.error_type,
        "rag.prompt": call.prompt,
        **{f"rag.{each}": getattr(call, each) for each in FIGURES},
        **_messages(call, content),
    }


def _of_attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "datastore",
        **{f"rag.{each}": attempt.get(each) for each in ("strategy", "confidence", "took")},
    }


def _of_retrieval(call: Call, attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    """The documents are those of the attempt that was taken: of the others, none is kept."""
    documents = None
    if attempt.get("took") and content:
        found = [{"id": each["place"], "content": each["text"]} for each in call.sources]
        documents = json.dumps(found, ensure_ascii=False)
    return {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.top_k": call.parameters.get("k"),
        "gen_ai.retrieval.query.text": attempt.get("query") if content else None,
        "gen_ai.retrieval.documents": documents,
    }


def _of_chat(call: Call, start_ms: float, content: bool) -> dict[str, Any]:
    """The time to the first chunk counts from where this span starts, not from the call's arrival."""
    first = None if call.first_token_ms is None else max(0.0, call.first_token_ms - start_ms) / 1000
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.engine,
        "gen_ai.request.model": call.model,
        "gen_ai.request.max_tokens": call.parameters.get("max_tokens"),
        "gen_ai.prompt.name": call.prompt_id,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else None,
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
