"""What the model predicts at every position of a text, and how surprised it is by the token that follows.

    surprisal   -log2 p(the actual token)        in bits; 0: the model was certain of it
    entropy     the expected surprisal           in bits; 0: only one continuation is possible
    perplexity  2 ** (mean surprisal)            as if it chose among that many equally likely tokens

The first token has no surprisal, because nothing comes before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Predictions:
    """The model's predictions for a text of T tokens."""

    surprisal: torch.Tensor  # (T - 1,) bits, of tokens 1 to T - 1
    entropy: torch.Tensor  # (T,) bits, of the prediction after each token
    top_p: torch.Tensor  # (T, k) the largest probabilities
    top_ids: torch.Tensor  # (T, k) their tokens

    @property
    def perplexity(self) -> float:
        """2 to the power of the mean surprisal."""
        return 2 ** float(self.surprisal.mean())


@torch.inference_mode()
def predict(model: PreTrainedModel, ids: torch.Tensor, k: int = 1) -> Predictions:
    """Predict every next token in one forward pass over ids (1, T)."""
    logits = model(input_ids=ids, use_cache=False).logits[0]  # (T, V), in the model's dtype
    following = ids[0].roll(-1)  # (T,) position t predicts token t + 1; the last one is not used
    log2p, surprisal, entropy = bits(logits, following)
    top = log2p.topk(k, dim=-1)  # (T, k)
    return Predictions(surprisal[:-1], entropy, top.values.exp2(), top.indices)


def bits(logits: torch.Tensor, following: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log2-probabilities, surprisal and entropy from logits (T, V); `following` (T,): the next tokens.

    The results are float32, whatever dtype the logits have: (T, V), (T,) and (T,). Logits may be in the
    thousands: a nearly impossible token still has a finite surprisal. A logit of minus infinity means an
    impossible token: its log2-probability is minus infinity, its surprisal infinite, and entropy skips it.
    """
    ### BEGIN SOLUTION 1.5: Surprisal and entropy
    log2p = torch.log_softmax(logits.float(), dim=-1) / math.log(2)
    surprisal = -log2p.gather(1, following[:, None])[:, 0]
    weighted = (log2p.exp2() * log2p).nan_to_num()  # 0 * log 0 is NaN here, and 0 in the formula
    entropy = -weighted.sum(dim=-1)
    return log2p, surprisal, entropy
    ### END SOLUTION
