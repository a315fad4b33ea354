"""What is seen of a run: a bar with loss and time left, checks of the first steps; then a log and a curve."""

# ruff: noqa: ARG002  (the trainer hands every callback all of its arguments, by name)

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import UserError
from shared.report.record import new_figure
from step4_finetune.train.qlora import gradients

CHECKED = 2  # steps of the optimiser in which gradients are looked for
WINDOW = 15  # steps: batches hold texts of like length, so of like kinds, and their losses differ


class TrainingCallback(TrainerCallback):
    """Told by the trainer what happens; moves the bar, and stops what can't learn."""

    def __init__(self, method: str, bar: Callable[[int, int, str], None]) -> None:
        self.method, self.bar = method, bar
        self.stopped = False  # set from outside: end after this step, with a checkpoint

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **more: Any,
    ) -> None:
        """Gradients are there: some kernels have none, and raise no error. In GRPO a step may have none."""
        if self.method != "grpo" and state.global_step < CHECKED:
            gradients(more["model"])

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_more: Any,
    ) -> None:
        self.bar(state.global_step, state.max_steps, self._said(state))
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **more: Any,
    ) -> None:
        logs = more.get("logs") or {}
        loss = logs.get("loss", logs.get("eval_loss", 0.0))
        if not math.isfinite(float(loss)):
            raise UserError(f"the loss is {loss} at step {state.global_step}: take a smaller learning_rate")

    def _said(self, state: TrainerState) -> str:
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        return f"{self.method}, loss {float(losses[-1]):.2f}" if losses else self.method


def read_log(log: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`: a step's number, loss and rate; after an epoch the loss on dev."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def write_log(log: Path, history: list[dict[str, float]]) -> None:
    """Write the trainer's history, which checkpoints keep."""
    rows = [row for row in history if "loss" in row or "eval_loss" in row]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def draw(log: Path, picture: Path) -> None:
    """The curve of the loss, and the loss on dev where it was measured."""
    rows = read_log(log)
    figure = new_figure(7, 3.5)
    axes = figure.subplots()
    trained = [row for row in rows if "loss" in row]
    steps, losses = [row["step"] for row in trained], [row["loss"] for row in trained]
    middle = [median(losses[max(0, at - WINDOW + 1) : at + 1]) for at in range(len(losses))]
    (line,) = axes.plot(steps, middle, label=f"training, median of {WINDOW} steps")
    axes.plot(steps, losses, ".", markersize=3, alpha=0.5, color=line.get_color())
    if dev := [row for row in rows if "eval_loss" in row]:
        axes.plot([row["step"] for row in dev], [row["eval_loss"] for row in dev], "s--", label="dev rows")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
