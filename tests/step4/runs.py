"""Small runs on the tiny model: what the tests of training and evaluation share."""

import gc
import signal
from unittest import mock

from shared.config import load_settings
from shared.models import load_causal_lm
from step4_finetune.data.trl_files import to_trl
from step4_finetune.train import recipe as recipes
from step4_finetune.train import run as training
from step4_finetune.train.replay import Replay
from step4_finetune.train.training_data import TrainingData
from tests.step4.samples import good

SYSTEM = "You answer members of Northwind Care."
REPLAY = [
    Replay("question", "What is 2 + 3?", "5"),
    Replay("text", "The history of the bicycle begins", " in 1817, with two wheels and", finished=False),
    Replay("message", "my kettle leaks", "A kettle is a pot for water. It", finished=False),
]


def settings(**flags):
    return load_settings(**{"model": "tiny", "dtype": "float32", "threads": "1", **flags})


def rows(n=6):
    return [row for row in good() if row.split == "train"][:n]


def lesson(n=6, replay=2):
    return TrainingData(rows(n), SYSTEM, REPLAY[:replay], rows(n))


def recipe(method="sft", tuning="lora", epochs=2, **changes):
    """A few steps at a rate at which even random weights learn something."""
    stage = {"epochs": epochs, "batch_size": 4, "learning_rate": 5e-3, "warmup_steps": 0}
    return recipes.Recipe.model_validate(
        {
            "name": "small",
            "method": method,
            "tuning": tuning,
            "lora": {"last_layers": 1, "activated": False},
            "sft": {**stage, "replay": 2, "least_steps": 0, **changes.pop("sft", {})},
            "dpo": {**stage, **changes.pop("dpo", {})},
            "max_length": 1024,
            **changes,
        }
    )


def train(out, chosen=None, its_lesson=None, picture=False, **more):
    """A run; its curve is drawn only where a test looks at it."""
    gc.freeze()  # what is imported: the trainer collects garbage after every run
    draw = training.callbacks.draw if picture else lambda _history, path: path.write_bytes(b"")
    with mock.patch.object(training.callbacks, "draw", draw):
        return training.run(settings(), chosen or recipe(), its_lesson or lesson(), out, **more)


def by_trl(form, rows, tokenizer, out, model=None, **more):
    """TRL's own trainer, with its defaults, on rows in the format that it calls conversational."""
    datasets, trl = training.trainers.quiet_trl()
    trainer, config = {"sft": (trl.SFTTrainer, trl.SFTConfig), "dpo": (trl.DPOTrainer, trl.DPOConfig)}[form]
    more |= {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
    return trainer(
        model=model or load_causal_lm(settings=settings()),
        args=config(str(out), report_to="none", max_length=None, **more),
        train_dataset=datasets.Dataset.from_list([to_trl(row, SYSTEM, form) for row in rows]),
        processing_class=tokenizer,
    )


def press_ctrl_c(monkeypatch, step):
    """Interrupt training after this step."""
    plain = training.callbacks.TrainingCallback.on_step_end

    def on_step_end(self, args, state, control, **more):
        if state.global_step == step:
            signal.raise_signal(signal.SIGINT)
        plain(self, args, state, control, **more)

    monkeypatch.setattr(training.callbacks.TrainingCallback, "on_step_end", on_step_end)
