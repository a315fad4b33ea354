"""Puts an answer into the row of its call and into the reply."""

from __future__ import annotations

from dataclasses import asdict, replace

from pydantic import BaseModel, Field

from step5_serving.seam import Answered, Attempt, Retrieved, Source
from step5_serving.telemetry.call import STAGES, Call
from step5_serving.telemetry.prices import cost_of

UNREAD = (400, 401, 403, 404, 413, 429)  # statuses of calls that no model read


class Reply(BaseModel):
    """An answer and how it came about."""

    answer: str
    abstained: bool = Field(description="Whether it says that it doesn't know.")
    sources: list[Source]
    confidence: float | None = Field(description="That the passages hold the answer; null: unknown.")
    attempts: list[Attempt]
    usage: dict[str, int | None] = Field(description="Input and output tokens; null is unknown.")
    latency_ms: dict[str, float | None] = Field(
        description="Milliseconds, of the whole (total) and of its parts; null where one did not happen."
    )
    cost_usd: float | None = Field(description="Null where the model's price is unknown.")
    prompt_version: str | None
    model: str
    trace_id: str
    span_id: str = Field(description="The call's own: one trace may hold several calls.")


def reply_of(answered: Answered, call: Call) -> Reply:
    """The reply to a call whose row is filled."""
    return Reply(
        answer=answered.text,
        abstained=answered.abstained,
        sources=answered.sources,
        confidence=answered.confidence,
        attempts=answered.attempts,
        usage={"input_tokens": answered.input_tokens, "output_tokens": answered.output_tokens},
        latency_ms={name: getattr(call, f"{name}_ms") for name in ("total", *STAGES)},
        cost_usd=call.cost_usd,
        prompt_version=call.prompt,
        model=answered.model,
        trace_id=call.trace_id,
        span_id=call.span_id,
    )


def fill_answer(call: Call, answered: Answered) -> None:
    """Fill in everything that the answerer returned."""
    fill_retrieved(call, answered)
    call.answer, call.abstained = answered.text, answered.abstained
    for name in ("input_tokens", "output_tokens", "model", "engine", "finish_reason", "parameters"):
        setattr(call, name, getattr(answered, name))
    if answered.prompt:
        for name in ("id", "version", "sha256", "text"):
            setattr(call, f"prompt_{name}", getattr(answered.prompt, name))
    for stage, milliseconds in answered.latency_ms.items():
        setattr(call, f"{stage}_ms", round(milliseconds, 3))
    call.cost_usd = cost_of(answered.model, answered.input_tokens, answered.output_tokens)


def fill_retrieved(call: Call, found: Retrieved) -> None:
    """Fill in what the search found; the start of a search becomes relative to the arrival of the call."""
    call.confidence = found.confidence
    call.sources = [asdict(each) for each in found.sources]
    queue_ms = call.queue_ms or 0.0
    for each in found.attempts:
        start = None if each.start_ms is None else round(each.start_ms + queue_ms, 3)
        call.attempts.append(asdict(replace(each, start_ms=start)))


def fill_unasked_cost(call: Call) -> None:
    """Set the cost of a call that reached no model to 0; what an aborted answer cost stays unknown."""
    if call.cost_usd is None and (call.queue_ms is None or call.status in UNREAD):
        call.cost_usd = 0.0
