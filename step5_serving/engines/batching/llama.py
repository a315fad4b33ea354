"""A Llama's forward pass over its weights (weights.py).

    x = embedding[ids]                                      (n, hidden): one row for each token
    30 times:
        q, k, v = norm(x) @ Wqkv                            (n, heads, dim), (n, kv, dim), (n, kv, dim)
        x += attend(layer, rotated q, rotated k, v) @ Wo    attend (model_runner.py) is the only part that
        h = norm(x)                                         sees other tokens
        x += (silu(h @ Wgate) * (h @ Wup)) @ Wdown
    logits = norm(x) @ embedding.T                          (n, vocabulary)

The tokens may come from sixteen sequences, one each, or from one prompt: only `attend` needs to know. The
logits are those of transformers' model (a test compares them), in less time: q, k and v are one product, gate
and up are one, and no modules are called.

Not supported: other architectures than Llama (SmolLM2, Llama 2, TinyLlama ...), training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from step5_serving.engines.batching.linear import Kernel, Multiply, int8, packed
from step5_serving.engines.batching.weights import Weights

# layer, q (n, heads, dim), kv (n, 2 * kv, dim) -> (n, hidden)
Attend = Callable[[int, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """One block's weights, as functions."""

    norm_attention: Tensor
    qkv: Multiply
    out: Multiply
    norm_mlp: Tensor
    gate_up: Multiply
    down: Multiply


class Llama:
    """A Llama's weights, ready to be multiplied, and its forward pass."""

    def __init__(self, weights: Weights, kernel: Kernel | None = None) -> None:
        multiply = kernel or packed
        config = weights.config
        self.heads = config["num_attention_heads"]
        self.kv = config.get("num_key_value_heads") or self.heads
        self.dim = config.get("head_dim") or config["hidden_size"] // self.heads
        self.eps = config["rms_norm_eps"]
        self.context = config["max_position_embeddings"]
        # With int8 weights, all else is float32, except for keys and values.
        self.dtype = torch.float32 if kernel is int8 else weights.dtype
        self.kept_dtype = weights.dtype
        self.ends = weights.ends
        self.vocabulary = config["vocab_size"]
        self.embedding = weights.tensors["model.embed_tokens.weight"]  # indexed, not multiplied
        self.norm = weights.get("model.norm.weight")

        def joined(block: str, *names: str) -> Multiply:
            return multiply(weights.get(*(f"{block}.{name}.weight" for name in names)))

        self.layers = [
            Layer(
                weights.get(f"{block}.input_layernorm.weight"),
                joined(f"{block}.self_attn", "q_proj", "k_proj", "v_proj"),
                joined(f"{block}.self_attn", "o_proj"),
                weights.get(f"{block}.post_attention_layernorm.weight"),
                joined(f"{block}.mlp", "gate_proj", "up_proj"),
                joined(f"{block}.mlp", "down_proj"),
            )
            for block in (f"model.layers.{number}" for number in range(config["num_hidden_layers"]))
        ]
        self.head = multiply(weights.get("lm_head.weight"))
        self.cos, self.sin = self._angles(config["rope_theta"])

    def _angles(self, theta: float) -> tuple[Tensor, Tensor]:
        """cos and sin of every position: (context, 1, dim). The sign of the rotation is in sin."""
        # By how many radians each pair of a head's numbers rotates from one position to the next: (dim / 2,).
        turns = theta ** -(torch.arange(0, self.dim, 2, dtype=torch.int64).float() / self.dim)
        angles = torch.outer(torch.arange(self.context, dtype=torch.float32), turns)[:, None]
        sin = angles.sin()
        return torch.cat([angles.cos()] * 2, 2).to(self.dtype), torch.cat([-sin, sin], 2).to(self.dtype)

    def forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """The last hidden states (n, hidden) of ids (n,) at positions (n,)."""
        n = len(ids)
        heads = self.heads
        kv = self.kv
        dim = self.dim
        cos = self.cos[positions]  # (n, 1, dim)
        sin = self.sin[positions]  # (n, 1, dim)
        x = F.embedding(ids, self.embedding).to(self.dtype)  # (n, hidden)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(self._normed(x, layer.norm_attention)).view(n, heads + 2 * kv, dim)
            qk = qkv[:, : heads + kv]
            rotated = qk.roll(dim // 2, 2).mul_(sin)  # swaps the two halves of each head
            qk.mul_(cos).add_(rotated)  # rotary positions (Su et al. 2021, arXiv:2104.09864), in place
            mixed = attend(number, qkv[:, :heads], qkv[:, heads:])
            x += layer.out(mixed.to(x.dtype))
            gate, up = layer.gate_up(self._normed(x, layer.norm_mlp)).chunk(2, dim=1)
            x += layer.down(F.silu(gate).mul_(up))
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(n, hidden) -> (n, vocabulary), in float32."""
        return self.head(self._normed(x, self.norm)).float()

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        wide = x.to(torch.float32, copy=True)
        length = torch.linalg.vector_norm(wide, 2, 1, keepdim=True)  # (n, 1)
        scale = length.square_().mul_(1 / x.shape[1]).add_(self.eps).rsqrt_()
        return wide.mul_(scale).to(x.dtype).mul_(weight)
