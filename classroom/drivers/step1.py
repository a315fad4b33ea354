"""Step 1: the decode loop on a model whose logits somebody else says, and what becomes of arguments.

told([5, 3], [5, 3, 8])     is asked for: the ids that a forward read, and all that its cache holds
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from transformers import DynamicCache, LlamaConfig

# From the ids that a forward reads, all ids that it knows of, and for how many places logits are wanted:
Told = Callable[[list[int], list[int], int], list[list[float]]]


def with_arguments(function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
    """The result, and the arguments as they are afterwards."""
    result = function(*args)
    return result, list(args)


class Scripted:
    """A causal LM with one layer of one head. Its keys are the ids, so its cache is what it has read."""

    def __init__(self, told: Told, least: float = 0.0) -> None:
        self.config = LlamaConfig(
            num_hidden_layers=1, num_attention_heads=1, hidden_size=2, intermediate_size=2
        )
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.slept: list[float] = []  # seconds of each forward
        self._told, self._least = told, least  # seconds that a forward takes at least

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
        keys = input_ids.float().view(1, 1, -1, 1)  # (batch, heads, T, head_dim)
        if cache is not None:
            keys, _ = cache.update(keys, keys, 0)
        read = [int(token) for token in input_ids[0].tolist()]
        known = [int(token) for token in keys.flatten().tolist()]
        began = time.perf_counter()
        time.sleep(self._least)
        self.slept.append(time.perf_counter() - began)
        logits = torch.tensor([self._told(read, known, logits_to_keep or len(read))])
        return SimpleNamespace(logits=logits, cache=cache, past_key_values=cache)


def write(
    told: Told,
    prompt: list[int],
    max_new_tokens: int,
    stop_ids: list[int] | None = None,
    sampling: dict[str, float] | None = None,
    seed: int = 0,
    interrupt_after: int = 0,
) -> dict[str, Any]:
    """What the loop writes, why it ends, and what was heard while it wrote.

    `sampling` holds the fields of a Sampling. After `interrupt_after` tokens (0: never) comes Ctrl-C.
    """
    from step1_foundations.generate import generate
    from step1_foundations.sampling import Sampling

    heard: list[int] = []

    def on_token(token: int) -> None:
        heard.append(token)
        if len(heard) == interrupt_after:
            raise KeyboardInterrupt

    model: Any = Scripted(told)
    chosen: Any = sampling or {}
    done = generate(
        model,
        torch.tensor([prompt]),
        max_new_tokens,
        Sampling(**chosen),
        frozenset(stop_ids or []),
        torch.Generator().manual_seed(seed),
        on_token,
    )
    return {"ids": done.ids, "stop_reason": done.stop_reason, "stop_id": done.stop_id, "heard": heard}


def timed(told: Told, prompt: list[int], max_new_tokens: int) -> bool:
    """Whether the prefill's time holds that of the first forward, and the rest's that of the others."""
    from step1_foundations.generate import generate

    model: Any = Scripted(told, least=0.002)
    done = generate(model, torch.tensor([prompt]), max_new_tokens)
    first, *others = model.slept
    return done.prefill_seconds >= first and done.decode_seconds >= sum(others)
