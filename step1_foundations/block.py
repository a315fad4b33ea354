"""One transformer block by hand, with the model's own weights, checked against the model.

    x (T, d)                            the residual stream
    x = x + attention(rms_norm(x))      tokens exchange information
    x = x + swiglu(rms_norm(x))         each token is processed alone

Every function below is a few lines of matrix algebra. `compare` runs each block on the model's own residual
stream, then all blocks in sequence, and reports how much the results differ from the model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from shared.errors import UserError
from step1_foundations.support.model_parts import model_body, residual_stream

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-4  # the largest difference allowed, as a share of the row's largest value


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Scale each row of x (T, d) to root-mean-square 1, then by a learned weight (d,).

    `eps` is added to the mean square, so a row of zeros stays zero and a tiny row stays small.
    Source: Zhang and Sennrich 2019, arXiv 1910.07467.
    """
    ### BEGIN SOLUTION 1.3: RMSNorm
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps) * weight
    ### END SOLUTION


def rope(x: torch.Tensor, base: float) -> torch.Tensor:
    """Rotate each pair of numbers in x (heads, T, head_dim) by an angle that grows with the position t.

    The product of a rotated query and key then depends only on how far apart they are. Pair i is the point
    (x[i], x[i + head_dim / 2]) in the plane; at position t, it is rotated counterclockwise by
    t / base ** (2 i / head_dim) radians (position 0: not rotated).
    Computes in float32 and returns float32.
    Source: Su et al. 2021, arXiv 2104.09864.
    """
    ### BEGIN SOLUTION 1.1: RoPE
    T = x.shape[-2]
    half = x.shape[-1] // 2
    speed = 1 / base ** (torch.arange(half) / half)  # (half,) fast pairs first
    angle = torch.arange(T)[:, None] * speed  # (T, half)
    cos = angle.cos()
    sin = angle.sin()
    a = x[..., :half]
    b = x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    ### END SOLUTION


def project(x: torch.Tensor, projection: Any, heads: int) -> torch.Tensor:
    """x W, cut into heads: (T, d) -> (heads, T, dim). `projection` is a torch.nn.Linear."""
    T = len(x)
    result = F.linear(x, projection.weight, projection.bias)  # (T, heads * dim)
    return result.view(T, heads, -1).transpose(0, 1)


def attention(x: torch.Tensor, layer: Any, config: Any) -> torch.Tensor:
    """Attention: queries, keys and values from x, the heads, and the output projection: (T, d) -> (T, d)."""
    base = config.rope_parameters["rope_theta"]
    q = rope(project(x, layer.q_proj, config.num_attention_heads), base)  # (heads, T, dim)
    k = rope(project(x, layer.k_proj, config.num_key_value_heads), base)  # (kv_heads, T, dim)
    v = project(x, layer.v_proj, config.num_key_value_heads)  # (kv_heads, T, dim)
    mixed = attend(q, k, v).transpose(0, 1).flatten(1)  # (T, heads * dim): heads side by side
    return F.linear(mixed, layer.o_proj.weight, layer.o_proj.bias)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Grouped-query attention with a causal mask: q (heads, T, dim), k and v (kv_heads, T, dim).

    Returns (heads, T, the last dimension of v).

    Several query heads share one key and value head, which makes the KV cache smaller: with heads = 6 and
    kv_heads = 2, queries 0, 1 and 2 use head 0 of k and v, queries 3, 4 and 5 use head 1. A position attends
    to itself and the positions before it.
    Source: Ainslie et al. 2023, arXiv 2305.13245.
    """
    ### BEGIN SOLUTION 1.2: Causal attention
    group = len(q) // len(k)
    k = k.repeat_interleave(group, dim=0)  # (heads, T, dim): each serves its group
    v = v.repeat_interleave(group, dim=0)
    T, dim = q.shape[1:]
    scores = q @ k.transpose(1, 2) / dim**0.5  # (heads, T, T)
    future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
    weights = scores.masked_fill(future, -torch.inf).softmax(dim=-1)  # (heads, T, T), rows add up to 1
    return weights @ v
    ### END SOLUTION


def swiglu(x: torch.Tensor, mlp: Any) -> torch.Tensor:
    """The feed-forward half, SwiGLU, in which one projection gates another: (T, d) -> (T, d).

    Source: Shazeer 2020, arXiv 2002.05202.
    """
    gate = F.silu(F.linear(x, mlp.gate_proj.weight, mlp.gate_proj.bias))  # (T, inner)
    up = F.linear(x, mlp.up_proj.weight, mlp.up_proj.bias)  # (T, inner)
    return F.linear(gate * up, mlp.down_proj.weight, mlp.down_proj.bias)


def block(x: torch.Tensor, layer: Any, config: Any) -> torch.Tensor:
    """One block: (T, d) -> (T, d)."""
    h = rms_norm(x, layer.input_layernorm.weight, config.rms_norm_eps)
    x = x + attention(h, layer.self_attn, config)
    h = rms_norm(x, layer.post_attention_layernorm.weight, config.rms_norm_eps)
    return x + swiglu(h, layer.mlp)


@dataclass(frozen=True)
class Comparison:
    """How much our blocks differ from the model's. Differences are shares of a row's largest value."""

    blocks: list[float]  # the largest difference after each block
    logits: float  # the largest difference of the logits, after all blocks in sequence

    @property
    def matches(self) -> bool:
        return all(difference <= TOLERANCE for difference in (*self.blocks, self.logits))  # False for NaN


def relative_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference between two (T, n) tensors, as a share of the largest value in its row.

    It is relative because the rows' sizes differ a thousandfold, and float32 has seven digits for each.
    """
    difference = (ours - theirs).abs().amax(dim=1)  # (T,)
    size = theirs.abs().amax(dim=1).clamp_min(1e-30)  # (T,): no row is divided by zero
    return float((difference / size).max())


