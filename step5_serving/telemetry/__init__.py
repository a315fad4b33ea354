"""What is known of every call: a row in a database, written before the reply goes out, and all that reads it.

    recorder = Recorder.from_url("sqlite:///telemetry.db")
    await recorder.record(Call(route="query", status=200, question="When does it renew?", ...))
    summarize(recorder.store, parse_since("24h"))["latency_ms"]["total"]["p95"]

call.py is the row, schema.py its tables, store.py the database, writer.py the group commit; prices.py and
versions.py decide before a call what it may cost and which prompt it gets; metrics.py and spans.py tell
Prometheus and OpenTelemetry; summary.py, reading.py and report.py read what was written, as
evaluation/replay.py does.
"""
