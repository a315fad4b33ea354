"""A Llama's config.json and tensors, by the names in the files.

    weights = Weights.read(load_settings())
    Llama(weights)

The batcher has its own forward pass, so it doesn't import transformers, which takes longer than reading the
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from shared.config import Settings
from shared.errors import UserError
from shared.models import weights as files
from shared.models.device import choose_dtype
from shared.models.load import read_config

DEFAULTS = {  # transformers' own, for what a config.json leaves out
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
    "rope_theta": 10000.0,
}


@dataclass(frozen=True)
class Weights:
    """A Llama's config and tensors."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]  # in the dtype of the files
    dtype: torch.dtype  # of what `get` returns
    ends: frozenset[int] = frozenset()  # ids that end a text

    @classmethod
    def read(cls, settings: Settings) -> Weights:
        """The weights of the settings' model, on the processor, in the settings' dtype.

        Raises:
            UserError: it is not a Llama, or one with parts that are not supported here.
            Exception: its files are damaged; `explain_load_errors` makes one line of it.
        """
        config = checked({**DEFAULTS, **read_config(settings.model, settings)})
        generation = read_config(settings.model, settings, "generation_config.json")
        tensors = _read(files.ensure(settings.model, settings))
        tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])  # tied weights
        end = {**config, **generation}.get("eos_token_id") or []
        ends = frozenset([end] if isinstance(end, int) else end)
        return cls(config, tensors, choose_dtype(settings.dtype), ends)

    def get(self, *names: str) -> Tensor:
        """A tensor in `dtype`, or several, concatenated along the first dimension; KeyError without one."""
        tensors = [self.tensors[name] for name in names]
        joined = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return joined.to(self.dtype)


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, with `rope_theta` at the top level; raises UserError if it is not supported."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = config.get("model_type")
    has_bias = config.get("attention_bias") or config.get("mlp_bias")
    is_plain = (rope.get("rope_type") or rope.get("type") or "default") == "default" and not has_bias
    if kind != "llama" or config.get("hidden_act") != "silu" or not is_plain:
        raise UserError(
            "engine torch batches plain Llama models only (SmolLM2, Llama 2, TinyLlama ...), and this "
            f"{kind} is none: use engine vllm, or llamacpp with its GGUF"
        )
    if config.get("quantization_config"):
        raise UserError("engine torch reads whole weights, and these are quantized: use engine vllm")
    return {**config, "rope_theta": rope.get("rope_theta") or config["rope_theta"]}


def _read(folder: Path) -> dict[str, Tensor]:
    """All tensors, memory-mapped: they are read on first use, so the files must stay until then."""
    parts = sorted(folder.glob("model*.safetensors"))
    if not parts:
        raise FileNotFoundError("it has no model.safetensors")
    tensors: dict[str, Tensor] = {}
    for part in parts:
        tensors |= load_file(part)
    return tensors
