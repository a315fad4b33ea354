"""TRL's trainers, set up by a recipe: what is learnt, from what, and with which arguments.

    >>> trainer = sft(model, tokenizer, TrainingData(rows, guide.system), recipe, Path("runs/tone"))
    >>> trainer.train()

The tone is tied to a system message: every chosen reply is trained under the guide's `system`. Where what is
trained will always be at work (models/invocation.py says when it is not), general questions without it and
with the base model's own answers (*replay*) keep the model what it was. run.py puts the stages together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from step4_finetune.data.rows import Row, fingerprint
from step4_finetune.models.quiet import quiet_peft
from step4_finetune.train import distributed
from step4_finetune.train.length_sampler import LengthGroupedSampler
from step4_finetune.train.recipe import Recipe, Stage
from step4_finetune.train.replay import Replay

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from step4_finetune.tone.rules import Guide
    from step4_finetune.train.branches import BranchData


@dataclass(frozen=True)
class TrainingData:
    """What is to be learnt: rows of the train split, their system message, replay examples, pairs for DPO."""

    rows: Sequence[Row]
    system: str
    replay: Sequence[Replay] = ()  # what the base model says by itself
    pairs: Sequence[Row] = ()  # rows with a rejected reply, see data/negatives.py
    start: Path | None = None  # an earlier run whose adapter goes on learning
    guide: Guide | None = None  # for GRPO, whose rewards are its rules
    dev: Sequence[Row] = ()  # their loss is measured once an epoch, and nothing learnt from them

    def demonstrations(self) -> list[dict[str, Any]]:
        """For SFT, in TRL's conversational prompt-completion format; without replay."""
        return [
            {"prompt": row.with_system(self.system), "completion": [_assistant(row.chosen)]}
            for row in self.rows
        ]

    def tokens(self, tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
        """For SFT, as TRL would tokenise rows and replay: ids, and a mask of what is to be learnt.

        Done here because replay mixes chats, texts, and answers without an end, for which TRL has no format.
        """
        return self._masked(tokenizer, self.rows) + [_mask(*each.encode(tokenizer)) for each in self.replay]

    def dev_tokens(self, tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
        """The same of the dev rows, without replay."""
        return self._masked(tokenizer, self.dev)

    def _masked(self, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]) -> list[dict[str, Any]]:
        render: Any = tokenizer.apply_chat_template
        found = []
        for row in rows:
            prompt = row.with_system(self.system)
            ids = render([*prompt, _assistant(row.chosen)], return_dict=False)
            found.append(_mask(ids, len(render(prompt, add_generation_prompt=True, return_dict=False))))
        return found

    def questions(self) -> list[dict[str, Any]]:
        """For GRPO: prompts, and what the rewards need."""
        return [
            {"prompt": row.with_system(self.system), "notes": list(row.notes), "message": row.message}
            for row in self.rows
        ]

    def fingerprint(self) -> str:
        """A short hash of the rows and pairs."""
        return fingerprint([*self.rows, *self.pairs])

    def lengths(self, tokenizer: PreTrainedTokenizerFast) -> list[tuple[str, int, int]]:
        """Id of each row, tokens of its conversation, and how many of them are to be learnt."""
        render: Any = tokenizer.apply_chat_template
        counted = []
        for row in [*self.rows, *self.pairs]:
            prompt = row.with_system(self.system)
            asked = len(render(prompt, add_generation_prompt=True, return_dict=False))
            for text in filter(None, (row.chosen, row.rejected)):
                whole = len(render([*prompt, _assistant(text)], return_dict=False))
                counted.append((row.id, whole, whole - asked))
        return counted

    def collator(self, _model: Any, _pad: int) -> None:
        """TRL's own makes the batches."""

    def preferences(self) -> list[dict[str, Any]]:
        """For DPO, in TRL's conversational preference format."""
        return [
            {
                "prompt": row.with_system(self.system),
                "chosen": [_assistant(row.chosen)],
                "rejected": [_assistant(row.rejected)],
            }
            for row in self.pairs
            if row.rejected
        ]


def _mask(ids: list[int], asked: int) -> dict[str, Any]:
    """Token ids with a mask: 0 for what is asked, 1 for what is to be learnt."""
    return {"input_ids": ids, "completion_mask": [0] * asked + [1] * (len(ids) - asked)}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


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
        "ddp_find_unused_parameters": False,
    }


def sft(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    lesson: TrainingData | BranchData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    **more: Any,
) -> Any:
    """TRL's SFTTrainer; the loss counts the tokens of the replies only."""
    datasets, trl = quiet_trl()
    dev = lesson.dev_tokens(tokenizer) if isinstance(lesson, TrainingData) else []
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
        train_dataset=datasets.Dataset.from_list(lesson.tokens(tokenizer)),
        eval_dataset=datasets.Dataset.from_list(dev) if dev else None,
        processing_class=tokenizer,
        data_collator=lesson.collator(model, int(tokenizer.pad_token_id)),  # type: ignore[arg-type]
        **more,
    )
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    together = recipe.sft.batch_size * recipe.sft.accumulate * distributed.count()  # in one step
    trainer._get_train_sampler = lambda *_: LengthGroupedSampler(lengths, together, recipe.seed)
    return silent(trainer)


def dpo(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    lesson: TrainingData,
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
        train_dataset=shared(datasets.Dataset.from_list(lesson.preferences()), out / "pairs"),
        processing_class=tokenizer,
        **more,
    )
    return silent(trainer)


def grpo(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    lesson: TrainingData,
    recipe: Recipe,
    out: Path,
    report_to: str = "none",
    **more: Any,
) -> Any:
    """TRL's GRPOTrainer, rewarded by the tone's rules and by fidelity (rewards.py)."""
    from step4_finetune.train import rewards

    assert lesson.guide  # lesson.prepare sees to it
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
        reward_funcs=[rewards.tone(lesson.guide), rewards.faithful(lesson.guide)],
        args=alone(args),
        train_dataset=datasets.Dataset.from_list(lesson.questions()),
        processing_class=tokenizer,
        **more,
    )
    return silent(trainer)


def shared(dataset: Any, place: Path) -> Any:
    """The same on disk: beside it TRL keeps the log-probabilities of the reference, for all processes."""
    if distributed.count() == 1:
        return dataset
    import datasets

    if distributed.is_main():
        dataset.save_to_disk(place)
    distributed.wait()
    return datasets.load_from_disk(str(place))


def score_replies_only(only: bool = True) -> None:
    """Leave the tokens that are not to be learnt out of the head; False: as TRL does it.

    TRL does so on GPUs only. On a processor, the prompts' log-probabilities over the whole vocabulary would
    be half of the work, thrown away in the next line. The name is private: where it is gone, nothing is lost
    but time.
    """
    try:
        from trl.kernels.chunked_logprob import _use_triton
        from trl.trainer import utils
    except ImportError:
        return
    inside: Any = utils  # where the name decides nothing else than which positions are scored
    inside._use_triton = (lambda _device: True) if only else _use_triton


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
