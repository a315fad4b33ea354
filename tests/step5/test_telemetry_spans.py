"""Spans: the tree of a call, and how it arrives at the other end of OTLP."""

import gzip
import http.server
import threading
from types import SimpleNamespace

import pytest

from shared.errors import UserError
from step5_serving.telemetry import spans
from step5_serving.telemetry.redact import redacted
from step5_serving.telemetry.spans import Spans, draw
from tests.step5.telemetry_parts import call_of, source_of

ATTEMPTS = [
    {"strategy": "question", "query": "renewl?", "confidence": 0.4, "took": False}
    | {"start_ms": 1.0, "retrieve_ms": 3.0, "rerank_ms": 1.0},
    {"strategy": "spelling", "query": "renewal?", "confidence": 0.9, "took": True}
    | {"start_ms": 5.0, "retrieve_ms": 2.0, "rerank_ms": 1.5},
]
ROOT, SEARCH = "invoke_agent rag", "execute_tool search"
NAMES = [ROOT, SEARCH, "retrieval", "rerank", SEARCH, "retrieval", "rerank"]
NEWER = {"gen_ai.retrieval.top_k"}  # published, but not in every package of the names that we allow
CHAT = "chat smollm2-135m-instruct"


def needs_exporter():
    name = "opentelemetry-exporter-otlp-proto-http"
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason=f"pip install {name}")


class Receiver:
    """An OTLP endpoint over HTTP: decodes the protobuf that comes to /v1/traces."""

    def __init__(self):
        self.spans, self.resources = [], []

    def __enter__(self):
        needs_exporter()
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    receiver.resources.append(values(resource.resource.attributes))
                    for scope in resource.scope_spans:
                        receiver.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


def values(attributes):
    """Attributes as a dict of plain values."""
    found = {}
    for each in attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def sent(call, receiver, **options):
    """What arrives of a call: spans by their name (the last of a name), with plain attributes."""
    sender = Spans.of(receiver.url, **options)
    sender.export(call)
    sender.close()
    return {
        span.name: SimpleNamespace(raw=span, attributes=values(span.attributes)) for span in receiver.spans
    }


