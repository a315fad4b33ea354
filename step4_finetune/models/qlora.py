"""QLoRA: frozen weights in four bits, adapters in sixteen, and a trap.

    w      = [ .028  -.012  .055 ... ]     64 weights in a row share one scale, their largest: .055
    nf4    = [  13      5     15 ... ]     the nearest of 16 levels, denser where a normal curve is higher
    w'     = [ .031  -.010  .055 ... ]     level * scale: half a byte each, 4.13 bits with the scales

    model = load_in_4bit(settings)                     # transformers' model, bitsandbytes' Linear4bit in it
    model = get_peft_model(model, LoraConfig(...))

The trap: on a processor with AVX-512 bf16, a forward pass without gradients packs the four-bit weights for a
faster kernel without a backward pass: training then runs, prints a loss, and changes nothing.
`differentiable` switches that kernel off before the first forward pass, and `check_gradients` finds whatever
else keeps adapters from learning. Source of the method: Dettmers et al. 2023, arXiv 2305.14314.
"""

from importlib.util import find_spec
from typing import Any

import torch
from transformers import PreTrainedModel

from shared import models
from shared.config import Settings
from shared.errors import UserError
from shared.models.device import choose_device, choose_dtype
from step4_finetune.models.quiet import quiet_peft


def load_in_4bit(settings: Settings) -> PreTrainedModel:
    """The settings' model with its linear layers in nf4, frozen, ready for adapters.

    The scales are quantised, too (double quantisation); products are computed in the dtype of the settings.

    Raises:
        UserError: bitsandbytes is not installed, or doesn't support the device.
    """
    if find_spec("bitsandbytes") is None:
        raise UserError("QLoRA needs bitsandbytes: pip install .[bitsandbytes], or take another recipe")
    device = choose_device(settings.device)
    if device not in ("cpu", "cuda"):
        raise UserError(f"QLoRA runs on cpu and cuda, not on {device}: take another recipe there")
    quiet_peft()
    from transformers import BitsAndBytesConfig

    dtype = choose_dtype(settings.dtype, device)
    model = models.load_causal_lm(
        settings=settings,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        ),
        device_map={"": device},
    )
    model.requires_grad_(False)
    differentiable(model)
    return model


def differentiable(model: torch.nn.Module) -> None:
    """Keep the four-bit layers on the kernel that has a backward pass; call it before any forward pass."""
    for layer in four_bit(model):
        layer.support_avx512bf16_for_cpu = False


def four_bit(model: torch.nn.Module) -> list[Any]:
    """The layers of the model whose weights are four-bit."""
    from bitsandbytes.nn import Linear4bit

    return [each for each in model.modules() if isinstance(each, Linear4bit)]


def check_gradients(model: torch.nn.Module) -> None:
    """Check, after a backward pass, that every trainable parameter got a gradient.

    None means that the loss doesn't depend on the parameter. Zeros are fine as long as some are not zero:
    LoRA's A gets zeros in the first step, since B is zero.

    Raises:
        UserError: some have none, or all are zero.
    """
    trainable = {name: each for name, each in model.named_parameters() if each.requires_grad}
    without = [name for name, each in trainable.items() if each.grad is None]
    if not without and not any(bool(each.grad.any()) for each in trainable.values() if each.grad is not None):
        without = list(trainable)
    if without:
        raise UserError(
            f"{len(without)} of {len(trainable)} trainable tensors get no gradient ({without[0]}): nothing "
            "would be learnt there; with four-bit weights, load the model again, and use it only to train"
        )
