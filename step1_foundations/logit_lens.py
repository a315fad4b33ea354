"""What the model would predict if it stopped after layer 0, 1, 2 ...: how an answer forms over depth.

    $ python -m step1_foundations logit-lens "The capital of France is Paris, and the capital of Japan is"

The residual stream after each block is read with the final norm and the head, as if the model ended there
(nostalgebraist 2020, "interpreting GPT: the logit lens"). It shows what this head can read at that depth, not
all that the layer knows: early layers were never trained to be read this way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from step1_foundations.support.model_parts import model_body, residual_stream

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Lens:
    """What can be read at L + 1 depths (before block 0, after each block) and T positions."""

    guesses: torch.Tensor  # (L + 1, T) the most probable next token
    p_guess: torch.Tensor  # (L + 1, T) its probability
    p_answer: torch.Tensor  # (L + 1,) at the last position: the probability of the model's final answer ...
    rank_of_answer: torch.Tensor  # (L + 1,) ... and its rank, from 1

    @property
    def answer(self) -> int:
        """The token that the whole model predicts after the text."""
        return int(self.guesses[-1, -1])

    @property
    def settled(self) -> int:
        """The depth from which on the answer is first."""
        behind = (self.rank_of_answer > 1).nonzero()
        return int(behind[-1]) + 1 if len(behind) else 0


@torch.inference_mode()
def read_layers(model: PreTrainedModel, ids: torch.Tensor) -> Lens:
    """Read the residual stream at every depth for ids (1, T).

    Raises:
        UserError: the model has another shape than Llama.
    """
    norm, head = model_body(model).norm, model.lm_head
    states, logits = residual_stream(model, ids)  # L + 1 times (T, d), and (T, V)
    answer = int(logits[-1].argmax())
    guesses, p_guess, p_answer, rank = [], [], [], []
    for state in states:
        p = head(norm(state)).float().softmax(dim=-1)  # (T, V)
        best = p.max(dim=-1)
        guesses.append(best.indices)
        p_guess.append(best.values)
        p_answer.append(p[-1, answer])
        rank.append((p[-1] > p[-1, answer]).sum() + 1)
    return Lens(
        torch.stack(guesses).cpu(),
        torch.stack(p_guess).cpu(),
        torch.stack(p_answer).cpu(),
        torch.stack(rank).cpu(),
    )
