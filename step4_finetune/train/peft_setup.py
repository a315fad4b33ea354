"""The weights to train: adapters on the last layers (LoRA), the same on a 4-bit base (QLoRA), or all weights.

>>> model = prepare(settings, recipe)
>>> model.print_trainable_parameters()
trainable params: 2,930,688 || all params: 137,445,696 || trainable%: 2.1323
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, set_seed

from shared.config import Settings
from shared.errors import UserError
from shared.models import load_causal_lm
from step4_finetune.models import merge
from step4_finetune.models.qlora import load_in_4bit
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train.recipe import Recipe

if TYPE_CHECKING:
    from peft import LoraConfig


def prepare(settings: Settings, recipe: Recipe, start: Path | None = None) -> Any:
    """The settings' model, set up for the recipe: a PeftModel, or the model itself for full tuning.

    With `start`, the adapter of an earlier run is trained further, in its own shape.

    Raises:
        UserError: the model lacks one of the targets, or the start doesn't fit.
    """
    base = load_in_4bit(settings) if recipe.tuning == "qlora" else load_causal_lm(settings=settings)
    base.config.use_cache = False
    if recipe.tuning == "full":
        base.requires_grad_(True)
        return base
    if start:
        return merge.with_adapter(settings, base, start, always_active=True, trainable=True)
    peft = quiet_peft()
    set_seed(recipe.seed)  # of the random matrices A
    return peft.get_peft_model(base, lora_config(base, recipe), autocast_adapter_dtype=False)


def lora_config(model: PreTrainedModel, recipe: Recipe) -> LoraConfig:
    """PEFT's configuration of the recipe's adapter for this model.

    Raises:
        UserError: the model lacks one of the targets.
    """
    from peft import LoraConfig

    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    missing = [target for target in recipe.lora.targets if target not in names]
    if missing:
        linear = sorted(name for name in names if name.endswith("_proj"))
        raise UserError(
            f"lora.targets: the model has no {', '.join(missing)}: use some of {', '.join(linear)}"
        )
    depth = model.config.num_hidden_layers
    first = max(0, depth - (recipe.lora.last_layers or depth))  # the layers below it are frozen
    return LoraConfig(
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.lora.dropout,
        target_modules=recipe.lora.targets,
        layers_to_transform=list(range(first, depth)) if first else None,
        task_type="CAUSAL_LM",
    )
