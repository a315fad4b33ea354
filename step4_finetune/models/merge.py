"""Adapters merged into their base: computed in float32, with one plain model as the result.

    >>> model = merged(settings, Path("runs/tone"))      # in memory, in the dtype of the settings
    >>> save(settings, Path("runs/tone"), Path("tone"))  # a folder: bf16 safetensors, config, tokenizer

W' = W + B A alpha / r is computed in float32 and rounded once, to bf16. For QLoRA, W is the four-bit base
that the adapter was trained on, unpacked: the adapter has learnt to correct its rounding, so with the exact
weights it would be another model (on our rows, 44 % of the replies would be faithful, instead of 76 %).

An adapter names its base. PEFT records the folder that the base was loaded from, which means nothing on
another machine: `stamp` writes the hub's name instead.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from shared import models
from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError, reason
from shared.models import weights
from shared.models.device import choose_device, choose_dtype
from step4_finetune.models import invocation
from step4_finetune.models.qlora import load_in_4bit
from step4_finetune.models.quiet import quiet_peft

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def base_name(settings: Settings) -> str:
    """The name of the settings' model in an adapter: its hub repository, or else the name it was given."""
    spec = lookup(settings.model)
    return spec.hub.repo if spec.hub else settings.model


def is_full_model(folder: Path) -> bool:
    """Whether the folder holds a whole model and no adapter."""
    return (folder / "config.json").is_file() and not (folder / CONFIG).is_file()


def stamp(settings: Settings, adapter: Path, invocation_tokens: list[int] | None = None) -> None:
    """Record the base by its name, and the tokens that activate the adapter.

    Call it after the adapter is saved: before, PEFT would look the name up on the hub.
    """
    path = adapter / CONFIG
    config = {**read_config(adapter), "base_model_name_or_path": base_name(settings)}
    if invocation_tokens:
        config[invocation.KEY] = invocation_tokens
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(adapter: Path) -> dict[str, Any]:
    """An adapter's configuration.

    Raises:
        UserError: the folder holds no adapter, a damaged one, or one that is not a LoRA.
    """
    for name in (CONFIG, WEIGHTS):
        if not (adapter / name).is_file():
            raise UserError(
                f"{adapter} is not an adapter: it has no {name} (name the folder of a finished run)"
            )
    try:
        config: dict[str, Any] = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
        kind = config["peft_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{adapter / CONFIG} is damaged ({reason(error)}): train again, or copy it again"
        ) from None
    if kind != "LORA":
        raise UserError(f"{adapter} is an adapter of kind {kind}: only LORA is merged here")
    return config


def invocation_of(adapter: Path) -> list[int] | None:
    """The tokens that activate an adapter; None for one that is always active, and for a whole model.

    Raises:
        UserError: as in `read_config`.
    """
    return None if is_full_model(adapter) else read_config(adapter).get(invocation.KEY)


def trained_in_4bit(adapter: Path) -> bool:
    """Whether the adapter comes from QLoRA, by the run.json in its folder."""
    try:
        facts = json.loads((adapter / "run.json").read_text(encoding="utf-8"))
        return bool(facts["recipe"]["tuning"] == "qlora")
    except (OSError, ValueError, KeyError, TypeError):
        return False  # an adapter from elsewhere


def check(settings: Settings, adapter: Path) -> None:
    """Check that a run's folder is complete, and its adapter made for the base of the settings, which it may
    name by its folder.

    Raises:
        UserError: there is no run, it is damaged, or it has another base; names that base.
    """
    if not adapter.is_dir():
        raise UserError(
            f"there is no run in {adapter}: `python -m step4_finetune train --out {adapter}` makes one"
        )
    if is_full_model(adapter):
        return
    named = str(read_config(adapter).get("base_model_name_or_path") or "")
    spec = lookup(settings.model)
    if named in ("", settings.model, spec.id, base_name(settings)):
        return
    folder = weights.ensure(settings.model, settings)
    if spec.id.replace("/", "--") not in Path(named).parts and Path(named).absolute() != folder.absolute():
        raise UserError(
            f"{adapter} was trained on {named}, not on {settings.model}: choose the base with --model, "
            "or train an adapter for this one"
        )


