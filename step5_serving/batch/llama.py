"""A Llama's forward, written out over the weights of a transformers model.

    x = embedding[ids]                                      (n, hidden): one line for each token
    30 times:
        q, k, v = norm(x) @ Wqkv                            (n, heads, dim), (n, kv, dim), (n, kv, dim)
        x += attend(layer, rotated q, rotated k, v) @ Wo    attend: seats.py, the only part that looks
        h = norm(x)                                         at other tokens
        x += (silu(h @ Wgate) * (h @ Wup)) @ Wdown
    logits = norm(x) @ embedding.T                          (n, vocabulary)

The tokens may be of sixteen rows, one each, or of one prompt: nothing but `attend` needs to know. It gives
the logits of the model it was made from (a test holds them against each other) in less time: q, k and v are
one product, gate and up are one, and there are no modules to walk through, 30 layers times 9 of them.

What it does not do: other architectures than Llama (SmolLM2, Llama 2 and 3, TinyLlama, Yi ...), training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.errors import UserError
from step5_serving.batch.linear import Kernel, Multiply, best, int8

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Attend = Callable[
    [int, Tensor, Tensor], Tensor
]  # layer, q (n, heads, dim), kv (n, 2 * kv, dim) -> (n, hidden)
ROPES = ("default", "linear", "llama3")  # whose angles don't change with the length of the text


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
    """The weights of `model`, and its forward.

    Raises:
        UserError: it is no Llama, or one with parts that are not written out here.
    """

    def __init__(self, model: PreTrainedModel, kernel: Kernel | None = None) -> None:
        multiply = kernel or best()
        config: Any = model.config
        check(config)
        inner: Any = model.model
        self.heads, self.kv = config.num_attention_heads, config.num_key_value_heads
        self.dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.eps, self.context = config.rms_norm_eps, config.max_position_embeddings
        self.dtype = torch.float32 if kernel is int8 else inner.embed_tokens.weight.dtype
        self.vocabulary = config.vocab_size
        self.embedding = inner.embed_tokens.weight.detach()
        self.norm = inner.norm.weight.detach()

        def joined(*linears: Any) -> Multiply:
            weight = torch.cat([each.weight.detach() for each in linears])
            bias = (
                torch.cat([each.bias.detach() for each in linears]) if linears[0].bias is not None else None
            )
            return multiply(weight, bias)

        self.layers = [
            Layer(
                each.input_layernorm.weight.detach(),
                joined(each.self_attn.q_proj, each.self_attn.k_proj, each.self_attn.v_proj),
                joined(each.self_attn.o_proj),
                each.post_attention_layernorm.weight.detach(),
                joined(each.mlp.gate_proj, each.mlp.up_proj),
                joined(each.mlp.down_proj),
            )
            for each in inner.layers
        ]
        self.head = multiply(model.lm_head.weight.detach(), None)
        self.cos, self.sin = self._angles(inner.rotary_emb)

    def _angles(self, rotary: Any) -> tuple[Tensor, Tensor]:
        """cos and sin of every position: (context, 1, dim). The sign of the rotation is in sin."""
        positions = torch.arange(self.context)[None]
        with torch.inference_mode():
            cos, sin = rotary(torch.zeros(1, dtype=self.dtype), positions)
        sign = torch.ones(self.dim, dtype=self.dtype)
        sign[: self.dim // 2] = -1
        return cos[0, :, None].contiguous(), (sin[0] * sign)[:, None].contiguous()

    def forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Read ids (n,) that stand at positions (n,): their last hidden states, (n, hidden)."""
        n, heads, kv, dim = len(ids), self.heads, self.kv, self.dim
        cos, sin = self.cos[positions], self.sin[positions]  # (n, 1, dim)
        x = F.embedding(ids, self.embedding).to(self.dtype)
        for number, layer in enumerate(self.layers):
            qkv = layer.qkv(self._normed(x, layer.norm_attention)).view(n, heads + 2 * kv, dim)
            qk = qkv[:, : heads + kv]
            turned = qk.roll(dim // 2, 2).mul_(sin)  # the halves change places
            qk.mul_(cos).add_(turned)  # rotary positions (Su et al. 2021, arXiv:2104.09864), in place
            looked = attend(number, qkv[:, :heads], qkv[:, heads:])
            x += layer.out(looked.to(x.dtype))
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


def check(config: Any) -> None:
    """Whether a model of this configuration can be batched here.

    Raises:
        UserError: it can't.
    """
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if config.model_type != "llama" or config.hidden_act != "silu" or rope not in ROPES:
        raise UserError(
            f"engine torch batches Llama models only (SmolLM2, Llama, TinyLlama ...), and this is a "
            f"{config.model_type}: use engine vllm, or llamacpp with its GGUF"
        )
