"""One call as a tree of spans: names, times and attributes, without any tracing library.

    >>> [(each.name, each.parent) for each in tree(call)]
    [('query', None), ('attempt asked', 0), ('retrieve', 1), ('rerank', 1), ('chat smollm2-135m', 0)]

Attribute names are those of OpenTelemetry's GenAI conventions; what these have no name for is under `rag.`.
Attempts that were not timed stand in the root as attributes only: no time is invented.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from step5_serving.telemetry.call import Call
from step5_serving.telemetry.schema import OPERATIONS


@dataclass(frozen=True)
class Node:
    """A span to be; times in ms after the call's start, `parent` is its place in the list."""

    name: str
    kind: str  # SERVER, INTERNAL or CLIENT
    parent: int | None
    start_ms: float
    end_ms: float
    attributes: Mapping[str, Any]
    error: str | None = None


def tree(call: Call, *, content: bool = False) -> list[Node]:
    """The spans of a call, parents before children.

    Args:
        content: put in what was asked, found and answered.
    """
    nodes = [_root(call, content)]
    after = call.queue_ms or 0.0
    for attempt in _timed(call):
        parent, start = len(nodes), attempt["start_ms"]
        found = start + (attempt["retrieve_ms"] or 0.0)
        after = found + (attempt["rerank_ms"] or 0.0)
        nodes.append(
            Node(f"attempt {attempt['strategy']}", "INTERNAL", 0, start, after, _of_attempt(attempt, content))
        )
        nodes.append(Node("retrieve", "INTERNAL", parent, start, found, _of_retrieve(call, attempt, content)))
        if attempt["rerank_ms"] is not None:
            attributes = {"openinference.span.kind": "RERANKER"}
            nodes.append(Node("rerank", "INTERNAL", parent, found, after, attributes))
    if call.generate_ms is not None and call.prompt_id:
        end = call.total_ms if call.total_ms is not None else after + call.generate_ms
        start = max(after, end - call.generate_ms)
        nodes.append(
            Node(f"chat {call.model}", "CLIENT", 0, start, start + call.generate_ms, _of_chat(call, content))
        )
    return nodes


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


def _root(call: Call, content: bool) -> Node:
    strategies = [str(each.get("strategy")) for each in call.attempts]
    attributes = {
        "openinference.span.kind": "CHAIN",
        "gen_ai.operation.name": OPERATIONS.get(call.route, call.route),
        "gen_ai.workflow.name": "rag" if call.route == "query" else None,
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
        "rag.attempts": strategies or None,
    }
    if content:
        attributes |= {"input.value": call.question, "output.value": call.answer}
    failed = (call.error_type or "error") if call.status >= 500 else None
    return Node(call.route, "SERVER", None, 0.0, call.total_ms or 0.0, _known(attributes), failed)


def _of_attempt(attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    return _known(
        {
            "openinference.span.kind": "CHAIN",
            "rag.strategy": attempt.get("strategy"),
            "rag.confidence": attempt.get("confidence"),
            "rag.took": attempt.get("took"),
            "input.value": attempt.get("query") if content else None,
        }
    )


def _of_retrieve(call: Call, attempt: dict[str, Any], content: bool) -> dict[str, Any]:
    """The documents are those of the attempt that was taken: of the others, none is kept."""
    attributes = {
        "openinference.span.kind": "RETRIEVER",
        "gen_ai.operation.name": "retrieval",
        "gen_ai.request.top_k": call.parameters.get("k"),
        "gen_ai.retrieval.query.text": attempt.get("query") if content else None,
        "input.value": attempt.get("query") if content else None,
    }
    if attempt.get("took") and content:
        documents = [{"id": each.get("place") or each.get("document")} for each in call.sources]
        attributes["gen_ai.retrieval.documents"] = json.dumps(documents, ensure_ascii=False)
        for place, each in enumerate(call.sources):
            name = f"retrieval.documents.{place}.document"
            attributes[f"{name}.id"] = each.get("place") or each.get("document")
            attributes[f"{name}.content"] = each.get("text")
    return _known(attributes)


def _of_chat(call: Call, content: bool) -> dict[str, Any]:
    attributes = {
        "openinference.span.kind": "LLM",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.engine,
        "gen_ai.request.model": call.model,
        "gen_ai.request.max_tokens": call.parameters.get("max_tokens"),
        "gen_ai.prompt.name": call.prompt_id,
        "gen_ai.usage.input_tokens": call.input_tokens,
        "gen_ai.usage.output_tokens": call.output_tokens,
        "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": call.first_token_ms and call.first_token_ms / 1000,
    }
    if content:
        attributes["gen_ai.input.messages"] = _messages("user", call.question)
        finish = {"finish_reason": call.finish_reason or "stop"}
        attributes["gen_ai.output.messages"] = _messages("assistant", call.answer, finish)
    return _known(attributes)


def _messages(role: str, text: str | None, more: Mapping[str, str] | None = None) -> str | None:
    """One message in the form of the conventions."""
    if text is None:
        return None
    message = {"role": role, "parts": [{"type": "text", "content": text}], **(more or {})}
    return json.dumps([message], ensure_ascii=False)


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
