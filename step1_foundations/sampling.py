"""From logits to the next token: repetition penalty, temperature, top-k, top-p, draw.

    logits     the      a     my    zebra
               2.0    1.0    0.5    -3.0
    softmax    .63    .23    .14    .004
    top-p .8   .73    .27      0       0     the smallest set that holds 80 %, scaled up to 1

Each filter takes logits and returns logits; filtered-out tokens get minus infinity. Temperature 0 means
greedy decoding: take the most probable token.
"""

from dataclasses import dataclass

import torch

from shared.errors import UserError


@dataclass(frozen=True)
class Sampling:
    """Options for choosing the next token. The default is greedy: always the most probable one."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        # A comparison with NaN is false, so NaN is refused, too.
        if not (self.temperature == 0 or 0.01 <= self.temperature <= 100):
            raise not_allowed("--temperature", self.temperature, "0 (greedy), or 0.01 to 100")
        if self.top_k < 0:
            raise not_allowed("--top-k", self.top_k, "0 (off) or more")
        if not 0 < self.top_p <= 1:
            raise not_allowed("--top-p", self.top_p, "more than 0, up to 1 (off)")
        if not 0.01 <= self.repetition_penalty <= 100:
            raise not_allowed("--repetition-penalty", self.repetition_penalty, "0.01 to 100 (1 is off)")


def not_allowed(flag: str, value: float, allowed: str) -> UserError:
    """The error for a flag's value."""
    return UserError(f"{flag} {value} is not allowed: use {allowed}")


def choose(
    logits: torch.Tensor, seen: torch.Tensor, sampling: Sampling, generator: torch.Generator | None = None
) -> int:
    """The id of the next token, from `logits` (V,); `seen` (T,) contains all ids so far, for the penalty."""
    logits = logits.float()  # in bfloat16, too many logits would be equal
    if sampling.repetition_penalty != 1:
        logits = penalize_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    logits = logits / sampling.temperature
    if sampling.top_k:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    probabilities = torch.softmax(logits, dim=-1)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def penalize_repetition(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make every seen token less likely: divide positive logits by the penalty, multiply negative ones by it.

    Takes `logits` (V,) and the ids `seen` (T,), returns new logits (V,) and doesn't change its arguments. A
    token seen several times is penalized once; with no ids seen (T = 0), all logits stay the same. A penalty
    below 1 makes tokens more likely. Source: Keskar et al. 2019 (CTRL), arXiv 1909.05858.
    """
    ### BEGIN SOLUTION 1.4: Repetition penalty
    logits = logits.clone()
    before = logits[seen]  # (T,)
    logits[seen] = torch.where(before > 0, before / penalty, before * penalty)
    return logits
    ### END SOLUTION


def keep_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Keep the k largest of `logits` (V,), and any that equal the k-th."""
    kth = logits.topk(min(k, len(logits))).values[-1]  # the smallest that stays
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Keep the smallest set of tokens whose probabilities add up to at least p: the nucleus.

    Takes logits (V,) in any order and returns logits (V,): the nucleus keeps its values and positions, all
    others become minus infinity. The token that raises the sum to p or above belongs to the nucleus, so at
    least one token stays, however small p is. Some logits may already be minus infinity (top-k comes first).
    Source: Holtzman et al. 2020, arXiv 1904.09751.
    """
    ### BEGIN SOLUTION 1.6: Top-p
    ordered, ids = logits.sort()  # ascending: the tail comes first
    tail = torch.softmax(ordered, dim=-1).cumsum(dim=-1) <= 1 - p
    tail[-1] = False  # the most probable token always stays
    return logits.masked_fill(torch.zeros_like(tail).scatter(0, ids, tail), -torch.inf)
    ### END SOLUTION
