"""Train the reader: a LoRA on MiniLM's layers and the two heads, with transformers' Trainer.

    $ python -m step4_finetune train --recipe reader --out runs/reader

The run's folder gets `reader.safetensors` (what step 3 loads), `run.json`, `log.jsonl` and `loss.png`. Ctrl-C
writes a checkpoint, and the same command goes on from it.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, PrinterCallback, Trainer, TrainingArguments

from shared import hardware
from shared.catalog import default
from shared.config import Settings
from shared.errors import UserError, reason
from shared.models import load_encoder
from shared.models.load import load_fast_tokenizer
from shared.progress import count_bar
from shared.reader.window import Window
from step4_finetune.data.files import digest, write_rows
from step4_finetune.reading.data import Example
from step4_finetune.reading.model import Batch, ReaderModel, loss
from step4_finetune.train import callbacks, folder
from step4_finetune.train.malloc import keep_memory
from step4_finetune.train.recipe import Recipe, read_recipe
from step4_finetune.train.run import stop_on_ctrl_c
from step4_finetune.train.trainers import ByLength, one_device

FILE = "reader.safetensors"


@dataclass(frozen=True)
class Labelled:
    """A window, and the places that are right: "not here" is place 0, the first sentence place 1."""

    window: Window
    right: list[int]


def labelled(example: Example, tokenizer: Tokenizer) -> Labelled | None:
    """An example as the model reads it; None if its answer is cut off by the window.

    A place that the window lacks must not be left in the loss: its masked score would make the loss explode.
    """
    window = Window.of(tokenizer, example.question, example.title, example.passage)
    if example.answer is None:
        return Labelled(window, [0])
    sentence = window.sentence_at(*example.answer)
    if sentence is None:
        return None
    return Labelled(window, [1 + sentence])


def collate(rows: Sequence[Labelled]) -> dict[str, Any]:
    """A batch, and `right`: (batch, 1 + sentences) bool."""
    batch = Batch.of([row.window for row in rows])
    right = torch.zeros(len(rows), 1 + batch.exists.shape[1], dtype=torch.bool)
    for i, row in enumerate(rows):
        right[i, row.right] = True
    return {"batch": batch, "right": right}


class ReaderTrainer(Trainer):
    """transformers' Trainer with the reader's loss."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,  # noqa: ARG002
    ) -> Any:
        """The loss of a batch of `collate`."""
        device = next(model.parameters()).device
        scores = model(inputs["batch"].to(device))
        result = loss(scores, inputs["right"].to(device))
        return (result, {"scores": scores}) if return_outputs else result


