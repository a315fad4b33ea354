"""OpenTelemetry: each call as a tree of spans, sent by OTLP to Phoenix, Jaeger or any collector.

    spans = Spans("http://127.0.0.1:6006")
    spans.export(call)

    invoke_agent rag                       41 ms   SERVER    gen_ai.agent.name = rag
      execute_tool search                   6 ms             rag.strategy = question, rag.confidence = 0.71
        retrieval                           4 ms             gen_ai.retrieval.top_k = 5
        rerank                              2 ms
      chat smollm2-135m-instruct           30 ms   CLIENT    gen_ai.usage.input_tokens = 164, ...

Spans are made from the finished call, with the times that were measured, and the SDK's own thread sends them
in batches. If the endpoint is gone, they are dropped: the database must be complete, traces may have gaps.
Names are from the GenAI conventions (github.com/open-telemetry/semantic-conventions-genai), others begin
with `rag.`.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.config import server_address
from shared.errors import UserError
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import microseconds, operation_of

log = logging.getLogger(__name__)
SERVICE, AGENT = "step5_serving", "rag"
FIGURES = ("confidence", "abstained", "cost_usd", "queue_ms", "first_token_ms")
TIMEOUT_S = 3.0  # of the exporter, so that a dead endpoint doesn't delay the shutdown for long


class Spans:
    """Sends the spans of calls."""

    def __init__(self, otlp: str | None = None, *, content: bool = False) -> None:
        """Send to the endpoint `otlp`, or where OpenTelemetry's environment variables say.

        Args:
            content: include questions, passages and answers; the receiver may be another company's.

        Raises:
            UserError: the endpoint is not an address.
        """
        try:
            if otlp is not None:
                server_address(otlp)
        except ValueError:
            text = f"--otlp {otlp!r:.80} is not an address: use one like http://127.0.0.1:6006"
            raise UserError(text) from None
        address = otlp and otlp.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        timeout = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else TIMEOUT_S
        exporter = trace_exporter.OTLPSpanExporter(endpoint=address, timeout=timeout)
        first = iter([True])  # log a dead endpoint once, not for each batch
        logging.getLogger(trace_exporter.__name__).addFilter(lambda _record: next(first, False))
        self.content, self._ids = content, _CallIds()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE)})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer(SERVICE)

    def export(self, call: Call) -> None:
        """Make the spans of a finished call; if that fails, it is only logged."""
        try:
            self._ids.trace_id, self._ids.root = int(call.trace_id, 16), int(call.span_id, 16)
            make_spans(self._tracer, call, content=self.content)
        except Exception:
            log.exception("call %s has no spans", call.trace_id)

    def close(self) -> None:
        """Send what waits, for five seconds at most."""
        self._provider.force_flush(5000)
        self._provider.shutdown()


class _CallIds(RandomIdGenerator):
    """The call's trace id, and its span id for the root; random ids for the other spans."""

    trace_id = root = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        root, self.root = self.root, 0
        return root or super().generate_span_id()


def make_spans(tracer: trace.Tracer, call: Call, *, content: bool = False) -> None:
    """Make the spans of a call; searches that were not timed have none."""
    began = microseconds(call.started_at) * 1000

    @contextlib.contextmanager
    def span(
        name: str, start_ms: float, end_ms: float, attributes: dict[str, Any], **more: Any
    ) -> Iterator[trace.Span]:
        """A span around those made inside the `with`; times are milliseconds after the call's start."""
        known = {key: value for key, value in attributes.items() if value is not None}
        start_ns, end_ns = (began + round(each * 1e6) for each in (start_ms, end_ms))
        with tracer.start_as_current_span(
            name, attributes=known, start_time=start_ns, end_on_exit=False, **more
        ) as opened:
            yield opened
        opened.end(end_ns)

    def leaf(*args: Any, **more: Any) -> None:
        with span(*args, **more):
            pass

    # The caller's span is the parent, if the request named one.
    header = f"00-{call.trace_id}-{call.parent_span_id}-01"
    parent = TraceContextTextMapPropagator().extract({"traceparent": header}, trace.Context())
    name = f"{operation_of(call)} {AGENT}" if call.route == "query" else call.route
    kinds = {"kind": trace.SpanKind.SERVER, "context": parent}
    with span(name, 0.0, call.total_ms or 0.0, _root_attributes(call, content), **kinds) as root:
        if call.status >= 500:
            root.set_status(trace.StatusCode.ERROR, call.error_type or "error")
        after = call.queue_ms or 0.0
        for attempt in call.attempts:
            if attempt.get("start_ms") is None:
                continue
            start = attempt["start_ms"]
            found = start + (attempt["retrieve_ms"] or 0.0)
            after = found + (attempt["rerank_ms"] or 0.0)
            search = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
            search |= {"gen_ai.tool.type": "datastore"}
            search |= {f"rag.{each}": attempt.get(each) for each in ("strategy", "confidence", "took")}
            with span("execute_tool search", start, after, search):
                leaf("retrieval", start, found, _retrieval_attributes(call, attempt, content))
                leaf("rerank", found, after, {})
        if call.generate_ms is not None and call.prompt_id:
            start = max(after, (call.total_ms or 0.0) - call.generate_ms)
            chat = _chat_attributes(call, start, content)
            client = trace.SpanKind.CLIENT
            leaf(f"chat {call.model}", start, start + call.generate_ms, chat, kind=client)


def _root_attributes(call: Call, content: bool) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": operation_of(call),
        "gen_ai.agent.name": AGENT if call.route == "query" else None,
        "http.route": call.route,
        "http.response.status_code": call.status,
        "error.type": call.error_type,
        "rag.prompt": call.prompt,
        **{f"rag.{each}": getattr(call, each) for each in FIGURES},
        **_messages(call, content),
    }


def _retrieval_attributes(call: Call, attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    """Only the attempt whose passages were used has documents: those of the others are not stored."""
    documents = None
    if attempt.get("took") and content:
        passages = [{"id": each["place"], "content": each["text"]} for each in call.sources]
        documents = json.dumps(passages, ensure_ascii=False)
    return {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.top_k": call.parameters.get("k"),
        "gen_ai.retrieval.query.text": attempt.get("query") if content else None,
        "gen_ai.retrieval.documents": documents,
    }


def _chat_attributes(call: Call, start_ms: float, content: bool) -> dict[str, Any]:
    """The time to the first chunk counts from the start of this span, not of the call."""
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
