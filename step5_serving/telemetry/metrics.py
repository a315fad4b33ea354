"""Prometheus metrics: what a call adds to the counters and histograms, and the page that is scraped.

    metrics = Metrics(admission)
    metrics.observe(call)               # after the row is written
    metrics.page()                      # GET /metrics: b'rag_calls_total{route="query",...} 1.0 ...'

Labels have few values: routes, status classes, stages. Questions, keys and trace ids are never labels, since
each new value would be a new series. Each worker counts for itself; Prometheus scrapes all of them.
"""

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from step5_serving.telemetry.call import STAGES, Call

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
PROBABILITIES = (0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, admission: Any = None) -> None:
        """`admission` has the numbers of `running` and `waiting` calls."""
        disable_created_metrics()  # they would double the number of series
        self.registry = CollectorRegistry()

        def make(kind: Any, name: str, help: str, *labels: str, **more: Any) -> Any:
            return kind(name, help, labels, namespace="rag", registry=self.registry, **more)

        self.calls = make(Counter, "calls", "Calls by route and class of status.", "route", "status")
        self.errors = make(Counter, "errors", "Calls that failed, by type of error.", "type")
        stage = make(
            Histogram, "stage_seconds", "Time by stage; total is the call.", "stage", buckets=SECONDS
        )
        self.first = make(
            Histogram, "first_token_seconds", "Time to the first piece of text.", buckets=SECONDS
        )
        tokens = make(Counter, "tokens", "Tokens read and written.", "direction")
        self.cost = make(Counter, "cost_usd", "Dollars, where the price is known.")
        self.unknown = make(Counter, "cost_unknown_calls", "Calls whose cost is not known.")
        self.refusals = make(Counter, "refusals", "Error replies, also those of calls.", "route", "status")
        self.feedback = make(Counter, "feedback", "Feedback on answers, by thumb.", "thumb")
        self.confidence = make(Histogram, "confidence", "Confidence of the search.", buckets=PROBABILITIES)
        self.abstained = make(Counter, "abstained", "Calls answered with: I don't know.")
        in_flight = make(Gauge, "in_flight", "Requests being answered now.")
        queue = make(Gauge, "queue_depth", "Requests that wait for their turn.")
        if admission:
            in_flight.set_function(lambda: admission.running)
            queue.set_function(lambda: admission.waiting)
        # Looked up once: `labels` costs more than the count itself.
        self._stages = {name: stage.labels(name) for name in (*STAGES, "total")}
        self._input, self._output = tokens.labels("input"), tokens.labels("output")
        self.calls.labels("query", "2xx")  # exists from the start: a rate needs a zero

    def observe(self, call: Call) -> None:
        """Count a call."""
        self.calls.labels(call.route, f"{call.status // 100}xx").inc()
        if call.error_type:
            self.errors.labels(call.error_type).inc()
        for stage, histogram in self._stages.items():
            milliseconds = getattr(call, f"{stage}_ms")
            if milliseconds is not None and call.status < 400:
                histogram.observe(milliseconds / 1000)
        if call.first_token_ms is not None:
            self.first.observe(call.first_token_ms / 1000)
        self._input.inc(call.input_tokens or 0)
        self._output.inc(call.output_tokens or 0)
        self.cost.inc(call.cost_usd or 0)
        self.unknown.inc(call.cost_usd is None)
        if call.confidence is not None:
            self.confidence.observe(call.confidence)
        self.abstained.inc(bool(call.abstained))

    def page(self) -> bytes:
        """Prometheus' text format, for CONTENT_TYPE_LATEST."""
        return generate_latest(self.registry)
