"""Step 4 beside a submission: what takes a model, a gradient or a count of operations.

    submission.check("classroom.drivers.step4:dpo_steps", policy, reference, 0.1)

All is small and drawn by the test: a model is a table of logits, a layer one matrix and a running mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# --- 4.5 --------------------------------------------------------------------------------------------------


class Watched(TorchFunctionMode):
    """Sees every tensor that is made; of views, which share the numbers of another, it takes no notice."""

    def __init__(self, known: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.known = {each.untyped_storage().data_ptr() for each in known}
        self.largest = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.untyped_storage().data_ptr() not in self.known:
            self.largest = max(self.largest, made.numel())
        return made


def lora_largest(lora: Any, x: torch.Tensor) -> int:
    """How many numbers the largest tensor holds that the forward pass makes."""
    with Watched([lora.W, lora.A, lora.B, x]) as watched:
        lora.forward(x)
    return watched.largest


def lora_gradients(lora: Any, x: torch.Tensor) -> dict[str, Any]:
    """The gradients of the sum of squares, and what W and x are afterwards."""
    lora.A.requires_grad_(True)
    lora.B.requires_grad_(True)
    lora.forward(x).square().sum().backward()
    return {"A": lora.A.grad, "B": lora.B.grad, "W": lora.W, "x": x}


# --- 4.6 --------------------------------------------------------------------------------------------------


class Said(dict):
    """What a model of transformers gives: `.logits`, `["logits"]` and `[0]`."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, key: Any) -> Any:
        return [*self.values()][key] if isinstance(key, int) else super().__getitem__(key)


class Table(nn.Module):
    """A model that guesses by the last token alone: row t of the table holds the logits after token t."""

    def __init__(self, logits: torch.Tensor, dtype: str) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)  # (V, V)
        self.dtype = getattr(torch, dtype)

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None, **_rest: Any) -> Said:  # noqa: ARG002
        return Said(logits=self.logits[input_ids].to(self.dtype))


def log_probs(logits: torch.Tensor, batch: Any, dtype: str = "float32") -> torch.Tensor:
    """Of replies, by a model that holds these logits."""
    from step4_finetune.by_hand import dpo_loss

    return dpo_loss.log_probs(Table(logits, dtype), batch)


def log_probs_gradient(logits: torch.Tensor, batch: Any, weights: torch.Tensor) -> Any:
    """By the logits, of the weighted sum over the replies."""
    from step4_finetune.by_hand import dpo_loss

    model = Table(logits, "float32")
    (dpo_loss.log_probs(model, batch) * weights).sum().backward()
    return model.logits.grad


def dpo_steps(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> dict[str, Any]:
    """Margin and loss of each pair, and the gradient of their sum by the policy."""
    from step4_finetune.by_hand import dpo_loss

    policy.requires_grad_(True)
    found = dpo_loss.dpo(policy, reference, beta)
    found.loss.sum().backward()
    return {"margin": found.margin, "loss": found.loss, "gradient": policy.grad}
