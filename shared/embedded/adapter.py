"""A LoRA adapter on a loaded model, such as the one for tool calls; it can be switched on for each request.

    >>> adapter = Adapter.load(TOOLS, model)
    >>> with adapter.on():
    ...     model(ids)      # y = x Wᵀ + alpha / r · (x Aᵀ) Bᵀ in every layer that the adapter changes
    >>> model(ids)          # exactly the base model

`python -m step4_finetune train --recipe tools` makes such a folder, in PEFT's format.

Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from shared.errors import UserError, reason

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

TOOLS = Path(__file__).with_name("adapters") / "tools"
AGENT = Path(__file__).with_name("adapters") / "agent"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PROTOCOL = "protocol.json"  # beside the weights, of an adapter that was trained to call tools again
A_SUFFIX = ".lora_A.weight"
B_SUFFIX = ".lora_B.weight"


class Adapter:
    """Pairs of small matrices, one pair for each linear layer that the adapter changes."""

    def __init__(self) -> None:
        self.active = False

    @classmethod
    def load(cls, folder: Path, model: PreTrainedModel, base: str | None = None) -> Adapter:
        """Read a folder and attach the adapter to the model, switched off.

        `base` is the model's name on the hub, if it has one.

        Raises:
            UserError: the folder has no adapter, a damaged one, or one for another model.
        """
        from safetensors.torch import load_file  # here, because it imports torch

        scale = _read_scale(folder, base)
        try:
            tensors = load_file(folder / WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise UserError(f"the adapter {folder / WEIGHTS} is damaged: {reason(error)}") from None
        adapter = cls()
        layers = dict(model.named_modules())
        names = sorted(name for name in tensors if name.endswith(A_SUFFIX))
        for name in names:
            path = name.removesuffix(A_SUFFIX)
            layer: Any = layers.get(path.removeprefix("base_model.model."))
            weight = getattr(layer, "weight", None)  # (out, in)
            a = tensors[name]  # (r, in)
            b = tensors.get(path + B_SUFFIX)  # (out, r)
            if weight is None or b is None or (b.shape[0], a.shape[1]) != tuple(weight.shape):
                raise UserError(f"the adapter {folder} is for another model: {name} does not fit this one")
            layer.register_forward_hook(adapter._hook(a.to(weight), (scale * b).to(weight)))
        return adapter

    def _hook(self, a: torch.Tensor, b: torch.Tensor) -> Any:
        """A hook that adds x Aᵀ Bᵀ to a layer's output; a: (r, in), b: (out, r), already scaled."""
        from torch.nn.functional import linear  # torch is loaded with the model, not with this module

        def add(_layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
            return output + linear(linear(inputs[0], a), b) if self.active else None

        return add

    @contextmanager
    def on(self, active: bool = True) -> Iterator[None]:
        """Use the adapter inside the `with` block. Not thread-safe."""
        self.active = active
        try:
            yield
        finally:
            self.active = False


def calls_again(folder: Path) -> bool:
    """Whether the adapter in a folder was trained to call tools again after their results."""
    try:
        protocol = json.loads((folder / PROTOCOL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(protocol, dict) and protocol.get("calls_again") is True


def write_protocol(folder: Path) -> None:
    """Note beside an adapter's weights that it was trained to call tools again."""
    (folder / PROTOCOL).write_text(json.dumps({"calls_again": True}) + "\n", encoding="utf-8")


def _read_scale(folder: Path, base: str | None) -> float:
    """alpha / r, from the adapter's config.

    Raises:
        UserError: there is no adapter, it is not a LoRA, or it was trained on another model.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["peft_type"] != "LORA":
            raise UserError(f"the adapter {folder} is of kind {config['peft_type']}: it must be a LORA")
        trained_on = config.get("base_model_name_or_path")
        if base and trained_on and trained_on != base:
            raise UserError(f"the adapter {folder} is for another model: {trained_on}, not {base}")
        return float(config["lora_alpha"]) / float(config["r"])
    except OSError as error:
        raise UserError(f"there is no adapter in {folder}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"the adapter {folder / CONFIG} is damaged: {reason(error)}") from None
