"""The DPO loss, written out.

    log p(reply)   sum over its tokens of the log-probability that the model gives each, after the prompt
    r(reply)       = β · (log p(reply) - log p_ref(reply))       its reward: how much likelier it became
    margin         = r(chosen) - r(rejected)
    loss           = -log σ(margin)                              log 2 at the start

The gradient of the loss by log p(chosen) is -β σ(-margin), by log p(rejected) the same with a plus. Source:
Rafailov et al. 2023, arXiv 2305.18290. The tests compare value and gradient with TRL's DPOTrainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from step4_finetune.data.rows import Row
from step4_finetune.models.chat import conversation_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Batch:
    """n pairs: rows 0 to n-1 are prompts with the chosen reply, rows n to 2n-1 with the rejected one."""

    ids: torch.Tensor  # (2n, T), padded on the right
    attention: torch.Tensor  # (2n, T) 1 for tokens, 0 for padding
    completion: torch.Tensor  # (2n, T) 1 for the reply's tokens


@dataclass(frozen=True)
class Loss:
    """Rewards of n pairs, each field of shape (n,)."""

    chosen: torch.Tensor
    rejected: torch.Tensor

    @property
    def margin(self) -> torch.Tensor:
        """How much more the chosen reply gained."""
        ### BEGIN SOLUTION 4.6: the DPO loss
        return self.chosen - self.rejected
        ### END SOLUTION

    @property
    def loss(self) -> torch.Tensor:
        """-log of the probability that a judge with these rewards prefers the chosen one (Bradley, Terry).

        That probability is σ(margin). Right for margins of ±1000, too, where σ itself is 0 or 1 in float32.
        """
        ### BEGIN SOLUTION 4.6: the DPO loss
        return -F.logsigmoid(self.margin)
        ### END SOLUTION


def encode(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], system: str = "") -> Batch:
    """The pairs as the model reads them, by its chat template."""
    texts: list[tuple[list[int], int]] = []  # (ids, where the reply starts)
    for kind in ("chosen", "rejected"):
        for row in rows:
            texts.append(conversation_ids(tokenizer, row.with_system(system), getattr(row, kind)))
    longest = max(len(ids) for ids, _ in texts)
    pad: Any = tokenizer.pad_token_id
    return Batch(
        ids=torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in texts]),
        attention=torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in texts]),
        completion=torch.tensor(
            [[int(start <= t < len(ids)) for t in range(longest)] for ids, start in texts]
        ),
    )


def log_probs(model: Any, batch: Batch) -> torch.Tensor:
    """log p(reply) of each row, shape (2n,), in float32 whatever type the model's logits are of.

    `model(input_ids=..., attention_mask=...)` gives an object with `logits`, shape (2n, T, V): those at
    place t are the guess of the token at t + 1. Only tokens of the reply count (`completion`); their
    log-probabilities are added up, not averaged. The first token of all, before which nothing stands, never
    counts. Gradients go through to the model.
    """
    ### BEGIN SOLUTION 4.6: the DPO loss
    logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits  # (2n, T, V)
    each = logits[:, :-1].float().log_softmax(-1)  # what stands at place t is guessed at t - 1
    each = each.gather(-1, batch.ids[:, 1:, None])[..., 0]  # (2n, T - 1)
    return (each * batch.completion[:, 1:]).sum(dim=1)
    ### END SOLUTION


def dpo(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> Loss:
    """The loss of n pairs from their log-probabilities, shape (2n,) as in `log_probs`.

    The first n are those of the chosen replies, and row n + i is the rejected one of pair i. The rewards are
    `beta` times what the policy gives more than the reference, see above.
    """
    ### BEGIN SOLUTION 4.6: the DPO loss
    rewards = beta * (policy - reference)
    chosen, rejected = rewards.chunk(2)
    return Loss(chosen, rejected)
    ### END SOLUTION


def pull(margin: torch.Tensor, beta: float) -> torch.Tensor:
    """β σ(-margin): how hard the gradient pulls log p(chosen) up, and pushes log p(rejected) down."""
    return beta * torch.sigmoid(-margin)
