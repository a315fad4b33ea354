"""The parts of a Llama-shaped model, and its residual stream.

SmolLM2, Llama, Mistral and Qwen2 have the same structure: embedding table, blocks, final norm, head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from shared.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUPPORTED = ("llama", "mistral", "qwen2")  # model_type in the config; SmolLM2 is a llama


def model_body(model: PreTrainedModel) -> Any:
    """The model without its head (`model.lm_head`): `embed_tokens`, `layers` and `norm`.

    Raises:
        UserError: the model is not Llama-shaped.
    """
    kind = model.config.model_type
    if kind not in SUPPORTED:
        raise UserError(f"this takes Llama-shaped models ({', '.join(SUPPORTED)}), not {kind}")
    return model.model


@torch.inference_mode()
def residual_stream(model: PreTrainedModel, ids: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The residual stream for ids (1, T), before block 0 and after each block, and the logits.

    Returns:
        L + 1 tensors of shape (T, d), and logits (T, V).
    """
    last: list[torch.Tensor] = []  # transformers normalizes its last hidden state: this is the one before
    hook = model_body(model).norm.register_forward_pre_hook(lambda _norm, args: last.append(args[0]))
    try:
        out = model(input_ids=ids, use_cache=False, output_hidden_states=True)
    finally:
        hook.remove()
    states = [*out.hidden_states[:-1], *last]  # L + 1 times (1, T, d)
    return [state[0] for state in states], out.logits[0]


def context_of(model: PreTrainedModel) -> int:
    """The model's context length in tokens."""
    return int(getattr(model.config, "max_position_embeddings", 1 << 30))


def resolve_index(name: str, index: int, n: int) -> int:
    """The index of a layer or head; negative ones count from the end.

    Raises:
        UserError: it does not exist (the message names the range).
    """
    if not -n <= index < n:
        raise UserError(f"--{name} {index} does not exist: this model has {name}s 0 to {n - 1}")
    return index % n
