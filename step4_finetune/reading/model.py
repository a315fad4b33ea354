"""The reader in torch: MiniLM as a cross-encoder, with a score for each sentence and one for "not here".

    h = bert(window)                               (n, 384): question and passage look at each other
    q = unit(mean of h over the question)          (384,)
    s = mean of h over each sentence               (sentences, 384)
    score(sentence) = scale * (unit(s) @ q) + s @ w + b
    score(not here) = h[CLS] @ v + c
    p = softmax([not here, sentence 1, sentence 2, ...])

MiniLM was trained to give similar sentences similar means, so the cosine is a fair answer before the first
step of training; w, v and the changes in every layer learn the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from shared.reader.window import Window

SCALE = 10.0  # at the start
IMPOSSIBLE = -1e4  # the score of a sentence that a window doesn't have


@dataclass(frozen=True)
class Batch:
    """Windows of one batch, padded at the end."""

    ids: torch.Tensor  # (batch, n)
    types: torch.Tensor  # (batch, n)
    mask: torch.Tensor  # (batch, n) 1 for a token, 0 for padding
    question: torch.Tensor  # (batch, n) 1 / tokens for a token of the question, so that a product is the mean
    sentences: torch.Tensor  # (batch, sentences, n) the same for each sentence
    exists: torch.Tensor  # (batch, sentences) bool

    @classmethod
    def of(cls, windows: Sequence[Window]) -> Batch:
        """Pad windows to the longest."""
        n = max(len(window.ids) for window in windows)
        most = max(1, *(len(window.sentences) for window in windows))
        ids = torch.zeros(len(windows), n, dtype=torch.long)
        types = torch.zeros_like(ids)
        mask = torch.zeros_like(ids)
        question = torch.zeros(len(windows), n)
        sentences = torch.zeros(len(windows), most, n)
        for i, window in enumerate(windows):
            length = len(window.ids)
            ids[i, :length] = torch.tensor(window.ids)
            types[i, :length] = torch.tensor(window.types)
            mask[i, :length] = 1
            question[i, window.question] = 1
            for place, sentence in enumerate(window.sentence_of.tolist()):
                if sentence >= 0:
                    sentences[i, sentence, place] = 1
        exists = sentences.sum(-1) > 0
        question /= question.sum(-1, keepdim=True).clamp(min=1)
        sentences /= sentences.sum(-1, keepdim=True).clamp(min=1)
        return cls(ids, types, mask, question, sentences, exists)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class ReaderModel(torch.nn.Module):
    """An encoder with the two heads."""

    def __init__(self, encoder: Any, *, trained: bool = True) -> None:
        """`trained=False` has heads of zeros, so that a score is 10 times the cosine, and "not here" is 5."""
        super().__init__()
        self.encoder = encoder  # maps ids, types and mask to hidden states
        self.scale = torch.nn.Parameter(torch.tensor(SCALE))
        self.sentence = torch.nn.Linear(encoder.config.hidden_size, 1)  # w, b
        self.nowhere = torch.nn.Linear(encoder.config.hidden_size, 1)  # v, c
        for head in (self.sentence, self.nowhere):
            torch.nn.init.normal_(head.weight, std=0.01 if trained else 0.0)
            torch.nn.init.zeros_(head.bias)
        torch.nn.init.constant_(self.nowhere.bias, SCALE / 2)  # as good as a cosine of .5

    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores, (batch, 1 + sentences): "not here" first."""
        output = self.encoder(input_ids=batch.ids, token_type_ids=batch.types, attention_mask=batch.mask)
        hidden = output.last_hidden_state.float()  # (batch, n, 384)
        question = torch.einsum("bn,bnd->bd", batch.question, hidden)
        sentences = torch.einsum("bsn,bnd->bsd", batch.sentences, hidden)
        cosines = torch.einsum(
            "bsd,bd->bs", functional.normalize(sentences, dim=-1), functional.normalize(question, dim=-1)
        )
        scores = self.scale * cosines + self.sentence(sentences)[..., 0]
        scores = scores.masked_fill(~batch.exists, IMPOSSIBLE)
        return torch.cat([self.nowhere(hidden[:, 0]), scores], 1)


def loss(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The mean of -log P(right places), over a batch.

    Args:
        scores: (batch, places); places are "not here" and the sentences.
        right: (batch, places) bool. More than one place of an example may be right: if it is only known that
            the passage answers, all its sentences are, and their probabilities are added.
    """
    log_p = scores.log_softmax(-1)
    return -log_p.masked_fill(~right, -torch.inf).logsumexp(-1).mean()
