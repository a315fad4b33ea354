"""A run as spans: their tree and names, and a collector on this machine that gets them."""

import http.server
import threading

import pytest

from shared.errors import UserError
from step3_rag.agent import loop, spans
from step3_rag.agent.world import SAMPLE, LookUp, World

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="no spans: the extra tracing")


@pytest.fixture
def transcript(api):
    api.enqueue(tool_uses=[("ask_documents", {}), ("fly", {})])
    api.enqueue("60 days.")
    world = World(SAMPLE, lambda _question: LookUp("Notice is 60 days.", ("supply.md",)), "How long?")
    return loop.run(api.client, "scripted", world)


def test_the_spans_of_a_run(transcript):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.make(transcript, provider)
    made = sorted(exporter.get_finished_spans(), key=lambda span: (span.start_time, span.end_time - 10**18))
    names = {span.name for span in made}
    assert names == {
        "invoke_agent office",
        "chat scripted",
        "execute_tool ask_documents",
        "execute_tool fly",
    }
    (root,) = [span for span in made if span.parent is None]
    assert {span.parent.span_id for span in made if span is not root} == {root.context.span_id}
    assert root.attributes["gen_ai.usage.input_tokens"] == 200
    assert root.attributes["output.value"] == "60 days."
    assert all(root.start_time <= span.start_time <= span.end_time <= root.end_time for span in made)
    (failed,) = [span for span in made if not span.status.is_ok and span.status.description]
    assert failed.name == "execute_tool fly"


def test_a_collector_gets_the_spans_and_a_dead_one_is_named(transcript):
    got = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    spans.export(transcript, address)
    server.shutdown()
    server.server_close()
    assert {path for path, _ in got} == {"/v1/traces"}
    assert any(b"execute_tool ask_documents" in body for _, body in got)
    with pytest.raises(UserError, match="is a collector running there"):
        spans.export(transcript, address)
