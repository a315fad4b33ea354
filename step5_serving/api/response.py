"""What was answered, as the row of a call keeps it and as the reply says it."""

from __future__ import annotations

from typing import Any

from step5_serving.seam import STAGES, Answered, Retrieved
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prices import cost_of

UNREAD = (400, 401, 403, 404, 413, 429)  # refused before a model read anything


def body_of(answered: Answered, call: Call) -> dict[str, Any]:
    """The JSON of a reply."""
    return {
        "answer": answered.text,
        "abstained": answered.abstained,
        **Retrieved(answered.sources, answered.confidence, answered.attempts).shown(),
        "usage": {"input_tokens": answered.input_tokens, "output_tokens": answered.output_tokens},
        "latency_ms": {
            "total": call.total_ms,
            "queue": call.queue_ms,
            "retrieve": call.retrieve_ms,
            "rerank": call.rerank_ms,
            "generate": call.generate_ms,
        },
        "cost_usd": call.cost_usd,
        "prompt_version": call.prompt,
        "model": answered.model,
        "trace_id": call.trace_id,
        "span_id": call.span_id,
    }


def fill(call: Call, answered: Answered) -> None:
    """What is known once it is answered."""
    call.answer, call.abstained = answered.text, answered.abstained
    fill_found(call, Retrieved(answered.sources, answered.confidence, answered.attempts))
    call.input_tokens, call.output_tokens = answered.input_tokens, answered.output_tokens
    call.model, call.engine = answered.model, answered.engine
    call.finish_reason, call.parameters = answered.finish_reason, answered.parameters
    if answered.prompt:
        call.prompt_id, call.prompt_version = answered.prompt.id, answered.prompt.version
        call.prompt_sha256 = answered.prompt.sha256
    for stage in STAGES:
        if (milliseconds := answered.latency_ms.get(stage)) is not None:
            setattr(call, f"{stage}_ms", round(milliseconds, 3))
    call.cost_usd = cost_of(answered.model, answered.input_tokens, answered.output_tokens)


def fill_found(call: Call, found: Retrieved) -> None:
    call.confidence = found.confidence
    call.sources = [each.row() for each in found.sources]
    call.attempts = [each.row(call.queue_ms or 0.0) for each in found.attempts]


def failed(call: Call, status: int, type: str) -> None:
    call.status, call.error_type = status, type


def settle(call: Call) -> None:
    """A call that no model was asked for cost nothing; what one that broke off had cost is not known."""
    if call.cost_usd is None and (call.queue_ms is None or call.status in UNREAD):
        call.cost_usd = 0.0
