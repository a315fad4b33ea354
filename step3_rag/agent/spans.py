"""A run of the agent as OpenTelemetry spans, for Phoenix or any other collector.

    invoke_agent                     the whole run
      chat smollm2-135m-instruct     a turn of the model
      execute_tool ask_documents     a call
      chat ...

The names are those of the semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from shared.errors import UserError
from step3_rag.agent.transcript import Call, Transcript, Turn

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

AGENT = "office"
EXTRA = 'spans need the extra tracing: pip install -e ".[tracing]"'


def export(transcript: Transcript, address: str) -> None:
    """Send the spans of a run that has just ended to a collector, such as http://127.0.0.1:6006 for Phoenix.

    Raises:
        UserError: OpenTelemetry is not installed, or the collector can't be reached.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
    except ModuleNotFoundError:
        raise UserError(EXTRA) from None

    class Reported(OTLPSpanExporter):
        """Remembers whether all spans arrived."""

        failed = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            self.failed = self.failed or result is not SpanExportResult.SUCCESS
            return result

    endpoint = address.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
    exporter = Reported(endpoint=endpoint, timeout=5)
    provider = TracerProvider(resource=Resource.create({"service.name": "step3-agent"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    make(transcript, provider)
    provider.shutdown()
    if exporter.failed:
        raise UserError(f"the spans could not be sent to {address}: is a collector running there?")


def make(transcript: Transcript, provider: TracerProvider, end_ns: int | None = None) -> None:
    """Make the spans of a run; `end_ns`: when it ended, in nanoseconds since 1970, by default now."""
    tracer = provider.get_tracer("step3_rag.agent")
    end = time.time_ns() if end_ns is None else end_ns
    start = end - sum(map(_duration, transcript.turns))
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": AGENT,
        "gen_ai.request.model": transcript.model,
        "gen_ai.usage.input_tokens": sum(turn.input_tokens for turn in transcript.turns),
        "gen_ai.usage.output_tokens": sum(turn.output_tokens for turn in transcript.turns),
        "input.value": transcript.request,
        "output.value": transcript.answer,
    }
    name = f"invoke_agent {AGENT}"
    with tracer.start_as_current_span(
        name, attributes=attributes, start_time=start, end_on_exit=False
    ) as root:
        now = start
        for turn in transcript.turns:
            now = _make_turn(tracer, transcript.model, turn, now)
        root.end(end)


def _duration(turn: Turn) -> int:
    """How long a turn and its calls took, in nanoseconds."""
    return _ns(turn.seconds) + sum(_ns(call.seconds) for call in turn.calls)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _make_turn(tracer: Tracer, model: str, turn: Turn, start: int) -> int:
    """Make the spans of a turn; returns when it ended."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": turn.input_tokens,
        "gen_ai.usage.output_tokens": turn.output_tokens,
        "gen_ai.response.finish_reasons": [turn.stop_reason],
    }
    now = start + _ns(turn.seconds)
    tracer.start_span(f"chat {model}", attributes=attributes, start_time=start).end(now)
    for call in turn.calls:
        now = _make_call(tracer, call, now)
    return now


def _make_call(tracer: Tracer, call: Call, start: int) -> int:
    """Make the span of a call; returns when it ended."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.tool,
        "gen_ai.tool.call.arguments": json.dumps(call.arguments, ensure_ascii=False),
        "gen_ai.tool.call.result": call.result,
    }
    span = tracer.start_span(f"execute_tool {call.tool}", attributes=attributes, start_time=start)
    if call.is_error:
        span.set_status(StatusCode.ERROR, call.result)
    end = start + _ns(call.seconds)
    span.end(end)
    return end
