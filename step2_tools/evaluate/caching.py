"""What does it cost if the start of a prompt changes? The same questions with a fixed and a changing prefix.

    $ python -m step2_tools caching
                                  tokens  cached  seconds
    a prefix that stays the same     518     480      1.1
    something new before it          531       5      2.0

A KV cache can be reused for the prefix that two requests have in common. The system message and the tools
come first, so one new word at their start makes the model read all of them again.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anthropic

from shared import hardware
from shared.chat.usage import input_tokens
from shared.config import Settings
from step2_tools.evaluate.questions import ToolDefinition

QUESTIONS = (
    "What is the weather in Oslo?",
    "What is Apple trading at?",
    "What time is it in Tokyo?",
    "How much is 20 euros in yen?",
    "Will it rain in Lima tomorrow?",
    "What is the weather in Rome on Sunday?",
)
SAME = "a prefix that stays the same"
NEW = "something new before it"


@dataclass(frozen=True)
class RequestCost:
    """What one request cost, or the median of several."""

    tokens: float  # of the input
    cached: float  # of these, read from the cache
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CachingReport:
    """What `caching` measured."""

    command: str = "step2_tools caching"
    headline: str
    model: str
    n: int  # requests of each kind
    kinds: dict[str, RequestCost]  # SAME and NEW: medians
    machine: str


def measure_caching(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[ToolDefinition],
    system: str,
    n: int = len(QUESTIONS),
) -> CachingReport:
    """For the first reply to `n` questions: the medians of input tokens, cached tokens and seconds."""

    def median_cost(head: str) -> RequestCost:
        """Of requests whose system message has this before it, with their number for {number}."""
        costs = []
        for number in range(-1, n):  # the first request fills the cache and isn't counted
            question = QUESTIONS[number % len(QUESTIONS)]
            prefix = head.format(number=number) + system
            costs.append(measure_request(client, settings.model, tools, prefix, question))
        counted = costs[1:]
        return RequestCost(
            tokens=statistics.median(cost.tokens for cost in counted),
            cached=statistics.median(cost.cached for cost in counted),
            seconds=statistics.median(cost.seconds for cost in counted),
        )

    same = median_cost("")
    new = median_cost("Request {number}. ")
    change = f"{same.seconds:.1f} s in place of {new.seconds:.1f} s"
    return CachingReport(
        headline=f"a shared prefix: {change} a request ({settings.model})",
        model=settings.model,
        n=n,
        kinds={SAME: rounded(same), NEW: rounded(new)},
        machine=hardware.describe(),
    )


def measure_request(
    client: anthropic.Anthropic, model: str, tools: Sequence[Any], system: str, question: str
) -> RequestCost:
    """Send one request, and measure it until the reply's end."""
    start = time.perf_counter()
    reply = client.messages.create(
        model=model,
        max_tokens=100,
        system=system,
        tools=tools,
        cache_control={"type": "ephemeral"},
        messages=[{"role": "user", "content": question}],
    )
    seconds = time.perf_counter() - start
    return RequestCost(input_tokens(reply.usage), reply.usage.cache_read_input_tokens or 0, seconds)


def rounded(cost: RequestCost) -> RequestCost:
    """The seconds as a report has them."""
    return RequestCost(cost.tokens, cost.cached, round(cost.seconds, 2))