def build_model(settings: Settings, recipe: Recipe) -> ReaderModel:
    """MiniLM with the recipe's LoRA, and new heads."""
    torch.manual_seed(recipe.seed)
    encoder: Any = load_base(settings)
    lora = recipe.lora
    config = LoraConfig(
        r=lora.r,
        lora_alpha=int(lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        exclude_modules=["pooler.dense"],  # not used
    )
    return ReaderModel(get_peft_model(encoder, config))


def load_base(settings: Settings) -> Any:
    """MiniLM in float32; in a smoke run, a random BERT of one layer."""
    if settings.embedder == default("smoke").id:
        size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
        return BertModel(BertConfig(vocab_size=1000, **size))
    return load_encoder(settings=settings.model_copy(update={"dtype": "float32"}))


def run(
    settings: Settings,
    recipe: Recipe,
    examples: Sequence[Example],
    out: Path,
    report_to: str = "none",
    *,
    fresh: bool,
) -> dict[str, Any]:
    """Train, or go on with a stopped run, and save to `out`.

    Raises:
        UserError: `out` holds a finished or another run.
        KeyboardInterrupt: by Ctrl-C, with a checkpoint.
    """
    on = {
        "recipe": recipe.model_dump(),
        "model": settings.embedder,
        "data": digest((asdict(example) for example in examples), sort_keys=True),
    }
    folder.check(out, on, fresh=fresh)
    keep_memory()
    tokenizer = load_fast_tokenizer(settings.embedder, settings)
    rows = [row for row in (labelled(example, tokenizer) for example in examples) if row]
    model = build_model(settings, recipe)
    with folder.begin(out, on, fresh=fresh):
        began = time.perf_counter()
        history = _train(model, rows, recipe, out, report_to)
        seconds = round(time.perf_counter() - began, 1)
        trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
        facts = {
            "command": "step4_finetune train",
            "headline": f"{recipe.name}: {trainable:,} weights trained in {seconds:.0f} s",
            "recipe": recipe.model_dump(),
            "model": settings.embedder,
            "trainable": trainable,
            "parameters": sum(each.numel() for each in model.parameters()),
            "rows": len(rows),
            "pairs": 0,
            "data": on["data"],
            "dtype": "bfloat16 autocast",
            "loss": [row["loss"] for row in history if "loss" in row][-1:],
            "seconds": seconds,
            "peak_memory_mb": round(hardware.peak_memory_mb()),
            "machine": hardware.describe(),
        }
        save(model, recipe, settings.embedder, out / FILE)
        callbacks.draw(history, out / "loss.png")
        (out / "run.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
    return facts


def _train(
    model: ReaderModel, rows: Sequence[Labelled], recipe: Recipe, out: Path, report_to: str
) -> list[dict[str, float]]:
    """Train; returns the loss of each step."""
    stage = recipe.sft
    checkpoints = out / "checkpoints" / "reader"
    args = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=stage.epochs,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.scheduler,
        warmup_steps=stage.warmup_steps,
        weight_decay=stage.weight_decay,
        seed=recipe.seed,
        use_cpu=next(model.parameters()).device.type == "cpu",
        bf16=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=stage.save_steps or 500,
        save_total_limit=1,
        report_to=report_to,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    with count_bar(f"training {out.name}") as bar:
        callback = callbacks.TrainingCallback("reader", bar)
        with stop_on_ctrl_c(callback):
            windows: Any = list(rows)  # any sequence does
            trainer: Any = ReaderTrainer(
                model=model,
                args=one_device(args),
                train_dataset=windows,
                data_collator=collate,
                callbacks=[callback],
            )
            trainer.remove_callback(PrinterCallback)
            sampler = ByLength([len(row.window.ids) for row in rows], stage.batch_size, recipe.seed)
            trainer._get_train_sampler = lambda *_: sampler
            trainer.train(resume_from_checkpoint=folder.last_checkpoint(checkpoints))
    history = [row for row in trainer.state.log_history if "loss" in row]
    write_rows(out / "log.jsonl", history)
    if callback.stopped:
        message = (
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, with a checkpoint"
        )
        print(f"{message} in {checkpoints}: the same command continues from there", file=sys.stderr)
        raise KeyboardInterrupt(message)
    return history


def save(model: ReaderModel, recipe: Recipe, base: str, path: Path) -> None:
    """Write what step 3 loads: A and B of every layer in float16, and the heads.

    encoder.layer.0.attention.self.query.A   (r, inputs)
    encoder.layer.0.attention.self.query.B   (outputs, r); the change is alpha / r * B @ A
    scale ()   sentence.weight (1, 384)   sentence.bias (1,)   nowhere.weight   nowhere.bias
    """
    tensors = {}
    for name, value in model.state_dict().items():
        stored = stored_name(name)
        if stored:
            dtype = torch.float32 if stored == name else torch.float16  # heads, A and B
            tensors[stored] = value.to(dtype).contiguous()
    rank_scale = recipe.lora.alpha / recipe.lora.r
    save_file(tensors, path, metadata={"base": base, "rank_scale": str(rank_scale)})


def stored_name(name: str) -> str | None:
    """What `save` calls a tensor of the model; None for MiniLM's own, which are not saved.

    >>> stored_name("encoder.base_model.model.encoder.layer.0.output.dense.lora_A.default.weight")
    'encoder.layer.0.output.dense.A'
    >>> stored_name("sentence.bias")
    'sentence.bias'
    """
    if "lora_" in name:
        layer, _, which = name.removeprefix("encoder.base_model.model.").partition(".lora_")
        return f"{layer}.{which[0]}"
    return None if name.startswith("encoder.") else name


def load(settings: Settings, path: Path) -> ReaderModel:
    """The reader in a file that `save` wrote, in eval mode.

    Raises:
        UserError: the file can't be read, or doesn't fit the recipe `reader`.
    """
    model = build_model(settings, read_recipe("reader"))
    try:
        tensors = load_file(path)
        state = model.state_dict()
        for name in state:
            stored = stored_name(name)
            if stored:
                state[name] = tensors[stored].float()
        model.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"the reader {path} cannot be loaded: {reason(error)}") from None
    return model.eval()
