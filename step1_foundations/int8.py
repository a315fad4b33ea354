"""Weights in eight bits: decoding is limited by reading the weights, and int8 halves them against bfloat16.

    w      = [[ .12, -.50,  .25 ]]        one row of a weight matrix
    scale  =    .50 / 127                 its largest value, mapped to 127
    w_int8 = [[  30, -127,   64 ]]        round(w / scale): 1 byte each
    w_int8 * scale = [[ .118, -.50, .252 ]]

The kernel is torch's own, which gpt-fast and torchao also call. Its name begins with an underscore, so it may
change; a test would notice.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shared.errors import UserError

FEW_ROWS = 8  # up to this, the int8 kernel is faster; above, unpacking the weights for a dense product is


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize a weight matrix (out, in) row by row: int8 weights (out, in), a bfloat16 scale per row (out,).

    A row's scale maps its largest absolute value to 127. The scale is rounded to bfloat16 first; then the row
    is divided by the rounded scale and rounded to whole numbers from -127 to 127. A row of zeros stays zero,
    and its scale is any finite number. `weight` (float32 or bfloat16) is not changed; compute in float32.
    """
    ### BEGIN SOLUTION 1.8: A linear layer in int8
    largest = weight.float().abs().amax(dim=1)  # (out,)
    scale = (largest.clamp_min(1e-8) / 127).bfloat16()  # as it is stored
    steps = (weight.float() / scale.float()[:, None]).round().clamp(-127, 127)
    return steps.to(torch.int8), scale
    ### END SOLUTION


def product(rows: torch.Tensor, weight_int8: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """bfloat16 rows (n, in) times int8 weights (out, in) with scales (out,): bfloat16 (n, out)."""
    ### BEGIN SOLUTION 1.8: A linear layer in int8
    return F.linear(rows, weight_int8.to(rows.dtype)) * scale
    ### END SOLUTION


class Int8Linear(nn.Module):
    """A linear layer without bias whose weight is int8, with one scale per output row."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight_int8, scale = quantize_rows(linear.weight.detach())
        self.register_buffer("weight_int8", weight_int8)
        self.register_buffer("scale", scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out), both bfloat16."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW_ROWS:  # decode: limited by reading the weights
            out = torch.ops.aten._weight_int8pack_mm(rows, self.weight_int8, self.scale)
        else:  # prefill: limited by arithmetic
            out = product(rows, self.weight_int8, self.scale)
        return out.view(*x.shape[:-1], -1)


def quantize_int8(model: Any) -> None:
    """Replace every linear layer without bias by an `Int8Linear`, in place. Embeddings are not changed.

    Raises:
        UserError: the model is not on the CPU, or has no such layer.
    """
    if model.device.type != "cpu":
        raise UserError(f"--quantize int8 needs the CPU, not {model.device.type}: set ROADMAP_DEVICE=cpu")
    model.to(torch.bfloat16)
    replaced = 0
    for parent in list(model.modules()):  # a list, since the loop changes the modules
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child.bias is None:
                setattr(parent, name, Int8Linear(child))
                replaced += 1
    if not replaced:
        raise UserError("--quantize int8 found no linear layer without bias in this model: leave it out")
