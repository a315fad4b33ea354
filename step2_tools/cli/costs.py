"""The cost of a run in one line: turns, tokens, dollars, seconds.

    2 turns, 1 tool call; 1,204 tokens in (1,100 of them cached), 38 out; $0.0009; 2.1 s

Prices come from shared/models.toml; without a price there, `dollars` is None, not 0. Tokens read from the
prompt cache cost a tenth of the input price, tokens written to it (for five minutes) 1.25 times the input
price.

Source: https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anthropic.types import Usage

from shared.catalog import Price
from shared.chat.usage import input_tokens
from shared.words import count

# Times the price of input:
CACHE_READ = 0.1
CACHE_WRITE = 1.25


@dataclass(frozen=True)
class Cost:
    """What all turns of a run cost together."""

    turns: int
    input_tokens: int  # with those that were read from the cache or written to it
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    dollars: float | None  # None: the price is not known
    seconds: float


def summarize(usages: Sequence[Usage], price: Price | None, seconds: float) -> Cost:
    """Add up the `usage` of a run's turns."""
    dollars = None
    if price:
        dollars = round(sum(dollars_of(usage, price) for usage in usages), 6)
    return Cost(
        turns=len(usages),
        input_tokens=sum(input_tokens(usage) for usage in usages),
        cache_read_tokens=sum(usage.cache_read_input_tokens or 0 for usage in usages),
        cache_write_tokens=sum(usage.cache_creation_input_tokens or 0 for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        dollars=dollars,
        seconds=round(seconds, 2),
    )


def dollars_of(usage: Usage, price: Price) -> float:
    """Dollars for one turn; some models charge more per token for long prompts."""
    prompt = input_tokens(usage)
    per_token = price.cost(prompt, 0) / prompt if prompt else 0.0
    saved = (usage.cache_read_input_tokens or 0) * (1 - CACHE_READ)
    extra = (usage.cache_creation_input_tokens or 0) * (CACHE_WRITE - 1)
    return price.cost(prompt, usage.output_tokens) + (extra - saved) * per_token


def line(cost: Cost, calls: int) -> str:
    """The cost of a run with this number of tool calls, as one line."""
    cached = f" ({cost.cache_read_tokens:,} of them cached)" if cost.cache_read_tokens else ""
    tokens = f"{count(cost.input_tokens, 'token')} in{cached}, {cost.output_tokens:,} out"
    dollars = "price unknown" if cost.dollars is None else f"${cost.dollars:.4f}"
    what = f"{count(cost.turns, 'turn')}, {count(calls, 'tool call')}"
    return f"{what}; {tokens}; {dollars}; {cost.seconds:.1f} s"
