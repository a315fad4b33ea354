"""What the model would predict if it stopped after layer 0, 1, 2 ...: how an answer forms layer by layer.

    $ python -m step1_foundations logit-lens "The capital of France is Paris, and the capital of Japan is"

The final norm and the head are applied to the residual stream after each block, as if the model ended there
(nostalgebraist 2020, "interpreting GPT: the logit lens"). This doesn't show everything that a layer knows:
early layers were never trained for this head.
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
    """The predictions at L + 1 depths (before block 0, after each block) and T positions."""

    guesses: torch.Tensor  # (L + 1, T) the most probable next token
    p_guess: torch.Tensor  # (L + 1, T) its probability
    p_answer: torch.Tensor  # (L + 1,) at the last position: the probability of the model's final answer
    rank_of_answer: torch.Tensor  # (L + 1,) its rank there, from 1

    @property
    def answer(self) -> int:
        """The token that the whole model predicts after the text."""
        return int(self.guesses[-1, -1])

    @property
    def settled_depth(self) -> int:
        """The depth from which the answer stays the best guess."""
        other_first = (self.rank_of_answer > 1).nonzero()  # the depths with another best guess
        return int(other_first[-1]) + 1 if len(other_first) else 0


@torch.inference_mode()
def read_layers(model: PreTrainedModel, ids: torch.Tensor) -> Lens:
    """Apply the norm and the head to the residual stream at every depth, for ids (1, T).

    Raises:
        UserError: the model is not Llama-shaped.
    """
    norm = model_body(model).norm
    head = model.lm_head
    states, logits = residual_stream(model, ids)  # L + 1 times (T, d), and (T, V)
    answer = int(logits[-1].argmax())
    guesses = []
    p_guess = []
    p_answer = []
    ranks = []
    for state in states:
        p = head(norm(state)).float().softmax(dim=-1)  # (T, V)
        best = p.max(dim=-1)
        guesses.append(best.indices)  # (T,)
        p_guess.append(best.values)  # (T,)
        p_answer.append(p[-1, answer])
        ranks.append((p[-1] > p[-1, answer]).sum() + 1)
    return Lens(
        torch.stack(guesses).cpu(),
        torch.stack(p_guess).cpu(),
        torch.stack(p_answer).cpu(),
        torch.stack(ranks).cpu(),
    )
