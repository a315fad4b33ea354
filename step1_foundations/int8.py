"""Weights in eight bits: half the bytes of bf16 to read per token, and decoding is reading.

    w      = [[ .12, -.50,  .25 ]]        one row of a weight matrix
    scale  =    .50 / 127                 its largest value, mapped to 127
    w_int8 = [[  30, -127,   64 ]]        round(w / scale): 1 byte each
    w_int8 * scale = [[ .118, -.50, .252 ]]

Torch's dynamic quantisation (torch.ao.quantization) is deprecated; its successor torchao is made for compiled
models. The kernel used here is torch's own, the one that gpt-fast and torchao call for weights in int8 and
activations in bf16. Its name begins with an underscore, so it may change: the tests would say so.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shared.errors import UserError

FEW_ROWS = 8  # up to here the int8 kernel wins; above, a dense product of unpacked weights does


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a weight matrix (out, in) row by row: its int8 (out, in), and one bf16 scale per row (out,).

    A row's scale maps its largest absolute value to 127. The scale is kept in bf16, and the row is divided by
    the one that is kept and rounded to the nearest whole number, -127 to 127. A row of zeros stays one; its
    scale is finite. `weight` (float32 or bf16) is left as it is; the arithmetic is float32.
    """
    ### BEGIN SOLUTION 1.7: A linear layer in int8
    weight = weight.to(torch.float32, copy=True)  # worked on in place
    largest = torch.maximum(weight.amax(dim=1), -weight.amin(dim=1))  # (out,) without another copy
    scale = largest.clamp_min(1e-8) / 127
    scale = scale.bfloat16().float()  # round with the scale that is kept
    weight.div_(scale[:, None]).round_().clamp_(-127, 127)
    return weight.to(torch.int8), scale.to(torch.bfloat16)
    ### END SOLUTION


def product(rows: torch.Tensor, weight_int8: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Rows (n, in) in bf16 through a quantised layer (out, in) with its scales (out,): (n, out) in bf16."""
    ### BEGIN SOLUTION 1.7: A linear layer in int8
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
        """(..., in) -> (..., out), both bf16."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW_ROWS:  # decode: bound by reading the weights
            out = torch.ops.aten._weight_int8pack_mm(rows, self.weight_int8, self.scale)
        else:  # prefill: bound by arithmetic
            out = product(rows, self.weight_int8, self.scale)
        return out.view(*x.shape[:-1], -1)


def quantize_int8(model: Any) -> None:
    """Swap every linear layer of the model, in place, for its int8 twin. Embeddings stay as they are.

    Raises:
        UserError: the model is not on the processor, whose kernel this is, or has no such layers.
    """
    if model.device.type != "cpu":
        raise UserError(
            f"--quantize int8 runs on the processor, not on {model.device.type}: add --device cpu"
        )
    model.to(torch.bfloat16)
    swapped = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child.bias is None:
                setattr(parent, name, Int8Linear(child))
                swapped += 1
    if not swapped:
        raise UserError("--quantize int8 found no linear layer without bias in this model: leave it out")
