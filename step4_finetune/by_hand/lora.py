"""LoRA on one matrix, by hand: how many weights it trains, and proof that PEFT computes the same.

    W (out, in)              frozen
    A (r, in), B (out, r)    trained; r is small, and B starts at zero, so that nothing changes at first
    y = x Wᵀ + (x Aᵀ) Bᵀ · alpha / r
    W' = W + B A · alpha / r              merged: the same y without extra work

    $ python -m step4_finetune lora
    the same: by hand and by PEFT at most 0 apart, merged and unmerged 1e-06, the merged matrices 0

Source: Hu et al. 2021, arXiv 2106.09685. Training uses PEFT: train/peft_setup.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from shared import models
from shared.config import Settings
from shared.errors import UserError
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train.recipe import LINEAR

TEXT = "Dear member, we have moved the visit of the plumber to Tuesday."
# The largest difference that counts as the same. Those of outputs are shares of the row's largest value.
TOLERANCE = 1e-4


@dataclass
class Lora:
    """One frozen matrix and the two small trained ones."""

    W: torch.Tensor  # (out, in)
    A: torch.Tensor  # (r, in)
    B: torch.Tensor  # (out, r)
    alpha: int
    bias: torch.Tensor | None = None  # (out,) frozen too, where the layer has one

    @classmethod
    def start(cls, W: torch.Tensor, r: int, alpha: int, bias: torch.Tensor | None = None) -> Lora:
        """A random (Kaiming's uniform, as in PEFT), B zero: no change yet, and a gradient for B."""
        out, into = W.shape
        edge = 1 / math.sqrt(into)
        return cls(W, torch.empty(r, into).uniform_(-edge, edge), torch.zeros(out, r), alpha, bias)

    @property
    def scale(self) -> float:
        """alpha / r, so that a larger rank alone makes no larger update."""
        ### BEGIN SOLUTION 4.5: LoRA
        return self.alpha / len(self.A)
        ### END SOLUTION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, in) -> (T, out): down to r numbers a token and up again. B A itself is never built.

        The frozen layer's own output, with its bias where it has one, plus what the adapter adds: this times
        `scale`, the bias not. A and B get gradients; nothing is changed in place.
        """
        ### BEGIN SOLUTION 4.5: LoRA
        return F.linear(x, self.W, self.bias) + (x @ self.A.T) @ self.B.T * self.scale
        ### END SOLUTION

    def merged(self) -> torch.Tensor:
        """One new matrix (out, in) that replaces all three; W stays as it is, and the bias is the same.

        What is added has rank r at most.
        """
        ### BEGIN SOLUTION 4.5: LoRA
        return self.W + self.B @ self.A * self.scale
        ### END SOLUTION


def run(settings: Settings, target: str = "q_proj", r: int = 16, alpha: int = 32) -> dict[str, Any]:
    """LoRA on one matrix of the model's last layer, by hand and by PEFT, in float32 on the CPU.

    Raises:
        UserError: no such target.
    """
    if target not in LINEAR:
        raise UserError(f"--target {target} does not exist: use {', '.join(LINEAR)}")
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(device="cpu", dtype="float32", settings=settings)
    layer = int(model.config.num_hidden_layers) - 1
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]  # (1, T)
    torch.manual_seed(settings.seed)
    rows, columns = _matrix(model, layer, target).shape
    if r > min(rows, columns):
        raise UserError(
            f"--r {r} is too large for {target}, {rows} x {columns}: use at most {min(rows, columns)}"
        )
    shapes, differences = compare(model, ids, layer, target, r, alpha)
    out, into = shapes["W"]
    worst = max(differences[name] for name in ("by hand", "merged", "matrix"))
    return {
        "command": "step4_finetune lora",
        "headline": f"by hand and by PEFT: at most {worst:.1g} apart; "
        f"{r * (out + into):,} trained weights instead of {out * into:,}",
        "model": settings.model,
        "matrix": f"layer {layer}, {target}",
        "r": r,
        "full": out * into,
        "lora": r * (out + into),
        "shapes": shapes,
        "differences": differences,
        "proved": worst < TOLERANCE and differences["at start"] == 0,
    }


def _matrix(model: Any, layer: int, target: str) -> torch.Tensor:
    """The weight of a layer's matrix by its last name, such as q_proj."""
    for name, module in model.named_modules():
        if f".{layer}." in name and name.endswith(f".{target}"):
            weight: torch.Tensor = module.weight
            return weight
    raise UserError(f"the model has no {target} in layer {layer}")


@torch.no_grad()
def compare(
    model: Any, ids: torch.Tensor, layer: int, target: str, r: int, alpha: int
) -> tuple[dict[str, list[int]], dict[str, float]]:
    """The same A and B by hand and in PEFT's layer, on that layer's real inputs: shapes and largest
    differences. Changes the model."""
    peft = quiet_peft()
    config = peft.LoraConfig(r=r, lora_alpha=alpha, target_modules=[target], layers_to_transform=[layer])
    adapted: Any = peft.get_peft_model(model, config)
    theirs: Any = next(each for each in adapted.modules() if isinstance(each, peft.tuners.lora.Linear))
    seen: list[torch.Tensor] = []
    theirs.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    adapted(input_ids=ids)
    x, base = seen[0], theirs.base_layer  # (T, in)
    ours = Lora.start(base.weight.clone(), r, alpha, base.bias)
    before, at_start = base(x), ours.forward(x)  # (T, out)
    ours.B.normal_(std=0.02)  # as if trained
    theirs.lora_A["default"].weight.copy_(ours.A)
    theirs.lora_B["default"].weight.copy_(ours.B)
    y, expected = ours.forward(x), theirs(x)  # (T, out)
    largest = y.abs().amax(dim=1, keepdim=True)  # (T, 1): rows differ a thousandfold; float32 has 7 digits
    theirs.merge()
    W = ours.merged()
    tensors = {
        "x": x,
        "W": ours.W,
        "A": ours.A,
        "B": ours.B,
        "x Aᵀ": x @ ours.A.T,
        "y = x Wᵀ + (x Aᵀ) Bᵀ alpha / r": y,
        "W' = W + B A alpha / r": W,
    }
    differences = {
        "at start": at_start - before,
        "learnt": y - before,
        "by hand": (y - expected) / largest,
        "merged": (F.linear(x, W, ours.bias) - y) / largest,
        "matrix": W - base.weight,
    }
    shapes = {name: list(each.shape) for name, each in tensors.items()}
    return shapes, {name: float(each.abs().max()) for name, each in differences.items()}
