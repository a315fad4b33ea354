"""Spans: the tree of a call, and how it is sent by OTLP."""

import contextlib
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from shared.errors import UserError
from step5_serving.addresses import listening
from step5_serving.api import server
from step5_serving.config import Config
from step5_serving.telemetry.writer import Recorder
from tests.step5.service_parts import app_of, post
from tests.step5.telemetry_parts import ATTEMPTS, call_of, source_of

spans = pytest.importorskip("step5_serving.telemetry.spans", reason="pip install 'llm-roadmap[tracing]'")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

ROOT, SEARCH = "invoke_agent rag", "execute_tool search"
NAMES = [ROOT, SEARCH, "retrieval", "rerank", SEARCH, "retrieval", "rerank"]
CHAT = "chat smollm2-135m-instruct"
NEWER = {"gen_ai.retrieval.top_k"}  # published, but not in every package of the names that we allow


@contextlib.contextmanager
def receiving():
    """An OTLP endpoint over HTTP; gives its address, and the spans and services that have come."""
    got = SimpleNamespace(spans=[], services=[])

    async def traces(request):
        for resource in ExportTraceServiceRequest.FromString(await request.body()).resource_spans:
            got.services.append(str(resource.resource))
            got.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return Response()

    with listening(Starlette(routes=[Route("/v1/traces", traces, methods=["POST"])])) as got.url:
        yield got


def made(call, **options):
    """The spans of a call, in the order in which they begin."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    spans.make_spans(provider.get_tracer("test"), call, **options)
    found = kept.get_finished_spans()  # children before their parents
    return sorted(found, key=lambda span: (span.start_time, -found.index(span)))


# --- the tree -------------------------------------------------------------------------------------------


def test_a_call_is_a_tree_of_attempts_and_a_generation():
    root, *below = nodes = made(call_of(attempts=ATTEMPTS))
    assert [node.name for node in nodes] == [*NAMES, CHAT]
    ids = [node.context.span_id for node in nodes]
    assert root.parent is None
    assert [ids.index(node.parent.span_id) for node in below] == [0, 1, 1, 0, 4, 4, 0]
    assert [node.kind.name for node in nodes] == ["SERVER", *["INTERNAL"] * 6, "CLIENT"]
    for node in below:
        parent = nodes[ids.index(node.parent.span_id)]
        assert parent.start_time <= node.start_time <= node.end_time <= parent.end_time
    assert nodes[7].end_time - nodes[7].start_time == 30e6
    assert "rag.cost_usd" not in root.attributes  # unknown is left out
    assert made(call_of(parent_span_id="00f067aa0ba902b7"))[0].parent.span_id == 0x00F067AA0BA902B7


def test_names_are_those_of_the_genai_conventions():
    published = pytest.importorskip("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    names = {value for name, value in vars(published).items() if name.startswith("GEN_AI_")}
    operations = {each.value for each in published.GenAiOperationNameValues}
    nodes = made(call_of(attempts=ATTEMPTS), content=True)
    found = {name for node in nodes for name in node.attributes if name.startswith("gen_ai.")}
    assert found <= names | NEWER
    assert {"gen_ai.agent.name", "gen_ai.tool.name", "gen_ai.retrieval.top_k"} <= found
    assert {node.attributes["gen_ai.operation.name"] for node in nodes if node.name != "rerank"} <= operations


def test_the_first_chunk_is_timed_from_the_start_of_its_span():
    root, *_, chat = made(call_of(total_ms=100.0, generate_ms=60.0, first_token_ms=55.0))
    assert chat.start_time - root.start_time == 40e6
    assert chat.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"attempts": [{"strategy": "question", "query": "renewl?"}]}, [ROOT, CHAT]),  # not timed
        ({"prompt_id": None, "generate_ms": 2.0}, [ROOT, SEARCH, "retrieval", "rerank"]),  # a quote
    ],
)
def test_what_was_not_timed_or_not_done_has_no_span(given, names):
    assert [node.name for node in made(call_of(**given))] == names


@pytest.mark.parametrize("content", [True, False])
def test_texts_are_sent_only_with_content(content):
    secret = "when does the secret treaty renew"
    texts = {"question": secret, "answer": secret, "sources": [source_of(secret)]}
    found = made(call_of(**texts, attempts=[{**ATTEMPTS[1], "query": secret}]), content=content)
    assert any(secret in str(node.attributes) for node in found) == content


@pytest.mark.parametrize(("status", "is_error"), [(503, True), (429, False)])
def test_an_error_of_the_service_is_an_error_of_the_span(status, is_error):
    """By the conventions, a caller's error is not."""
    root = made(call_of(status=status, error_type="overloaded_error", generate_ms=None))[0]
    assert (not root.status.is_ok, root.attributes["error.type"]) == (is_error, "overloaded_error")


# --- over OTLP ------------------------------------------------------------------------------------------


def test_spans_arrive_with_the_ids_of_the_call_and_a_broken_call_stops_no_other(caplog):
    call = call_of(attempts=ATTEMPTS)
    with receiving() as receiver:
        sender = spans.Spans(receiver.url)
        sender.export(call_of(trace_id="no hex"))
        sender.export(call)
        sender.close()
    assert "call no hex has no spans" in caplog.text
    assert {span.trace_id.hex() for span in receiver.spans} == {call.trace_id}
    assert "step5_serving" in receiver.services[0]
    root = next(span for span in receiver.spans if span.name == ROOT)
    assert root.span_id.hex() == call.span_id
    assert root.start_time_unix_nano == int(call.started_at.timestamp()) * 10**9


def test_a_dead_endpoint_is_logged_once(caplog, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sender = spans.Spans("http://127.0.0.1:9")
    for _ in range(3):
        sender.export(call_of())
    sender.close()
    [line] = [each.getMessage() for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert "127.0.0.1" in line or "export" in line


def test_spans_are_off_by_default_turned_on_by_a_variable_and_redacted(monkeypatch, tmp_path):
    pytest.importorskip("presidio_analyzer", reason="pip install .[presidio]")
    for name in server.OTLP:
        monkeypatch.delenv(name, raising=False)
    assert server._make_spans(Config()) is None
    with pytest.raises(UserError, match="is not an address"):
        server._make_spans(Config(otlp="localhost:6006"))
    with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        sender = server._make_spans(Config(otlp_content=True))
        recorder = Recorder.from_url(str(tmp_path / "telemetry.db"), redact=True)
        post(app_of(recorder=recorder, spans=sender), json={"question": "I am ann@example.com"})
        sender.close()
    assert "I am [e-mail address]" in str(receiver.spans)
