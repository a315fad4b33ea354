"""One transformer block, unrolled by hand with the model's own weights, and proof that nothing is missing.

    x (T, d)
    x = x + attention(rms_norm(x))      tokens exchange what they know
    x = x + swiglu(rms_norm(x))         each token thinks for itself

    $ python -m step1_foundations block
    the same: at most 0 in a block (allowed 0.0001), in a stream whose largest value is 22,951, at place 0

Every function below is a few lines of matrix algebra on (T, d). After each block the result is compared
with the model's own; then all blocks in a row must give the model's own logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from shared import hardware, models
from shared.config import Settings
from shared.errors import UserError
from step1_foundations.support.model_parts import model_parts, residual_stream, resolve_index
from step1_foundations.support.text import context_of, encode

if TYPE_CHECKING:
    from rich.console import Console

Note = Callable[[str, torch.Tensor], Any]  # hears of each intermediate: a line of the algebra and its tensor
LONGEST = 512  # every block is computed twice, with scores of heads * T * T
TOLERANCE = 1e-4  # largest difference in float32 that counts as the same


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Scale each row of x (T, d) to root-mean-square 1, then by a learned weight (d,).

    `eps` is added to the mean square, so that a row of zeros stays one and a tiny row stays small.
    Source: Zhang and Sennrich 2019, arXiv 1910.07467.
    """
    ### BEGIN SOLUTION 1.3: RMSNorm
    return x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps) * weight
    ### END SOLUTION


def rope(x: torch.Tensor, base: float) -> torch.Tensor:
    """Turn each pair of numbers in x (heads, T, head_dim) by an angle that grows with the place in the row.

    The product of a turned query and a turned key then depends on how far apart they stand, not on where.
    Pair i is (x[i], x[i + head_dim / 2]), a point in the plane; at place t (from 0: not turned) it is turned
    anticlockwise by t / base ** (2 i / head_dim). In float32. Source: Su et al. 2021, arXiv 2104.09864.
    """
    ### BEGIN SOLUTION 1.5: RoPE
    places, half = x.shape[-2], x.shape[-1] // 2
    speed = 1 / base ** (torch.arange(half) / half)  # (half,) fast pairs first
    angle = torch.arange(places)[:, None] * speed  # (T, half)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    ### END SOLUTION


def attention(x: torch.Tensor, layer: Any, config: Any, note: Note) -> torch.Tensor:
    """Queries, keys and values from x, attention, and the heads' results mixed: (T, d) -> (T, d)."""
    T, heads, kv_heads = len(x), config.num_attention_heads, config.num_key_value_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads

    def split(projection: Any, n: int) -> torch.Tensor:  # (T, d) -> (n, T, dim)
        return F.linear(x, projection.weight, projection.bias).view(T, n, dim).transpose(0, 1)

    q, k, v = split(layer.q_proj, heads), split(layer.k_proj, kv_heads), split(layer.v_proj, kv_heads)
    note("q = x Wq, split into heads", q)
    note("k = x Wk, fewer heads", k)
    note("v = x Wv, fewer heads", v)
    base = config.rope_parameters["rope_theta"]
    q, k = rope(q, base), rope(k, base)
    note("q = rope(q)", q)
    note("k = rope(k)", k)
    mixed = attend(q, k, v, note).transpose(0, 1).reshape(T, heads * dim)  # (T, heads * dim)
    note("mixed = weights v, heads side by side", mixed)
    return F.linear(mixed, layer.o_proj.weight, layer.o_proj.bias)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, note: Note = lambda _line, _tensor: None
) -> torch.Tensor:
    """Grouped-query attention with a causal mask: q (heads, T, dim), k and v (kv_heads, T, dim) -> q's shape.

    Several query heads share one key and value head, which makes the KV cache smaller: with heads = 6 and
    kv_heads = 2, queries 0, 1 and 2 use head 0 of k and v, queries 3, 4 and 5 head 1. A place looks at itself
    and at those before it. `note` hears of each intermediate. Source: Ainslie et al. 2023, arXiv 2305.13245.
    """
    ### BEGIN SOLUTION 1.6: Causal attention
    group = len(q) // len(k)
    k = k.repeat_interleave(group, dim=0)  # (heads, T, dim): each serves its group
    v = v.repeat_interleave(group, dim=0)
    ### END SOLUTION
    note("k, v: each repeated for its group of q", k)
    ### BEGIN SOLUTION 1.6: Causal attention
    T, dim = q.shape[1:]
    scores = q @ k.transpose(1, 2) / dim**0.5  # (heads, T, T)
    ### END SOLUTION
    note("scores = q kᵀ / √head_dim", scores)
    ### BEGIN SOLUTION 1.6: Causal attention
    future = torch.ones(T, T, dtype=torch.bool).triu(diagonal=1)
    weights = scores.masked_fill(future, -torch.inf).softmax(dim=-1)  # (heads, T, T), rows add up to 1
    ### END SOLUTION
    note("weights = softmax(scores, no future)", weights)
    ### BEGIN SOLUTION 1.6: Causal attention
    return weights @ v
    ### END SOLUTION


