"""A stand-in for step 4: a model that is a table of logits."""

from typing import Any

import torch
from torch import nn


class Said(dict):
    """The output of a transformers model: `.logits`, `["logits"]` and `[0]`."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, key: Any) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


class Table(nn.Module):
    """A bigram model: row t of the table holds the logits after token t."""

    def __init__(self, logits: torch.Tensor, dtype: str = "float32") -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)  # (V, V)
        self.dtype = getattr(torch, dtype)

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, **_rest: Any) -> Said:  # noqa: ARG002
        return Said(logits=self.logits[input_ids].to(self.dtype))
