"""The tokens of a reply, from its `usage`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anthropic


def input_tokens(usage: anthropic.types.Usage) -> int:
    """All tokens that the model read; the API counts those of the cache separately."""
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached
