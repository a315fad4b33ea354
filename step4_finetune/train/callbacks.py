"""The progress of a run: a bar with the loss, checks of the first steps; then a curve."""

# ruff: noqa: ARG002  (the trainer hands every callback all of its arguments, by name)

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from transformers import TrainerCallback, TrainerState

from shared.errors import UserError
from shared.report.record import new_figure
from step4_finetune.models.qlora import check_gradients

CHECKED = 2  # steps whose gradients are checked
WINDOW = 15  # steps of the running median: batches group texts by length, so their losses differ


class TrainingCallback(TrainerCallback):
    """Moves the progress bar, and stops a run that can't learn."""

    def __init__(self, method: str, bar: Callable[[int, int, str], None]) -> None:
        self.method, self.bar = method, bar
        self.stopped = False  # set from outside: end after this step, with a checkpoint

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: Any, **more: Any) -> None:
        """Check gradients, since some kernels have none without an error. In GRPO a step may have none."""
        if self.method != "grpo" and state.global_step < CHECKED:
            check_gradients(more["model"])

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **more: Any) -> None:
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        label = f"{self.method}, loss {float(losses[-1]):.2f}" if losses else self.method
        self.bar(state.global_step, state.max_steps, label)
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: TrainerState, control: Any, **more: Any) -> None:
        logs = more.get("logs") or {}
        loss = logs.get("loss", logs.get("eval_loss", 0.0))
        if not math.isfinite(float(loss)):
            raise UserError(f"the loss is {loss} at step {state.global_step}: take a smaller learning_rate")


def draw(history: Sequence[dict[str, float]], picture: Path) -> None:
    """Draw the training loss, and the dev loss where it was measured."""
    axes = (figure := new_figure(7, 3.5)).subplots()
    steps, losses = zip(*((row["step"], row["loss"]) for row in history if "loss" in row), strict=True)
    middle = [median(losses[max(0, at - WINDOW + 1) : at + 1]) for at in range(len(losses))]
    (line,) = axes.plot(steps, middle, label=f"training, median of {WINDOW} steps")
    axes.plot(steps, losses, ".", markersize=3, alpha=0.5, color=line.get_color())
    if dev := [row for row in history if "eval_loss" in row]:
        axes.plot([row["step"] for row in dev], [row["eval_loss"] for row in dev], "s--", label="dev rows")
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
