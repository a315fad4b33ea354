"""Telemetry: one row in a database for each call, written before the reply is sent, and what reads the rows.

    recorder = Recorder.from_url("sqlite:///telemetry.db")
    await recorder.record(Call(route="query", status=200, question="When does it renew?", ...))
    summarize(recorder.store, parse_since("24h"))["latency_ms"]["total"]["p95"]

call.py has the row, schema.py the tables, store.py the database, writer.py the group commit. prices.py and
versions.py are asked before a call: what may it cost, which prompt does it get? metrics.py and spans.py
export to Prometheus and OpenTelemetry. summary.py, reading.py and report.py read the rows.
"""
