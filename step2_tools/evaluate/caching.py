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
from typing import Any

import anthropic

from shared import hardware
from shared.chat.usage import input_tokens
from shared.config import Settings

QUESTIONS = (
    "What is the weather in Oslo?",
    "What is Apple trading at?",
    "What time is it in Tokyo?",
    "How much is 20 euros in yen?",
    "Will it rain in Lima tomorrow?",
    "What is the weather in Rome on Sunday?",
)


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[Any],
    system: str,
    n: int = len(QUESTIONS),
) -> dict[str, Any]:
    """For the first reply to `n` questions: the medians of input tokens, cached tokens and seconds."""
    kinds = {"a prefix that stays the same": "", "something new before it": "Request {number}. "}
    measured: dict[str, list[tuple[int, int, float]]] = {kind: [] for kind in kinds}
    for kind, head in kinds.items():
        for number in range(-1, n):  # the first request fills the cache and isn't counted
            start = time.perf_counter()
            reply = client.messages.create(
                model=settings.model,
                max_tokens=100,
                system=head.format(number=number) + system,
                tools=tools,
                cache_control={"type": "ephemeral"},
                messages=[{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}],
            )
            cached = reply.usage.cache_read_input_tokens or 0
            if number >= 0:
                measured[kind].append((input_tokens(reply.usage), cached, time.perf_counter() - start))
    medians: dict[str, Sequence[float]] = {
        kind: [statistics.median(column) for column in zip(*rows, strict=True)]
        for kind, rows in measured.items()
    }
    same, new = (medians[kind][2] for kind in kinds)
    return {
        "command": "step2_tools caching",
        "headline": f"a shared prefix: {same:.1f} s in place of {new:.1f} s a request ({settings.model})",
        "model": settings.model,
        "n": n,
        "kinds": {
            kind: {"tokens": row[0], "cached": row[1], "seconds": round(row[2], 2)}
            for kind, row in medians.items()
        },
        "machine": hardware.describe(),
    }
