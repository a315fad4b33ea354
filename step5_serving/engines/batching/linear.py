"""How a weight matrix is stored and multiplied: three functions from a weight to (n, in) -> (n, out).

    plain     PyTorch's own
    packed    reordered once for oneDNN's kernel, which would otherwise reorder it at each product
    int8      a byte per weight, with a scale for each output; tokens are rounded too, each with its own scale

    ms for the 120 matrices of SmolLM2-135M on one AMD EPYC core     1 row   8   16   128
    bf16 plain                                                          28  34   42   154
    bf16 packed                                                         20  20   28   141
    int8                                                                 9  10   15    86

A row of a product must not depend on the other rows, or a text would depend on the other requests. The plain
float32 kernel sums in another order when there are fewer than four rows. oneDNN's packed one may do so for a
single row, so that gets a second row, which takes no longer. PyTorch's dynamic int8 takes one scale from all
rows together; here each row is first divided by its largest value, and a last row of 1 and -1 keeps that
scale constant.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Multiply = Callable[[Tensor], Tensor]
Kernel = Callable[[Tensor], Multiply]


def plain(weight: Tensor) -> Multiply:
    """PyTorch's own."""
    return lambda x: F.linear(x, weight)


def packed(weight: Tensor) -> Multiply:
    """oneDNN's kernel, which torch.compile uses for frozen weights; `plain` where it can't take them."""

    def multiply(x: Tensor) -> Tensor:
        n = len(x)
        if n == 1:
            x = x.expand(2, -1).contiguous()
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, ready, None, "none", [], "")
        return product[:n]

    try:  # private operators, which another PyTorch may lack; they take bfloat16 only with AVX-512
        ready = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        multiply(torch.ones(1, weight.shape[1], dtype=weight.dtype))
    except (AttributeError, NotImplementedError, RuntimeError):
        return plain(weight)
    return multiply


def int8(weight: Tensor) -> Multiply:
    """Eight bits per weight; integer sums, which are exact in any order. x is float32."""
    quantized: Any = torch.ops.quantized
    scale = (weight.float().abs().amax(1) / 127).clamp_min(1e-8).double()  # one for each output
    zero = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these tensors are deprecated, the kernel is not
        small = torch.quantize_per_channel(weight.float(), scale, zero, 0, torch.qint8)
        ready = quantized.linear_prepack(small, None)
    ones = torch.zeros(weight.shape[1])
    ones[0] = 1
    ones[1] = -1

    def multiply(x: Tensor) -> Tensor:
        n = len(x)
        rows = torch.empty(n + 1, x.shape[1])
        largest = torch.linalg.vector_norm(x, torch.inf, 1, keepdim=True).clamp_min_(1e-8)  # (n, 1)
        torch.div(x, largest, out=rows[:n])
        rows[n] = ones
        product: Tensor = quantized.linear_dynamic(rows, ready)
        return product[:n].mul_(largest)

    return multiply
