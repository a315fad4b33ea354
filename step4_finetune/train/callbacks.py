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
from step4_finetune.train import distributed
from step4_finetune.train.qlora import gradients

CHECKED = 2  # steps of the optimiser in which gradients are looked for
WINDOW = 15  # steps: batches hold texts of like length, so of like kinds, and their losses differ


class TrainingCallback(TrainerCallback):
    """Told by the trainer what happens; moves the bar, and stops what can't learn."""

    def __init__(self, stage: str, bar: Callable[[int, int, str], None]) -> None:
        self.stage, self.bar = stage, bar
        self.stopped = False  # set from outside: end after this step, with a checkpoint

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **more: Any,
    ) -> None:
        """Gradients are there: some kernels have none, and raise no error. In GRPO a step may have none."""
        if self.stage != "grpo" and state.global_step < CHECKED and not distributed.is_sharded():
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
        return f"{self.stage}, loss {float(losses[-1]):.2f}" if losses else self.stage


def read_log(log: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`: a step's stage, number, loss and rate."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def write_log(log: Path, stage: str, history: list[dict[str, float]]) -> None:
    """Put the trainer's history of a stage, which checkpoints keep, behind the stages before it."""
    rows = [row for row in read_log(log) if row["stage"] != stage]
    rows += [{"stage": stage, **row} for row in history if "loss" in row or "eval_loss" in row]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def draw(log: Path, picture: Path) -> None:
    """The curve of the loss, one line a stage, and the loss on dev where it was measured."""
    rows = read_log(log)
    figure = new_figure(7, 3.5)
    axes = figure.subplots()
    offset = 0
    for stage in dict.fromkeys(row["stage"] for row in rows):
        mine = [row for row in rows if row["stage"] == stage and "loss" in row]
        dev = [row for row in rows if row["stage"] == stage and "eval_loss" in row]
        steps, losses = [offset + row["step"] for row in mine], [row["loss"] for row in mine]
        middle = [median(losses[max(0, at - WINDOW + 1) : at + 1]) for at in range(len(losses))]
        (line,) = axes.plot(steps, middle, label=f"{stage}, median of {WINDOW} steps")
        axes.plot(steps, losses, ".", markersize=3, alpha=0.5, color=line.get_color())
        if dev:
            places = [offset + row["step"] for row in dev]
            axes.plot(places, [row["eval_loss"] for row in dev], "s--", label=f"{stage}, dev rows")
        offset += mine[-1]["step"]
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
