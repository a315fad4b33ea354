"""One call as OpenTelemetry spans, drawn after it has ended, with the times that were measured.

    invoke_agent rag                       41 ms   SERVER    gen_ai.agent.name = rag
      execute_tool search                   6 ms             rag.strategy = question, rag.confidence = 0.71
        retrieval                           4 ms             gen_ai.retrieval.top_k = 5
        rerank                              2 ms
      execute_tool search                   5 ms             rag.strategy = spelling, rag.took
        ...
      chat smollm2-135m-instruct           30 ms   CLIENT    gen_ai.usage.input_tokens = 164, ...

Names are those of the GenAI conventions (github.com/open-telemetry/semantic-conventions-genai); what these
have no name for is under `rag.`. Attempts that were not timed stand in the root only: no time is invented.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import OPERATIONS, microseconds

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

AGENT = "rag"


def draw(tracer: Tracer, call: Call, context: Context | None = None, *, content: bool = False) -> None:
    """Make the spans of a call.

    Args:
        context: with the caller's span, where there is one.
        content: put in what was asked, found and answered.
    """
    from opentelemetry.trace import SpanKind, StatusCode

    began = microseconds(call.started_at) * 1000

    @contextlib.contextmanager
    def span(
        name: str, start_ms: float, end_ms: float, attributes: dict[str, Any], **more: Any
    ) -> Iterator[Span]:
        """Around its children; times are after the call's start."""
        known = {key: value for key, value in attributes.items() if value is not None}
        opened = tracer.start_as_current_span(
            name, attributes=known, start_time=began + round(start_ms * 1e6), end_on_exit=False, **more
        )
        with opened as it:
            yield it
        it.end(began + round(end_ms * 1e6))

    operation = OPERATIONS.get(call.route, call.route)
    name = f"{operation} {AGENT}" if call.route == "query" else call.route
    root = _of_root(call, operation, content)
    with span(name, 0.0, call.total_ms or 0.0, root, kind=SpanKind.SERVER, context=context) as whole:
        if call.status >= 500:
            whole.set_status(StatusCode.ERROR, call.error_type or "error")
        after = call.queue_ms or 0.0
        for attempt in _timed(call):
            start = attempt["start_ms"]
            found = start + (attempt["retrieve_ms"] or 0.0)
            after = found + (attempt["rerank_ms"] or 0.0)
            with span("execute_tool search", start, after, _of_attempt(attempt, content)):
                with span("retrieval", start, found, _of_retrieval(call, attempt, content)):
                    pass
                if attempt["rerank_ms"] is not None:
                    with span("rerank", found, after, {"openinference.span.kind": "RERANKER"}):
                        pass
        if call.generate_ms is not None and call.prompt_id:
            end = call.total_ms if call.total_ms is not None else after + call.generate_ms
            start = max(after, end - call.generate_ms)
            end = start + call.generate_ms
            with span(f"chat {call.model}", start, end, _of_chat(call, start, content), kind=SpanKind.CLIENT):
                pass


def _timed(call: Call) -> Iterator[dict[str, Any]]:
    """The attempts that have times; a single one has the call's."""
    for attempt in call.attempts:
        start, retrieve = attempt.get("start_ms"), attempt.get("retrieve_ms")
        rerank = attempt.get("rerank_ms")
        if retrieve is None and len(call.attempts) == 1:
            retrieve, rerank = call.retrieve_ms, call.rerank_ms
        if start is None and len(call.attempts) == 1:
            start = call.queue_ms or 0.0
        if start is not None and retrieve is not None:
            yield {**attempt, "start_ms": start, "retrieve_ms": retrieve, "rerank_ms": rerank}


def _of_root(call: Call, operation: str, content: bool) -> dict[str, Any]:
    return {
        "openinference.span.kind": "CHAIN",
        "gen_ai.operation.name": operation,
        "gen_ai.agent.name": AGENT if call.route == "query" else None,
        "http.route": call.route,
        "http.response.status_code": call.status,
        "error.type": call.error_type,
        "gen_ai.prompt.name": call.prompt_id,
        "rag.prompt": call.prompt,
        "rag.confidence": call.confidence,
        "rag.abstained": call.abstained,
        "rag.cost_usd": call.cost_usd,
        "rag.queue_ms": call.queue_ms,
        "rag.first_token_ms": call.first_token_ms,
        "rag.attempts": [str(each.get("strategy")) for each in call.attempts] or None,
        "input.value": call.question if content else None,
        "output.value": call.answer if content else None,
    }


def _of_attempt(attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    return {
        "openinference.span.kind": "TOOL",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "datastore",
        "rag.strategy": attempt.get("strategy"),
        "rag.confidence": attempt.get("confidence"),
        "rag.took": attempt.get("took"),
        "input.value": attempt.get("query") if content else None,
    }


def _of_retrieval(call: Call, attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    """The documents are those of the attempt that was taken: of the others, none is kept."""
    attributes = {
        "openinference.span.kind": "RETRIEVER",
        "gen_ai.operation.name": "retrieval",
        "gen_ai.retrieval.top_k": call.parameters.get("k"),
        "gen_ai.retrieval.query.text": attempt.get("query") if content else None,
        "input.value": attempt.get("query") if content else None,
    }
    if attempt.get("took") and content:
        names = [each.get("place") or each.get("document") for each in call.sources]
        documents = [{"id": name} for name in names]
        attributes["gen_ai.retrieval.documents"] = json.dumps(documents, ensure_ascii=False)
        for number, (name, each) in enumerate(zip(names, call.sources, strict=True)):
            attributes[f"retrieval.documents.{number}.document.id"] = name
            attributes[f"retrieval.documents.{number}.document.content"] = each.get("text")
    return attributes


def _of_chat(call: Call, start_ms: float, content: bool) -> dict[str, Any]:
    """The time to the first chunk counts from where this span starts, not from the call's arrival."""
    first = None if call.first_token_ms is None else max(0.0, call.first_token_ms - start_ms) / 1000
    return {
        "openinference.span.kind": "LLM",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.engine,
        "gen_ai.request.model": call.model,
        "gen_ai.request.max_tokens": call.parameters.get("max_tokens"),
        "gen_ai.prompt.name": call.prompt_id,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": first,
        "gen_ai.input.messages": _message("user", call.question) if content else None,
        "gen_ai.output.messages": _message("assistant", call.answer, call.finish_reason or "stop")
        if content
        else None,
    }


def _message(role: str, text: str | None, finish_reason: str | None = None) -> str | None:
    """One message in the form of the conventions."""
    if text is None:
        return None
    message: dict[str, Any] = {"role": role, "parts": [{"type": "text", "content": text}]}
    if finish_reason:
        message["finish_reason"] = finish_reason
    return json.dumps([message], ensure_ascii=False)
