"""A few steps of DPO by hand on a few pairs: log-probabilities, margins and losses.

The loss itself is in dpo_loss.py. For real training use `train --recipe dpo`.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from shared.config import Settings
from shared.errors import UserError
from shared.models import load_tokenizer
from shared.words import count
from step4_finetune.by_hand.dpo_loss import dpo, encode, log_probs, pull
from step4_finetune.data.rows import Row
from step4_finetune.train.peft_setup import prepare
from step4_finetune.train.recipe import Lora, Recipe

LAST_LAYERS = 10  # with adapters; enough to see the effect of the loss
LEARNING_RATE = 2e-4


def run(
    settings: Settings,
    rows: Sequence[Row],
    system: str = "",
    pairs: int = 3,
    beta: float = 0.1,
    steps: int = 3,
) -> dict[str, Any]:
    """A few steps of DPO on the first pairs of the rows, in float32 on the CPU.

    Raises:
        UserError: there are no pairs, or beta is not allowed.
    """
    if not 0 < beta < math.inf:
        raise UserError(f"--beta {beta} is not allowed: use a finite number above 0")
    rows = [row for row in rows if row.rejected is not None][:pairs]
    if not rows:
        raise UserError("the rows have no pairs: DPO needs the columns prompt, chosen, rejected")
    settings = settings.model_copy(update={"device": "cpu", "dtype": "float32"})
    recipe = Recipe(lora=Lora(last_layers=LAST_LAYERS), seed=settings.seed % 2**32)
    policy = prepare(settings, recipe)
    batch = encode(load_tokenizer(settings=settings), rows, system)
    with torch.no_grad():
        reference = log_probs(policy, batch)  # (2n,) B is zero: still the base model
    optimizer = torch.optim.AdamW((each for each in policy.parameters() if each.requires_grad), LEARNING_RATE)
    losses = []
    for _ in range(steps):
        loss = dpo(log_probs(policy, batch), reference, beta).loss.mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        after = log_probs(policy, batch)
        found = dpo(after, reference, beta)
    losses.append(float(found.loss.mean()))
    rewards = torch.cat([found.chosen, found.rejected])
    n = len(rows)

    def side(at: int) -> dict[str, float]:
        values = {"reference": reference, "policy": after, "reward": rewards}
        return {name: float(value[at]) for name, value in values.items()}

    return {
        "command": "step4_finetune dpo",
        "headline": f"{count(steps, 'step')} on {count(n, 'pair')}: loss {losses[0]:.4f} to {losses[-1]:.4f}",
        "model": settings.model,
        "beta": beta,
        "steps": steps,
        "pairs": [
            {
                "id": row.id,
                "chosen": side(i),
                "rejected": side(n + i),
                "margin": float(found.margin[i]),
                "loss": float(found.loss[i]),
                "pull": float(pull(found.margin[i], beta)),
            }
            for i, row in enumerate(rows)
        ],
        "losses": losses,
    }
