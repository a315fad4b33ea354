"""The cost of a run in one line: turns, tokens, dollars, seconds.

    2 turns, 1 tool call; 1,204 tokens in (1,100 of them cached), 38 out; $0.0009; 2.1 s

Prices come from shared/models.toml; without a price there, `dollars` is null, not 0. Tokens read from the
prompt cache cost a tenth of the input price, tokens written to it (for five minutes) 1.25 times the input
price.

Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing
"""

from collections.abc import Sequence
from typing import Any

from shared.catalog import Price
from shared.chat.usage import input_tokens
from shared.words import count

CACHE_READ, CACHE_WRITE = 0.1, 1.25  # times the price of input


def summarize(usages: Sequence[Any], price: Price | None, seconds: float) -> dict[str, Any]:
    """The facts of a run from the `usage` of its turns, in tokens, US dollars and seconds."""
    dollars = [dollars_of(usage, price) for usage in usages] if price else None
    return {
        "turns": len(usages),
        "input_tokens": sum(input_tokens(usage) for usage in usages),
        "cache_read_tokens": sum(usage.cache_read_input_tokens or 0 for usage in usages),
        "cache_write_tokens": sum(usage.cache_creation_input_tokens or 0 for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "dollars": None if dollars is None else round(sum(dollars), 6),
        "seconds": round(seconds, 2),
    }


def dollars_of(usage: Any, price: Price) -> float:
    """Dollars for one turn; some models charge more per token for long prompts."""
    prompt = input_tokens(usage)
    per_token = price.cost(prompt, 0) / prompt if prompt else 0.0
    saved = (usage.cache_read_input_tokens or 0) * (1 - CACHE_READ)
    extra = (usage.cache_creation_input_tokens or 0) * (CACHE_WRITE - 1)
    return price.cost(prompt, usage.output_tokens) + (extra - saved) * per_token


def line(facts: dict[str, Any], calls: int) -> str:
    """The facts from `summarize` as one line."""
    cached = facts["cache_read_tokens"]
    dollars = "price unknown" if facts["dollars"] is None else f"${facts['dollars']:.4f}"
    return (
        f"{count(facts['turns'], 'turn')}, {count(calls, 'tool call')}; "
        f"{count(facts['input_tokens'], 'token')} in"
        + (f" ({cached:,} of them cached)" if cached else "")
        + f", {facts['output_tokens']:,} out; {dollars}; {facts['seconds']:.1f} s"
    )
