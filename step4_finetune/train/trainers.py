"""TRL's trainers, set up by a recipe.

    >>> trainer = sft(Job(model, tokenizer, TrainingData(rows, guide.system), recipe, Path("runs/tone")))
    >>> trainer.train()

Every chosen reply is trained under the guide's `system` message, so the tone depends on it. Unless the
adapter is activated, SFT also trains on general questions without that message, with the base's own answers
(*replay*).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train import rewards
from step4_finetune.train.length_sampler import LengthGroupedSampler
from step4_finetune.train.recipe import Recipe, Stage
from step4_finetune.train.training_data import TrainingData


@dataclass(frozen=True)
class Job:
    """A training run: model, data and recipe; checkpoints go to `out`."""

    model: Any
    tokenizer: PreTrainedTokenizerFast
    data: TrainingData
    recipe: Recipe
    out: Path
    report_to: str = "none"
    callbacks: Sequence[Any] = ()

    def parts(self) -> dict[str, Any]:
        """The arguments that all trainers take."""
        callbacks = list(self.callbacks)
        return {"model": self.model, "processing_class": self.tokenizer, "callbacks": callbacks}

    def config(self, kind: Any, stage: Stage, **own: Any) -> Any:
        """TRL's configuration `kind` from the recipe, with a method's `own` arguments.

        Training uses one device, although Trainer would spread a batch over all GPUs (DataParallel).
        """
        args = kind(
            output_dir=str(self.out),
            num_train_epochs=stage.epochs,
            per_device_train_batch_size=stage.batch_size,
            gradient_accumulation_steps=stage.accumulate,
            learning_rate=stage.learning_rate,
            lr_scheduler_type=stage.scheduler,
            warmup_steps=stage.warmup_steps,
            weight_decay=stage.weight_decay,
            seed=self.recipe.seed,
            use_cpu=self.model.device.type == "cpu",
            bf16=False,  # no autocast, which would cast the weights at every step
            gradient_checkpointing=False,
            logging_steps=1,
            logging_nan_inf_filter=False,  # log a NaN loss as it is
            save_strategy="steps" if stage.save_steps else "epoch",
            save_steps=stage.save_steps or 500,
            save_total_limit=1,
            report_to=self.report_to,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            dataloader_num_workers=0,
            **own,
        )
        args._n_gpu = min(args.n_gpu, 1)
        return args


def sft(job: Job) -> Any:
    """TRL's SFTTrainer; the loss counts the replies' tokens only."""
    datasets, trl = quiet_trl()
    stage, data = job.recipe.sft, job.data
    dev = data.dev_tokens(job.tokenizer)
    args = job.config(
        trl.SFTConfig,
        stage,
        max_length=job.recipe.max_length,
        completion_only_loss=True,
        eval_strategy="epoch" if dev else "no",
        per_device_eval_batch_size=stage.batch_size,
    )
    trainer = trl.SFTTrainer(
        args=args,
        train_dataset=datasets.Dataset.from_list(data.tokens(job.tokenizer)),
        eval_dataset=datasets.Dataset.from_list(dev) if dev else None,
        data_collator=data.collator(int(job.tokenizer.pad_token_id)),  # type: ignore[arg-type]
        **job.parts(),
    )
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    sampler = LengthGroupedSampler(lengths, stage.batch_size * stage.accumulate, job.recipe.seed)
    trainer._get_train_sampler = lambda *_: sampler
    return silent(trainer)


def dpo(job: Job) -> Any:
    """TRL's DPOTrainer; the reference is the starting model, its log-probabilities computed beforehand."""
    datasets, trl = quiet_trl()
    job.model.eval()  # the reference without dropout; the trainer switches back
    args = job.config(
        trl.DPOConfig,
        job.recipe.dpo,
        max_length=job.recipe.max_length,
        beta=job.recipe.dpo.beta,
        precompute_ref_log_probs=True,
    )
    rows = datasets.Dataset.from_list(job.data.preferences())
    return silent(trl.DPOTrainer(args=args, train_dataset=rows, **job.parts()))


def grpo(job: Job) -> Any:
    """TRL's GRPOTrainer, with the tone's rules and fidelity as rewards (rewards.py)."""
    datasets, trl = quiet_trl()
    assert job.data.guide
    stage, guide = job.recipe.grpo, job.data.guide
    args = job.config(
        trl.GRPOConfig,
        stage,
        max_steps=stage.steps or -1,
        num_generations=stage.group,
        max_completion_length=stage.reply_tokens,
        temperature=stage.temperature,
        beta=stage.beta,
    )
    rows = datasets.Dataset.from_list(job.data.questions())
    rewarded_by = [rewards.tone(guide), rewards.faithful(guide)]
    return silent(trl.GRPOTrainer(reward_funcs=rewarded_by, args=args, train_dataset=rows, **job.parts()))


TRAINERS = {"sft": sft, "dpo": dpo, "grpo": grpo}


def silent(trainer: Any) -> Any:
    """The trainer without the callback that prints every log to stdout."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


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
