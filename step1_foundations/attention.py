"""Which token attends to which: attention weights, and heads of known types.

    >>> weights = attention_weights(model, ids)     # (layers, heads, T, T), each row adds up to 1
    >>> float(sink_score(weights).max())
    0.998

A head's score for a type is its mean attention weight on one position:
    previous-token   the previous token
    sink             the first token, which gets weight that a head doesn't need elsewhere (Xiao et al. 2023,
                     2309.17453)
    induction        the token after the last occurrence of the current one (Olsson et al. 2022, 2209.11895);
                     measured on random tokens, repeated once
A weight shows where a head reads, not what it does with what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TYPE_THRESHOLD = 0.4  # a head has a type if its mean weight on that position is at least this
REPEATED = 48  # random tokens, repeated once, to find induction heads


class Head(NamedTuple):
    """A head, and its score for a type."""

    layer: int
    head: int
    score: float


@dataclass(frozen=True)
class HeadType:
    """The heads of one type."""

    heads: int  # how many there are
    strongest: list[Head]  # the three with the highest scores, of the type or not


@torch.inference_mode()
def attention_weights(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Attention weights (layers, heads, T, T) for ids (1, T); row t: the weights of position t."""
    attentions = model(input_ids=ids, use_cache=False, output_attentions=True).attentions
    return torch.stack([layer[0].float() for layer in attentions])


def previous_token_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the previous position, over positions 2 to T-1 (not 1: the sink): (layers, heads)."""
    on_previous = weights.diagonal(offset=-1, dim1=-2, dim2=-1)  # (layers, heads, T-1): of positions 1 to T-1
    return on_previous[..., 1:].mean(dim=-1)


def sink_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the first position, over positions 2 to T-1: (layers, heads)."""
    return weights[..., 2:, 0].mean(dim=-1)


def induction_score(weights: torch.Tensor) -> torch.Tensor:
    """For n tokens repeated once: mean weight on the position after the first occurrence, (layers, heads).

    The mean is over the n repeated tokens.
    """
    n = weights.shape[-1] // 2
    after_first = weights.diagonal(offset=1 - n, dim1=-2, dim2=-1)  # (layers, heads, n+1): from n-1 on
    return after_first[..., -n:].mean(dim=-1)


def repeated_tokens(vocabulary: int, n: int, seed: int) -> torch.Tensor:
    """n random ids, repeated once: (1, 2n)."""
    half = torch.randint(vocabulary, (n,), generator=torch.Generator().manual_seed(seed))
    return torch.cat([half, half])[None]


def head_scores(
    model: PreTrainedModel, weights: torch.Tensor, vocabulary: int, seed: int
) -> dict[str, torch.Tensor]:
    """Every head's score for each type, (layers, heads); `weights` are the attention weights of a text."""
    repeated = repeated_tokens(vocabulary, REPEATED, seed).to(model.device)
    return {
        "previous-token": previous_token_score(weights),
        "sink": sink_score(weights),
        "induction": induction_score(attention_weights(model, repeated)),
    }


def heads_of_type(score: torch.Tensor) -> HeadType:
    """The number of heads whose score (layers, heads) reaches TYPE_THRESHOLD, and the strongest heads."""
    best = score.flatten().topk(min(3, score.numel()))
    strongest = []
    for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        layer, head = divmod(i, score.shape[1])  # i counts through all heads of layer 0, then of layer 1
        strongest.append(Head(layer, head, value))
    return HeadType(int((score >= TYPE_THRESHOLD).sum()), strongest)
