"""What is seen of a run while it trains: a bar with loss and time left, a log, checks of the first steps."""

# ruff: noqa: ARG002  (the trainer hands every callback all of its arguments, by name)

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.errors import UserError
from step4_finetune.train import distributed
from step4_finetune.train.qlora import gradients

CHECKED = 2  # steps of the optimiser in which gradients are looked for
WINDOW = 15  # steps: batches hold texts of like length, so of like kinds, and their losses differ
FIRST = 60  # steps in which the loss should fall: batches differ, so it takes some to see it


class TrainingCallback(TrainerCallback):
    """Told by the trainer what happens; writes `log.jsonl`, moves the bar, and stops what can't learn."""

    def __init__(self, stage: str, log: Path, bar: Callable[[int, int, str], None]) -> None:
        self.stage, self.log, self.bar = stage, log, bar
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
        facts = dict(more.get("logs") or {})
        loss = facts.get("loss", facts.get("eval_loss"))
        if loss is None:
            return
        if not math.isfinite(float(loss)):
            raise UserError(f"the loss is {loss} at step {state.global_step}: take a smaller learning_rate")
        if not state.is_world_process_zero:
            return
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.stage, "step": state.global_step, **facts}) + "\n")

    def _said(self, state: TrainerState) -> str:
        losses = [each["loss"] for each in state.log_history if "loss" in each]
        return f"{self.stage}, loss {float(losses[-1]):.2f}" if losses else self.stage


def read_log(log: Path) -> list[dict[str, Any]]:
    """The lines of `log.jsonl`."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last may have been cut


def cut(log: Path, stage: str, step: int) -> None:
    """Take out what a stopped run logged after the checkpoint that training goes on from."""
    rows = [row for row in read_log(log) if row["stage"] != stage or row["step"] <= step]
    if log.exists():
        log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def falls(log: Path, stage: str) -> bool | None:
    """Whether the loss fell in the first steps: their last third below their first; None for too few."""
    mine = [row for row in read_log(log) if row["stage"] == stage]
    losses = [float(row["loss"]) for row in mine if "loss" in row][:FIRST]
    part = len(losses) // 3
    return fmean(losses[-part:]) < fmean(losses[:part]) if part else None


def to_csv(log: Path) -> None:
    """The same as a table, beside it."""
    rows = read_log(log)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with log.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def draw(log: Path, picture: Path) -> None:
    """The curve of the loss, one line a stage, and the loss on dev where it was measured."""
    from matplotlib.figure import Figure

    rows = read_log(log)
    figure = Figure(figsize=(7, 3.5), layout="constrained")
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
