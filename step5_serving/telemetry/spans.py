"""OpenTelemetry: the spans of every call, sent by OTLP to Phoenix, Jaeger, or any collector.

    spans = Spans.of("http://127.0.0.1:6006")
    spans.export(call)

The trace's id is the call's, and so is the root's span id: a row of telemetry and its trace find each other.
Spans are made from the finished call (span_tree.py) and sent in batches by OpenTelemetry's own thread. When
the endpoint is gone, spans are dropped. The database must be complete; traces may have gaps.

What was asked and answered is sent only with `content`: the other end may be another company's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared.errors import UserError
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.span_tree import draw

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

log = logging.getLogger(__name__)
SERVICE = "step5_serving"
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
        address = None
        if otlp is not None:
            address = otlp.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        _log_once("opentelemetry.exporter")
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


def _log_once(name: str) -> None:
    once = _Once()
    for logger in list(logging.root.manager.loggerDict):
        if logger.startswith(name):
            logging.getLogger(logger).addFilter(once)