@torch.inference_mode()
def compare(model: PreTrainedModel, ids: torch.Tensor) -> Comparison:
    """Compute every block, then the whole model, by hand for ids (1, T), in float32 on the CPU.

    Raises:
        UserError: the model has parts that this file doesn't compute.
    """
    body = model_body(model)
    config = model.config
    window = getattr(body.layers[0].self_attn, "sliding_window", None)
    if window or config.rope_parameters.get("rope_type") != "default":
        raise UserError(
            "block computes plain RoPE and full attention; this model scales RoPE or has a window"
        )
    states, logits = residual_stream(model, ids)  # L + 1 times (T, d), and (T, V)
    differences = []
    for i, layer in enumerate(body.layers):
        ours = block(states[i], layer, config)
        differences.append(relative_difference(ours, states[i + 1]))
    x = body.embed_tokens.weight[ids[0]]  # (T, d): now the whole model, from the embeddings to the logits
    for layer in body.layers:
        x = block(x, layer, config)
    our_logits = rms_norm(x, body.norm.weight, config.rms_norm_eps) @ model.lm_head.weight.T  # (T, V)
    return Comparison(differences, relative_difference(our_logits, logits))


def steps(x: torch.Tensor, layer: Any, config: Any) -> list[tuple[str, torch.Tensor]]:
    """Each line of the algebra of a block with its result, for x (T, d); the last result is `block(...)`."""
    attn = layer.self_attn
    mlp = layer.mlp
    base = config.rope_parameters["rope_theta"]
    lines = [("x", x)]

    h = rms_norm(x, layer.input_layernorm.weight, config.rms_norm_eps)
    q = project(h, attn.q_proj, config.num_attention_heads)
    k = project(h, attn.k_proj, config.num_key_value_heads)
    v = project(h, attn.v_proj, config.num_key_value_heads)
    lines += [("h = rms_norm(x)", h), ("q = x Wq, split into heads", q)]
    lines += [("k = x Wk, fewer heads", k), ("v = x Wv, fewer heads", v)]

    q = rope(q, base)
    k = rope(k, base)
    shared = k.repeat_interleave(len(q) // len(k), dim=0)
    scores = q @ shared.mT / q.shape[-1] ** 0.5
    one_hot = torch.eye(len(x)).expand(len(k), -1, -1)  # values that pick out one position each:
    weights = attend(q, k, one_hot)  # their weighted sums are the weights themselves
    lines += [("q = rope(q)", q), ("k = rope(k)", k), ("k, v: each repeated for its group of q", shared)]
    lines += [("scores = q kᵀ / √head_dim", scores), ("weights = softmax(scores, no future)", weights)]

    mixed = attend(q, k, v).transpose(0, 1).flatten(1)
    x = x + F.linear(mixed, attn.o_proj.weight, attn.o_proj.bias)
    lines += [("mixed = weights v, heads side by side", mixed), ("x = x + mixed Wo", x)]

    h = rms_norm(x, layer.post_attention_layernorm.weight, config.rms_norm_eps)
    gate = F.silu(F.linear(h, mlp.gate_proj.weight, mlp.gate_proj.bias))
    up = F.linear(h, mlp.up_proj.weight, mlp.up_proj.bias)
    lines += [("h = rms_norm(x)", h), ("gate = silu(x Wgate)", gate), ("up = x Wup", up)]
    lines += [("x = x + (gate * up) Wdown", x + swiglu(h, mlp))]
    return lines


@torch.inference_mode()
def shapes(model: PreTrainedModel, ids: torch.Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Each line of the algebra of the first block, with the shape of its result, for ids (1, T)."""
    body = model_body(model)
    x = body.embed_tokens.weight[ids[0]]  # (T, d)
    return [(line, tuple(result.shape)) for line, result in steps(x, body.layers[0], model.config)]
