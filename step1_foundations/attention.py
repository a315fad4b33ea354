"""Which token looks at which: attention weights, and heads whose type has a name.

    >>> weights = attention_weights(model, ids)     # (layers, heads, T, T), each row adds up to 1
    >>> float(sink_score(weights).max())
    0.998

A head's score for a type is the mean weight that it gives to one certain place:
    previous-token   the token before
    sink             the first token, where a head puts weight that it has no use for (Xiao et al. 2023,
                     2309.17453)
    induction        the token after the last occurrence of this one (Olsson et al. 2022, 2209.11895);
                     measured on random tokens, repeated once
A weight says where a head read, not what it did with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONGEST = 512  # all heads at once take layers * heads * T * T numbers
NAMED_FROM = 0.4  # a head that gives this much weight to one position, on average, is called by that type
REPEATED = 48  # random tokens, repeated once, to find induction heads


@dataclass(frozen=True)
class Head:
    """A head that has a type, and its score for it."""

    layer: int
    head: int
    score: float


@torch.inference_mode()
def attention_weights(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Attention weights (layers, heads, T, T) for ids (1, T): row t says where position t looks."""
    attentions = model(input_ids=ids, use_cache=False, output_attentions=True).attentions
    return torch.stack([layer[0].float() for layer in attentions])


def previous_token_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the previous position, over positions 2 to T-1 (not 1: the sink): (layers, heads)."""
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean(dim=-1)


def sink_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the first position, over positions 2 to T-1: (layers, heads)."""
    return weights[..., 2:, 0].mean(dim=-1)


def induction_score(weights: torch.Tensor) -> torch.Tensor:
    """On n tokens repeated once: mean weight on the position after the first occurrence, (layers, heads).

    Over the n tokens of the repetition.
    """
    n = weights.shape[-1] // 2
    return weights.diagonal(offset=1 - n, dim1=-2, dim2=-1)[..., -n:].mean(dim=-1)


def repeated_tokens(vocabulary: int, n: int, seed: int) -> torch.Tensor:
    """n random ids, then the same again: (1, 2n)."""
    half = torch.randint(vocabulary, (n,), generator=torch.Generator().manual_seed(seed))
    return torch.cat([half, half])[None]


def head_scores(
    model: PreTrainedModel, weights: torch.Tensor, vocabulary: int, seed: int
) -> dict[str, torch.Tensor]:
    """Every head's score for each type: (layers, heads); `weights` are those of a text."""
    repeated = repeated_tokens(vocabulary, REPEATED, seed).to(model.device)
    return {
        "previous-token": previous_token_score(weights),
        "sink": sink_score(weights),
        "induction": induction_score(attention_weights(model, repeated)),
    }


def named_heads(score: torch.Tensor) -> list[Head]:
    """The heads with a score (layers, heads) of at least NAMED_FROM, best first."""
    heads = [Head(r, c, float(score[r, c])) for r, c in (score >= NAMED_FROM).nonzero().tolist()]
    return sorted(heads, key=lambda head: -head.score)


def strongest_head(score: torch.Tensor, layer: int | None, head: int | None) -> tuple[int, int]:
    """Layer and head with the largest score (layers, heads), within a layer or head if one is given."""
    rows = range(score.shape[0]) if layer is None else [layer]
    columns = range(score.shape[1]) if head is None else [head]
    return max(((r, c) for r in rows for c in columns), key=lambda rc: float(score[rc]))