def drawn(call, **options):
    """The spans of a call, in the order in which they begin; `parent` is a place among them, times in ms."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = sdk.TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    draw(provider.get_tracer("test"), call, **options)
    ended = exporter.get_finished_spans()  # children before their parents
    found = sorted(ended, key=lambda span: (span.start_time, -span.end_time, -ended.index(span)))
    places = {span.context.span_id: place for place, span in enumerate(found)}
    began = found[0].start_time
    return [
        SimpleNamespace(
            name=span.name,
            kind=span.kind.name,
            parent=span.parent and places[span.parent.span_id],
            start_ms=(span.start_time - began) / 1e6,
            end_ms=(span.end_time - began) / 1e6,
            attributes=dict(span.attributes),
        )
        for span in found
    ]


def test_a_call_is_a_tree_of_attempts_and_a_generation():
    nodes = drawn(call_of(attempts=ATTEMPTS))
    assert [node.name for node in nodes] == [*NAMES, CHAT]
    assert [node.parent for node in nodes] == [None, 0, 1, 1, 0, 4, 4, 0]
    assert [node.kind for node in nodes] == ["SERVER", *["INTERNAL"] * 6, "CLIENT"]
    for node in nodes[1:]:
        parent = nodes[node.parent]
        assert parent.start_ms <= node.start_ms <= node.end_ms <= parent.end_ms
    assert nodes[7].end_ms - nodes[7].start_ms == 30.0


def test_names_are_those_of_the_genai_conventions():
    published = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    names = {value for name, value in vars(published).items() if name.startswith("GEN_AI_")}
    operations = {each.value for each in published.GenAiOperationNameValues}
    nodes = drawn(call_of(attempts=ATTEMPTS), content=True)
    sent = {name for node in nodes for name in node.attributes if name.startswith("gen_ai.")}
    assert sent <= names | NEWER
    assert {"gen_ai.agent.name", "gen_ai.tool.name", "gen_ai.retrieval.top_k"} <= sent
    assert {node.attributes["gen_ai.operation.name"] for node in nodes if node.name != "rerank"} <= operations


def test_the_first_chunk_is_timed_from_where_its_span_begins():
    chat = drawn(call_of(total_ms=100.0, generate_ms=60.0, first_token_ms=55.0))[-1]
    assert chat.start_ms == 40.0
    assert chat.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.015)


def test_no_time_is_invented_for_attempts_that_were_not_timed():
    untimed = [{"strategy": each["strategy"], "query": each["query"]} for each in ATTEMPTS]
    assert [node.name for node in drawn(call_of(attempts=untimed))] == [ROOT, CHAT]


def test_a_quote_has_no_generation():
    quoted = call_of(prompt_id=None, generate_ms=2.0, input_tokens=0, output_tokens=0)
    assert [node.name for node in drawn(quoted)] == [ROOT, SEARCH, "retrieval", "rerank"]


def test_it_arrives_as_protobuf_with_the_calls_own_trace_id():
    call = call_of(attempts=ATTEMPTS, started_at=call_of().started_at)
    with Receiver() as receiver:
        got = sent(call, receiver)
    assert len(receiver.spans) == len(NAMES) + 1
    assert {span.trace_id.hex() for span in receiver.spans} == {call.trace_id}
    assert receiver.resources[0]["service.name"] == "step5_serving"
    root, chat = got[ROOT], got[CHAT]
    assert root.raw.parent_span_id == b""
    assert root.raw.span_id.hex() == call.span_id
    assert chat.raw.parent_span_id == root.raw.span_id
    assert root.raw.start_time_unix_nano == int(call.started_at.timestamp()) * 10**9
    assert root.raw.end_time_unix_nano - root.raw.start_time_unix_nano == 41_500_000
    assert (root.raw.kind, chat.raw.kind) == (2, 3)  # SERVER, CLIENT
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.usage.input_tokens"] == 164
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["end_turn"]
    assert root.attributes["rag.prompt"].startswith("answer/1@")
    assert got[SEARCH].attributes["rag.took"] is True
    assert "rag.cost_usd" not in root.attributes  # unknown is left out


def test_a_callers_span_becomes_the_parent():
    with Receiver() as receiver:
        got = sent(call_of(parent_span_id="00f067aa0ba902b7"), receiver)
    assert got[ROOT].raw.parent_span_id.hex() == "00f067aa0ba902b7"


@pytest.mark.parametrize("content", [True, False])
def test_words_leave_the_house_only_when_asked(content):
    secret = "when does the secret treaty renew"
    call = call_of(
        question=secret,
        answer=secret,
        sources=[source_of(secret)],
        attempts=[{**ATTEMPTS[1], "query": secret}],
    )
    with Receiver() as receiver:
        sent(call, receiver, content=content)
    assert any(secret in str(span) for span in receiver.spans) == content


def test_what_leaves_the_house_is_redacted_like_what_is_stored():
    with Receiver() as receiver:
        got = sent(call_of(question="I am ann@example.com"), receiver, content=True, redact=redacted)
    assert "I am [e-mail]" in got[ROOT].attributes["gen_ai.input.messages"]


def test_an_error_of_the_service_is_one_of_the_span():
    with Receiver() as receiver:
        failed = sent(call_of(status=503, error_type="overloaded_error", generate_ms=None), receiver)
    assert failed[ROOT].raw.status.code == 2
    assert failed[ROOT].attributes["error.type"] == "overloaded_error"
    with Receiver() as receiver:
        refused = sent(call_of(status=429, error_type="rate_limit_error", generate_ms=None), receiver)
    assert refused[ROOT].raw.status.code == 0  # the caller's error, by the conventions


def test_an_endpoint_that_is_gone_costs_one_line(caplog, monkeypatch):
    needs_exporter()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sender = Spans.of("http://127.0.0.1:9")
    for _ in range(3):
        sender.export(call_of())
    sender.close()
    [line] = [each.getMessage() for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert "127.0.0.1" in line or "export" in line


def test_a_call_that_cannot_be_drawn_does_not_stop_the_others(caplog):
    with Receiver() as receiver:
        sender = Spans.of(receiver.url)
        sender.export(call_of(trace_id="no hex"))
        sender.export(call_of())
        sender.close()
    assert len(receiver.spans) == 5
    assert "call no hex has no spans" in caplog.text


def test_off_by_default_and_on_by_the_variable_of_opentelemetry(monkeypatch):
    for name in spans.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert Spans.of() is None
    with pytest.raises(UserError, match="is not an address"):
        Spans.of("localhost:6006")
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        sender = Spans.of()
        sender.export(call_of())
        sender.close()
    assert len(receiver.spans) == 5
