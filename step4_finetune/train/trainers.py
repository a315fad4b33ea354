"""TRL's trainers, set up by a recipe.

    >>> trainer = build(model, tokenizer, TrainingData(rows, guide.system), recipe, Path("runs/tone"))
    >>> trainer.train()

Every chosen reply is trained under the guide's `system` message, so the tone depends on it. Unless the
adapter is activated, SFT also trains on general questions without that message, with the base's own answers
(*replay*).
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, PrinterCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from step4_finetune.data.trl_files import to_trl
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train import rewards
from step4_finetune.train.branches import BranchData, collate
from step4_finetune.train.recipe import Recipe, Stage
from step4_finetune.train.training_data import TrainingData


def build(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    callbacks: Sequence[Any] = (),
) -> Any:
    """TRL's trainer of the recipe's method; checkpoints go to `out`."""
    stage: Stage = getattr(recipe, recipe.method)
    settings = {
        "output_dir": str(out),
        "num_train_epochs": stage.epochs,
        "per_device_train_batch_size": stage.batch_size,
        "gradient_accumulation_steps": stage.accumulate,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.scheduler,
        "warmup_steps": stage.warmup_steps,
        "weight_decay": stage.weight_decay,
        "seed": recipe.seed,
        "use_cpu": model.device.type == "cpu",
        "bf16": False,  # no autocast, which would cast the weights at every step
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # log a NaN loss as it is
        "save_strategy": "steps" if stage.save_steps else "epoch",
        "save_steps": stage.save_steps or 500,
        "save_total_limit": 1,
        "report_to": report_to,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    common = {"model": model, "processing_class": tokenizer, "callbacks": list(callbacks)}
    trainer = METHODS[recipe.method](data, recipe, settings, common)
    trainer.remove_callback(PrinterCallback)  # prints every log to stdout
    return trainer


def sft(data: TrainingData, recipe: Recipe, settings: dict[str, Any], common: dict[str, Any]) -> Any:
    """TRL's SFTTrainer; the loss counts the replies' tokens only."""
    datasets, trl = quiet_trl()
    stage, tokenizer = recipe.sft, common["processing_class"]
    dev = replace(data, rows=data.dev, replay=()).tokens(tokenizer)
    collator = partial(collate, pad=tokenizer.pad_token_id) if isinstance(data, BranchData) else None
    args = trl.SFTConfig(
        **settings,
        max_length=recipe.max_length,
        completion_only_loss=True,
        eval_strategy="epoch" if dev else "no",
        per_device_eval_batch_size=stage.batch_size,
    )
    trainer = trl.SFTTrainer(
        args=one_device(args),
        train_dataset=datasets.Dataset.from_list(data.tokens(tokenizer)),
        eval_dataset=datasets.Dataset.from_list(dev) if dev else None,
        data_collator=collator,  # None: TRL's own
        **common,
    )
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    sampler = ByLength(lengths, stage.batch_size * stage.accumulate, recipe.seed)
    trainer._get_train_sampler = lambda *_: sampler
    return trainer


class ByLength(LengthGroupedSampler):
    """An order of the rows that groups those of similar length, drawn by seed and epoch.

        lengths  [90, 20, 80, 30]        batches of two, padded to their longest
        order    [2, 0, 3, 1]            80 and 90 together, 30 and 20: 10 + 10 tokens of padding
        not      [0, 1, 2, 3]            90 and 20 together, 80 and 30: 70 + 50

    transformers' own draws from torch's global generator, whose state differs after resuming within an
    epoch: some rows would come twice, others not at all.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch, also before the one that it resumes."""
        self.generator = torch.Generator().manual_seed(self.seed * 1000 + epoch)


def dpo(data: TrainingData, recipe: Recipe, settings: dict[str, Any], common: dict[str, Any]) -> Any:
    """TRL's DPOTrainer; the reference is the starting model, its log-probabilities computed beforehand."""
    datasets, trl = quiet_trl()
    common["model"].eval()  # the reference without dropout; the trainer switches back
    args = trl.DPOConfig(
        **settings, max_length=recipe.max_length, beta=recipe.dpo.beta, precompute_ref_log_probs=True
    )
    rows = datasets.Dataset.from_list([to_trl(row, data.system, "dpo") for row in data.pairs])
    return trl.DPOTrainer(args=one_device(args), train_dataset=rows, **common)


def grpo(data: TrainingData, recipe: Recipe, settings: dict[str, Any], common: dict[str, Any]) -> Any:
    """TRL's GRPOTrainer, with the tone's rules and fidelity as rewards (rewards.py)."""
    datasets, trl = quiet_trl()
    assert data.guide
    stage = recipe.grpo
    args = trl.GRPOConfig(
        **settings,
        max_steps=stage.steps or -1,
        num_generations=stage.group,
        max_completion_length=stage.reply_tokens,
        temperature=stage.temperature,
        beta=stage.beta,
    )
    columns = [{"prompt": row.with_system(data.system), **rewards.columns(row)} for row in data.rows]
    rows = datasets.Dataset.from_list(columns)
    rewarded_by = [rewards.tone(data.guide), rewards.faithful(data.guide)]
    return trl.GRPOTrainer(reward_funcs=rewarded_by, args=one_device(args), train_dataset=rows, **common)


METHODS = {"sft": sft, "dpo": dpo, "grpo": grpo}


def one_device(args: Any) -> Any:
    """The trainer's arguments for one device: it would spread a batch over all GPUs (DataParallel)."""
    args._n_gpu = min(args.n_gpu, 1)
    return args


def quiet_trl() -> tuple[Any, Any]:
    """datasets and TRL without their progress bars, and with TRL's loss scoring the replies' tokens only.

    TRL skips masked tokens only on GPUs. On a processor, the prompts' log-probabilities over the whole
    vocabulary would be half of the work, and are then discarded. The name is private: without it the result
    is the same, and slower.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    quiet_peft()
    import datasets
    import trl
    from trl.trainer import utils

    datasets.disable_progress_bars()
    untyped: Any = utils
    untyped._use_triton = lambda _device: True  # decides only which positions are scored
    return datasets, trl