def named(adapters: Sequence[Path], taken: Collection[str]) -> dict[str, Path]:
    """The folders of runs by their names; a name of two runs, or in `taken`, gets its parent's before it."""
    folders = {each.resolve(): each for each in adapters}
    names = [*taken, *(folder.name for folder in folders)]
    return {
        folder.name if names.count(folder.name) == 1 else f"{folder.parent.name}/{folder.name}": each
        for folder, each in folders.items()
    }


def merged(settings: Settings, adapter: Path, dtype: str | None = None) -> PreTrainedModel:
    """The base with the adapter added, in eval mode: a plain transformers model of `dtype` (the settings').

    The folder of a run that trained every weight (`tuning: full`) is loaded as it is.

    Raises:
        UserError: as in `check`; the adapter doesn't fit; one of QLoRA needs bitsandbytes.
    """
    check(settings, adapter)
    if is_full_model(adapter):
        full = settings.model_copy(update={"model": str(adapter)})
        return models.load_causal_lm(settings=full, dtype=dtype)
    adapted = with_adapter(settings, _base(settings, adapter, "float32"), adapter, always_active=True)
    try:
        plain: Any = adapted.merge_and_unload(safe_merge=True)  # safe: refuses NaN
    except ValueError as error:
        raise UserError(f"{adapter} cannot be merged into {settings.model}: {reason(error)}") from None
    device = choose_device(settings.device)
    return plain.to(choose_dtype(dtype or settings.dtype, device)).eval()


def load_tuned(settings: Settings, adapter: Path) -> Any:
    """The model of a run's folder, with its adapter merged. An activated adapter stays beside its base, where
    PEFT looks for its invocation in every prompt.

    Raises:
        UserError: as in `merged`.
    """
    check(settings, adapter)
    if not invocation_of(adapter):
        return merged(settings, adapter)
    return with_adapter(settings, _base(settings, adapter, settings.dtype), adapter)


def _base(settings: Settings, adapter: Path, dtype: str) -> PreTrainedModel:
    """The weights that the adapter was trained on: those of the model, or its four-bit ones, unpacked."""
    if not trained_in_4bit(adapter):
        return models.load_causal_lm(settings=settings, dtype=dtype)
    packed: Any = load_in_4bit(settings.model_copy(update={"dtype": dtype}))
    unpacked: PreTrainedModel = packed.dequantize()
    return unpacked


def with_adapter(
    settings: Settings, base: Any, adapter: Path, *, always_active: bool = False, trainable: bool = False
) -> Any:
    """The base with a checked adapter beside its weights, a PeftModel; in eval mode unless it is trainable.

    Raises:
        UserError: the adapter does not fit the base, or its weights are damaged.
    """
    peft = quiet_peft()
    config = peft.PeftConfig.from_pretrained(str(adapter))
    config.base_model_name_or_path = base.name_or_path  # PEFT would look for a name on the hub when it saves
    if always_active:
        setattr(config, invocation.KEY, None)
    options = {"is_trainable": trainable, "autocast_adapter_dtype": not trainable}
    device = str(base.device)
    try:
        return peft.PeftModel.from_pretrained(base, adapter, config=config, torch_device=device, **options)
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise UserError(f"{adapter} does not fit {settings.model}: {reason(error)}") from None


def save(settings: Settings, adapter: Path, out: Path) -> None:
    """Write the merged model to a folder.

    Raises:
        UserError: as in `merged`.
        OSError, SafetensorError: it can't be written.
    """
    model = merged(settings, adapter, dtype="bfloat16")
    model.config._name_or_path = model.config.name_or_path = base_name(settings)
    model.save_pretrained(out)
    models.load_tokenizer(settings=settings).save_pretrained(out)
