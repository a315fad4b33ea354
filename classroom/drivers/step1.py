"""A stand-in for step 1: a model whose logits, and the number of whose cache, come from the grader."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from transformers import DynamicCache, LlamaConfig

# Takes a cache's number (0: an empty one), the ids that a forward reads, and for how many places logits are
# wanted; returns the logits of these places and the number of the cache after them.
Forward = Callable[[int, list[int], int], tuple[list[list[float]], int]]


class Scripted:
    """A causal LM with one layer. It computes nothing: each forward asks the grader."""

    def __init__(self, forward: Forward) -> None:
        self.config = LlamaConfig(
            num_hidden_layers=1, num_attention_heads=1, hidden_size=2, intermediate_size=2
        )
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self._forward = forward

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: Any = None,  # noqa: ARG002  (taken as transformers' models take it)
        position_ids: Any = None,  # noqa: ARG002
        cache: Any = None,
        use_cache: bool = True,
        logits_to_keep: int = 0,
        past_key_values: Any = None,
        **_others: Any,
    ) -> SimpleNamespace:
        """Logits (1, places, V) and the cache: the one that was given, or a new one."""
        cache = past_key_values if cache is None else cache
        if cache is None and use_cache:
            cache = DynamicCache(config=self.config)
        read = [int(token) for token in input_ids[0].tolist()]
        logits, number = self._forward(getattr(cache, "number", 0), read, logits_to_keep or len(read))
        if cache is not None:
            cache.number = number
        return SimpleNamespace(logits=torch.tensor([logits]), cache=cache, past_key_values=cache)
