"""The loop that generates text: tokenize, run the model, choose a token, decode, repeat.

    prompt ids        (1, T)         prefill: one forward pass over the whole prompt fills the KV cache
    logits            (1, 1, V)      for the last position only
    next id           (1, 1)         decode: one forward pass per new token, which reads the cache
    ...               until the model ends its turn, or max_new_tokens is reached

With greedy decoding, it generates the same tokens as `model.generate(do_sample=False)`. It handles one
sequence at a time; step 5 handles batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from step1_foundations.sampling import Sampling, choose

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class Generation:
    """The generated ids, why they end, and the seconds for each phase."""

    ids: list[int] = field(default_factory=list)
    stop_reason: str = "length"  # or "stop", "interrupt"
    stop_id: int | None = None  # the token that ended the answer; not among the ids
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def decode_speed(self) -> float | None:
        """Tokens per second, without the first token (it comes from the prefill), with the one that stops.

        None if there is no other token.
        """
        decoded = len(self.ids)
        if self.stop_reason != "stop":  # the token that stops makes up for the first one
            decoded -= 1
        return decoded / self.decode_seconds if decoded > 0 else None


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    prompt: torch.Tensor,
    max_new_tokens: int = 80,
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen: shared safely)
    stop_ids: frozenset[int] = frozenset(),
    generator: torch.Generator | None = None,
    on_token: Callable[[int], None] = lambda _token: None,
) -> Generation:
    """Continue `prompt`, ids of shape (1, T); `on_token` is called with each new id.

    The first forward pass reads the prompt, each later one only the token chosen last: the rest is in the
    `cache`, which is passed every time. Only the last position's logits are computed (`logits_to_keep=1`);
    `choose` gets them and all ids so far, prompt and answer, as one row. An id is appended to the result
    before `on_token` is called with it. An id in `stop_ids` ends the answer: it becomes the result's
    `stop_id`, is not added to its ids, and `on_token` is not called with it. `prefill_seconds` is the time
    until the first token is chosen. No forward pass reads the token chosen last. With a
    limit of 0, there is no pass and there are no ids.

    Ctrl-C ends the loop, not the program: the ids so far are returned.
    """
    done = Generation()
    cache = DynamicCache(config=model.config)
    start = time.perf_counter()
    try:
        ### BEGIN SOLUTION 1.7: The cached loop
        sequence = prompt[0].tolist()  # all ids so far
        ids = prompt  # (1, n): those that the next pass reads
        for step in range(max_new_tokens):
            logits = model(input_ids=ids, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1]  # (V,)
            token = choose(logits, torch.tensor(sequence, device=logits.device), sampling, generator)
            if step == 0:
                done.prefill_seconds = time.perf_counter() - start
            if token in stop_ids:
                done.stop_reason = "stop"
                done.stop_id = token
                break
            done.ids.append(token)
            sequence.append(token)
            on_token(token)
            ids = torch.tensor([[token]], device=prompt.device)
        ### END SOLUTION
    except KeyboardInterrupt:
        done.stop_reason = "interrupt"
    done.decode_seconds = time.perf_counter() - start - done.prefill_seconds
    return done


def stop_ids_of(model: PreTrainedModel) -> frozenset[int]:
    """The ids that end an answer, from the model's generation config, or else its config."""
    config = model.generation_config or model.config
    eos = config.eos_token_id  # one id, several, or None
    if isinstance(eos, int):
        return frozenset([eos])
    return frozenset(eos or [])