def swiglu(x: torch.Tensor, mlp: Any, note: Note) -> torch.Tensor:
    """The feed-forward half: one projection gates another, (T, d) -> (T, d).

    Source: Shazeer 2020, arXiv 2002.05202.
    """
    gate = F.silu(F.linear(x, mlp.gate_proj.weight, mlp.gate_proj.bias))  # (T, inner)
    up = F.linear(x, mlp.up_proj.weight, mlp.up_proj.bias)  # (T, inner)
    note("gate = silu(x Wgate)", gate)
    note("up = x Wup", up)
    return F.linear(gate * up, mlp.down_proj.weight, mlp.down_proj.bias)


def block(x: torch.Tensor, layer: Any, config: Any, note: Note = lambda _line, _tensor: None) -> torch.Tensor:
    """One block: (T, d) -> (T, d). `note` hears of every intermediate."""
    note("x", x)
    normed = rms_norm(x, layer.input_layernorm.weight, config.rms_norm_eps)
    note("h = rms_norm(x)", normed)
    x = x + attention(normed, layer.self_attn, config, note)
    note("x = x + mixed Wo", x)
    normed = rms_norm(x, layer.post_attention_layernorm.weight, config.rms_norm_eps)
    note("h = rms_norm(x)", normed)
    x = x + swiglu(normed, layer.mlp, note)
    note("x = x + (gate * up) Wdown", x)
    return x


@torch.inference_mode()
def run(settings: Settings, text: str, layer: int) -> dict[str, Any]:
    """Unroll `layer` with its shapes, check every layer, then the whole model. Always float32 on the CPU.

    Raises:
        UserError: no such layer, a text that is empty or too long, or a model of another shape.
    """
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(
        device="cpu", dtype="float32", settings=settings, attn_implementation="eager"
    )
    parts, config = model_parts(model), model.config
    if config.rope_parameters.get("rope_type") != "default" or getattr(
        parts.blocks[0].self_attn, "sliding_window", None
    ):
        raise UserError(
            "block unrolls plain RoPE and full attention; this model stretches one or cuts the other"
        )
    chosen = resolve_index("layer", layer, len(parts.blocks))
    ids = encode(tokenizer, text, min(context_of(model), LONGEST), what="text")
    states, logits = residual_stream(model, ids)

    lines: list[dict[str, Any]] = []
    block(
        states[chosen],
        parts.blocks[chosen],
        config,
        lambda line, t: lines.append({"line": line, "shape": list(t.shape)}),
    )
    differences = [
        float((block(states[i], each, config) - states[i + 1]).abs().max())
        for i, each in enumerate(parts.blocks)
    ]
    x = parts.table[ids[0]]  # (T, d): the whole model, from the table to the logits
    for each in parts.blocks:
        x = block(x, each, config)
    x = rms_norm(x, parts.norm.weight, config.rms_norm_eps)
    own = x @ parts.head.weight.T  # (T, V)
    worst, logits_difference = max(differences), float((own - logits).abs().max())
    stream_size = torch.stack(states).abs().amax(dim=(0, 2))  # (T,) the largest value at each place
    return {
        "command": "step1_foundations block",
        "headline": f"largest difference to the model's own: {worst:.1g} in {len(differences)} blocks, "
        f"{logits_difference:.1g} in the logits",
        "model": settings.model,
        "text": text,
        "layer": chosen,
        "lines": lines,
        "max_difference_per_layer": differences,
        "max_difference": worst,
        "max_difference_logits": logits_difference,
        "largest_value_in_stream": float(stream_size.max()),
        "place_of_largest_value": int(stream_size.argmax()),
        "same_next_token": bool((own.argmax(-1) == logits.argmax(-1)).all()),
        "tolerance": TOLERANCE,
        "proved": max(worst, logits_difference) < TOLERANCE,
        "machine": hardware.describe(),
    }


def show(facts: dict[str, Any], console: Console) -> None:
    """The shapes and the proof, for people."""
    from rich.table import Table

    table = Table(
        f"block {facts['layer']}",
        "shape",
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 3, 0, 0),
    )
    for row in facts["lines"]:
        table.add_row(row["line"], " x ".join(map(str, row["shape"])))
    console.print(table)
    console.print("\nLargest difference to the model's own, block by block (float32)", style="bold")
    differences = facts["max_difference_per_layer"]
    cells = [f"{i:2d}: {f'{value:.0e}' if value else '0':<5}" for i, value in enumerate(differences)]
    for start in range(0, len(cells), 6):
        console.print("  ".join(cells[start : start + 6]))
    verdict, colour = ("the same", "green") if facts["proved"] else ("not the same", "bold red")
    console.print(
        f"\n{verdict}: at most {facts['max_difference']:.1g} in a block (allowed {facts['tolerance']:g}), "
        f"in a stream whose largest value is {facts['largest_value_in_stream']:,.0f}, "
        f"at place {facts['place_of_largest_value']}",
        style=colour,
        soft_wrap=True,
    )
    console.print(
        f"all blocks in a row: logits differ by at most {facts['max_difference_logits']:.1g}; "
        f"the most probable next token is {'' if facts['same_next_token'] else 'NOT '}the same everywhere",
        soft_wrap=True,
    )
