"""What is seen of a run while it trains: a bar with loss and time left, a log, checks of the first steps."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import UserError

CHECKED = 2  # steps of the optimiser after which gradients must have been seen


class Watch(TrainerCallback):
    """Told by the trainer what happens; writes `log.jsonl`, moves the bar, and stops what can't learn."""

    def __init__(self, stage: str, log: Path, bar: Callable[[int, int, str], None]) -> None:
        self.stage, self.log, self.bar = stage, log, bar
        self.stopped = False  # set from outside: end after this step, with a checkpoint

    def on_pre_optimizer_step(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **more: Any
    ) -> None:
        """Gradients are there: some kernels have none, and raise no error."""
        if state.global_step >= CHECKED:
            return
        learning = [each for each in more["model"].parameters() if each.requires_grad]
        if not any(each.grad is not None and bool(each.grad.abs().max() > 0) for each in learning):
            raise UserError(
                "no weight gets a gradient, so nothing would be learnt: use --tuning lora, or see qlora.py"
            )

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_more: Any
    ) -> None:
        self.bar(state.global_step, state.max_steps, self._said(state))
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_log(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **more: Any
    ) -> None:
        facts = dict(more.get("logs") or {})
        loss = facts.get("loss")
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise UserError(f"the loss is {loss} at step {state.global_step}: take a smaller learning_rate")
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.stage, "step": state.global_step, **facts}) + "\n")

    def _said(self, state: TrainerState) -> str:
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        return f"{self.stage}, loss {float(losses[-1]):.2f}" if losses else self.stage


def read_log(log: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def to_csv(log: Path) -> None:
    """The same as a table, beside it."""
    rows = read_log(log)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with log.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def draw(log: Path, picture: Path) -> None:
    """The curve of the loss, one line a stage."""
    from matplotlib.figure import Figure

    rows = read_log(log)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    offset = 0
    for stage in dict.fromkeys(row["stage"] for row in rows):
        mine = [row for row in rows if row["stage"] == stage]
        axes.plot(
            [offset + row["step"] for row in mine], [row["loss"] for row in mine], marker=".", label=stage
        )
        offset += mine[-1]["step"]
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
