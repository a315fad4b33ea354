"""TRL's trainers, set up by a recipe: what is learnt, from what, and with which arguments.

    >>> trainer = sft(model, tokenizer, TrainingData(rows, guide.system), recipe, Path("runs/tone"))
    >>> trainer.train()

The tone is tied to a system message: every chosen reply is trained under the guide's `system`. Where what is
trained will always be at work (models/invocation.py says when it is not), general questions without it and
with the base model's own answers (*replay*) keep the model what it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train.length_sampler import LengthGroupedSampler
from step4_finetune.train.recipe import Recipe, Stage
from step4_finetune.train.training_data import TrainingData

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from step4_finetune.train.branches import BranchData


def arguments(model: Any, stage: Stage, recipe: Recipe, out: Path, report_to: str) -> dict[str, Any]:
    """What TRL's configs share, from the recipe; the model stays on its device."""
    return {
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
        "bf16": False,  # the weights are bf16 where that is fast; autocast would cast them at every step
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # or a loss that is no number would be logged as one
        "save_strategy": "steps" if stage.save_steps else "epoch",
        "save_steps": stage.save_steps or 500,
        "save_total_limit": 1,
        "report_to": report_to,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "dataloader_num_workers": 0,
    }


def sft(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData | BranchData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    **more: Any,
) -> Any:
    """TRL's SFTTrainer; the loss counts the tokens of the replies only."""
    datasets, trl = quiet_trl()
    dev = data.dev_tokens(tokenizer) if isinstance(data, TrainingData) else []
    args = trl.SFTConfig(
        **arguments(model, recipe.sft, recipe, out, report_to),
        max_length=recipe.max_length,
        completion_only_loss=True,
        eval_strategy="epoch" if dev else "no",
        per_device_eval_batch_size=recipe.sft.batch_size,
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=alone(args),
        train_dataset=datasets.Dataset.from_list(data.tokens(tokenizer)),
        eval_dataset=datasets.Dataset.from_list(dev) if dev else None,
        processing_class=tokenizer,
        data_collator=data.collator(model, int(tokenizer.pad_token_id)),  # type: ignore[arg-type]
        **more,
    )
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    together = recipe.sft.batch_size * recipe.sft.accumulate  # rows of one step
    trainer._get_train_sampler = lambda *_: LengthGroupedSampler(lengths, together, recipe.seed)
    return silent(trainer)


def dpo(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    **more: Any,
) -> Any:
    """TRL's DPOTrainer; the reference is the model as it comes in, its log-probabilities computed before."""
    datasets, trl = quiet_trl()
    args = trl.DPOConfig(
        **arguments(model, recipe.dpo, recipe, out, report_to),
        max_length=recipe.max_length,
        beta=recipe.dpo.beta,
        loss_type=list(recipe.dpo.loss),
        loss_weights=recipe.dpo.loss_weights,
        precompute_ref_log_probs=True,
    )
    trainer = trl.DPOTrainer(
        model=model.eval(),  # the reference without dropout; `train` puts it back
        args=alone(args),
        train_dataset=datasets.Dataset.from_list(data.preferences()),
        processing_class=tokenizer,
        **more,
    )
    return silent(trainer)


def grpo(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    **more: Any,
) -> Any:
    """TRL's GRPOTrainer, rewarded by the tone's rules and by fidelity (rewards.py)."""
    from step4_finetune.train import rewards

    assert data.guide  # training_data.prepare sees to it
    datasets, trl = quiet_trl()
    stage = recipe.grpo
    args = trl.GRPOConfig(
        **arguments(model, stage, recipe, out, report_to),
        max_steps=stage.steps or -1,
        num_generations=stage.group,
        max_completion_length=stage.reply_tokens,
        temperature=stage.temperature,
        beta=stage.beta,
    )
    trainer = trl.GRPOTrainer(
        model=model,
        reward_funcs=[rewards.tone(data.guide), rewards.faithful(data.guide)],
        args=alone(args),
        train_dataset=datasets.Dataset.from_list(data.questions()),
        processing_class=tokenizer,
        **more,
    )
    return silent(trainer)


def score_replies_only() -> None:
    """Leave the tokens that are not to be learnt out of the head.

    TRL does so on GPUs only. On a processor, the prompts' log-probabilities over the whole vocabulary would
    be half of the work, thrown away in the next line. The name is private: where it is gone, nothing is lost
    but time.
    """
    from trl.trainer import utils

    inside: Any = utils  # where the name decides nothing else than which positions are scored
    inside._use_triton = lambda _device: True


def alone(args: Any) -> Any:
    """One process, one device: the Trainer would spread a batch over all GPUs that it sees (DataParallel)."""
    args._n_gpu = min(args.n_gpu, 1)
    return args


def silent(trainer: Any) -> Any:
    """Without the callback that prints every log to stdout."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def quiet_trl() -> tuple[Any, Any]:
    """datasets and TRL, their bars off."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    quiet_peft()
    import datasets
    import trl

    datasets.disable_progress_bars()
    score_replies_only()
    return datasets, trl
