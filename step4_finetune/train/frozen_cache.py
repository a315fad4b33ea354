"""Compute the frozen lower layers once: what they say of a text stays while only the upper ones learn.

    with cached_trunk(model, first=20, pad=tokenizer.pad_token_id):   # adapters sit on layers 20 to 29
        trainer.train()                   # layers 0 to 19 run once per text, not once per epoch

A layer without adapters, below the first that has some, gets no gradient and gives the same vectors for the
same tokens in every epoch. So together with the embedding it is one big look-up table, from a sequence of
token ids to a sequence of vectors, that is filled as the texts come by. While it is in place, the lower
layers are empty.

Attention looks back only, so a text's vectors don't depend on the padding that stands behind it: rows are
kept without it, and batches padded at their right side (as TRL's collators do) share them. Padding gets
zeros; no loss looks at it. Not for padding on the left, for packing, nor for dropout in the lower layers
(SmolLM2 has none).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Empty(nn.Module):
    """A layer that passes on what it gets."""

    def forward(self, hidden_states: torch.Tensor, **_rest: Any) -> torch.Tensor:
        return hidden_states


class Trunk(nn.Module):
    """The embedding and the layers below the first trained one, as one embedding of whole texts."""

    def __init__(self, embed: nn.Module, layers: list[nn.Module], rotary: nn.Module, pad: int) -> None:
        super().__init__()
        self.embed = embed
        self._frozen = (layers, rotary)  # a tuple: no parameters of this module, so nothing is saved twice
        self.pad = pad
        self.rows: dict[tuple[int, ...], torch.Tensor] = {}
        self.computed = self.looked_up = 0  # rows

    @property
    def weight(self) -> torch.Tensor:
        """The embedding's own, which the head shares."""
        return self.embed.weight  # pyrefly: ignore

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Vectors, shape (batch, tokens, dim), of `input_ids`, shape (batch, tokens).

        Each row is looked up in `rows` by its `key`; what is not there is computed (`compute`) and put there,
        once, be it in the batch twice. Behind a row's key, where the padding is, its vectors are zeros.
        `computed` counts the rows that had to be computed, `looked_up` all others of the batch. The result is
        of the type that `compute` gives.
        """
        ### BEGIN SOLUTION 4.7: a table of texts
        keys = [self.key(row) for row in input_ids.tolist()]
        new = sorted({key for key in keys if key not in self.rows}, key=len)
        self.computed, self.looked_up = self.computed + len(new), self.looked_up + len(keys) - len(new)
        for key in new:
            self.rows[key] = self.compute(key, input_ids.device)
        dim = self.rows[keys[0]].shape[-1]
        out = self.rows[keys[0]].new_zeros((*input_ids.shape, dim))
        for at, key in enumerate(keys):
            out[at, : len(key)] = self.rows[key]
        return out
        ### END SOLUTION

    def key(self, row: list[int]) -> tuple[int, ...]:
        """The tokens without the padding behind them, but always the first, be it padding. The same token
        elsewhere stays. Where a text ends with the token that pads, that one goes, too: nothing stands behind
        it, so no loss looks at what comes out there."""
        ### BEGIN SOLUTION 4.7: a table of texts
        end = len(row)
        while end > 1 and row[end - 1] == self.pad:
            end -= 1
        return tuple(row[:end])
        ### END SOLUTION

    @torch.no_grad()
    def compute(self, key: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """The vectors of one text, shape (tokens, dim): its embedding, sent through all frozen layers.

        They work on batches, here of one text. `rotary(hidden, position_ids=...)` makes of the positions from
        0 on, shape (1, tokens), what every layer is given as `position_embeddings`, one layer after another:
        `layer(hidden, attention_mask=None, position_ids=..., position_embeddings=...)`.
        """
        ### BEGIN SOLUTION 4.7: a table of texts
        layers, rotary = self._frozen
        hidden = self.embed(torch.tensor([key], device=device))
        positions = torch.arange(len(key), device=device)[None]
        turned = rotary(hidden, position_ids=positions)
        for layer in layers:
            hidden = layer(hidden, attention_mask=None, position_ids=positions, position_embeddings=turned)
        return hidden[0]
        ### END SOLUTION


@contextmanager
def cached_trunk(model: PreTrainedModel, first: int, pad: int) -> Iterator[Trunk | None]:
    """Put the layers below `first` of a Llama-like model into a table, and back again at the end."""
    if first <= 0:
        yield None
        return
    body: Any = model.get_decoder()
    embed, layers = body.embed_tokens, list(body.layers[:first])
    trunk = Trunk(embed, layers, body.rotary_emb, pad)
    try:
        body.embed_tokens = trunk
        for at in range(first):
            body.layers[at] = Empty()
        yield trunk
    finally:
        body.embed_tokens = embed
        for at, layer in enumerate(layers):
            body.layers[at] = layer
