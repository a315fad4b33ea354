"""OpenTelemetry: the spans of every call, sent by OTLP to Phoenix, Jaeger, or any collector.

    spans = Spans.of("http://127.0.0.1:6006")
    spans.export(call)

The trace's id is the call's, and so is the root's span id: a row of telemetry and its trace find each other.
Spans are made from the finished call (span_tree.py) in a thread of their own and sent in batches: a request
pays for one append to a queue, and for nothing where no endpoint is named. When the endpoint is gone, spans
are dropped and counted. The database must be complete; traces may have gaps.

What was asked and answered is sent only with `content`: the other end may be another company's.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from shared.errors import UserError, reason
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.span_tree import draw

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE = "step5_serving"
MOST_WAITING = 4096  # calls whose spans are not made yet; beyond it they are dropped
VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Spans:
    """Sends the spans of calls. `dropped` counts calls that had to go without."""

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

        self.content, self.redact, self.dropped = content, redact, 0
        self._ids = _ids()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", SERVICE)})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @classmethod
    def of(
        cls, otlp: str | None = None, *, content: bool = False, redact: Callable[[Call], Call] | None = None
    ) -> Spans | None:
        """To the endpoint of `--otlp`, else of OTEL_EXPORTER_OTLP_ENDPOINT; None where neither names one.

        Raises:
            UserError: the endpoint is no address, or the exporter is not installed.
        """
        if otlp is None and not any(os.environ.get(each) for each in VARIABLES):
            return None
        if otlp is not None and not otlp.startswith(("http://", "https://")):
            raise UserError(f"--otlp {otlp[:80]!r} is no address: use one like http://127.0.0.1:6006")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError:
            raise UserError(
                "spans want their exporter: pip install opentelemetry-exporter-otlp-proto-http"
            ) from None
        address = None
        if otlp is not None:
            address = otlp.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        _say_once("opentelemetry.exporter", address or "the OTLP endpoint")
        # Nobody waits for spans, and the service's end not long: so no retries of ten seconds.
        own = None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else 3.0
        return cls(OTLPSpanExporter(endpoint=address, timeout=own), content=content, redact=redact)

    def export(self, call: Call) -> None:
        """After the reply, or before it: costs a microsecond."""
        if self._queue.qsize() >= MOST_WAITING:
            self.dropped += 1
            return
        self._queue.put(call)

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for so long at most."""
        self._queue.put(None)
        self._thread.join(seconds)
        self._provider.force_flush(int(seconds * 1000))
        self._provider.shutdown()

    # --- in the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            try:
                self._draw(self.redact(call) if self.redact else call)
            except Exception as error:  # one call that can't be drawn is no reason to draw no more
                self.dropped += 1
                print(f"spans: call {call.trace_id}: {reason(error)}", file=sys.stderr)

    def _draw(self, call: Call) -> None:
        self._ids.trace_id, self._ids.root = int(call.trace_id, 16), int(call.span_id, 16)
        draw(self._tracer, call, _context(call), content=self.content)


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
    """One line when an endpoint can't be reached, instead of the exporter's for every batch."""

    where, said = "", False

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.said and record.levelno >= logging.WARNING:
            self.said = True
            why = record.getMessage()[:150]
            print(f"spans: {self.where} takes none ({why}); they are dropped", file=sys.stderr)
        return False


_once = _Once()


def _say_once(logger: str, where: str) -> None:
    _once.where, _once.said = where, False
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(logger):
            logging.getLogger(name).addFilter(_once)  # a second time, it is the same
