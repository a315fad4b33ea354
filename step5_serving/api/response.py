"""The reply to a question, made from its call."""

from __future__ import annotations

from pydantic import BaseModel, Field

from step5_serving.seam import Attempt, Source
from step5_serving.telemetry.call import STAGES, Call

# Fields that a reply has from its call.
SAME = [
    "answer",
    "abstained",
    "sources",
    "confidence",
    "attempts",
    "cost_usd",
    "model",
    "trace_id",
    "span_id",
]
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


def reply_of(call: Call) -> Reply:
    """The reply to a call that was answered."""
    return Reply(
        **{name: getattr(call, name) for name in SAME},
        usage={"input_tokens": call.input_tokens, "output_tokens": call.output_tokens},
        latency_ms={name: getattr(call, f"{name}_ms") for name in ("total", *STAGES)},
        prompt_version=call.prompt,
    )


def fill_unasked_cost(call: Call) -> None:
    """Set the cost of a call that reached no model to 0; what an aborted answer cost stays unknown."""
    if call.cost_usd is None and (call.queue_ms is None or call.status in UNREAD):
        call.cost_usd = 0.0
