"""A recipe: all settings of a training run, in one YAML file.

    python -m step4_finetune train --recipe seed --out runs/seed

    # recipes/seed.yaml
    about: the roadmap's seed, r=16, alpha 32, query and value projections of every layer (made for ...)
    lora: {r: 16, alpha: 32, targets: [q_proj, v_proj], last_layers: null}

Missing keys take the defaults below; run.json has them all. An unknown key is an error:
a misspelt `learnin_rate` would silently train with the default.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import UserError
from shared.validation import Problem, first_problem
from step4_finetune.tone.guide import read_yaml

FOLDER = Path(__file__).parents[1] / "recipes"
REPLAY = 120  # examples, unless the adapter is activated
# The matrices of a Llama layer.
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(Part):
    """Which matrices get an adapter, and how large it is; see by_hand/lora.py.

    With --from, the earlier adapter keeps its own, and only `activated` counts.
    """

    r: int = Field(16, ge=1, le=512)
    alpha: float = Field(32, gt=0)  # the update is scaled by alpha / r
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] = Field(LINEAR, min_length=1)
    last_layers: int | None = Field(18, ge=1)  # None: all
    activated: bool = False  # True: active under the company's system message only, see models/invocation.py


class Stage(Part):
    """Settings of all methods."""

    epochs: float = Field(3, gt=0)
    batch_size: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)  # batches for one step of the optimiser
    learning_rate: float = Field(1e-3, gt=0)
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: int = Field(10, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    save_steps: int | None = Field(None, ge=1)  # steps between checkpoints; None: one an epoch


class Sft(Stage):
    """Supervised fine-tuning: imitate the chosen replies."""

    epochs: float = Field(2, gt=0)
    learning_rate: float = Field(7.5e-4, gt=0)
    least_steps: int = Field(0, ge=0)  # with fewer: more epochs, at a lower rate (`for_rows`)
    # Examples of what the base says (replay.py). None: 120, or 0 for an activated adapter.
    replay: int | None = Field(None, ge=0)


class Dpo(Stage):
    """Direct preference optimisation: prefer the chosen reply to the rejected one (by_hand/dpo_loss.py)."""

    epochs: float = Field(1, gt=0)
    learning_rate: float = Field(2e-4, gt=0)
    beta: float = Field(0.1, gt=0)


class Grpo(Stage):
    """Group relative policy optimisation: replies are sampled and scored by rules (rewards.py), and the
    better ones of a group become more probable."""

    epochs: float = Field(1, gt=0)
    steps: int | None = Field(None, ge=1)  # instead of epochs
    learning_rate: float = Field(5e-5, gt=0)
    batch_size: int = Field(16, ge=2)  # replies a step
    group: int = Field(4, ge=2)  # replies to one message
    reply_tokens: int = Field(128, ge=1)
    temperature: float = Field(1.0, gt=0)
    beta: float = Field(0.0, ge=0)  # weight of the distance to the starting model

    @model_validator(mode="after")
    def _whole_groups(self) -> Grpo:
        if self.batch_size % self.group:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of group {self.group}")
        return self


class Recipe(Part):
    """A whole run."""

    name: str = "default"
    about: str = ""
    # A company's replies, tool calls (toolcalls/), an agent's tasks (agent/), or reading passages (reading/).
    task: Literal["tone", "tools", "agent", "reader"] = "tone"
    method: Literal["sft", "dpo", "grpo"] = "sft"
    tuning: Literal["lora", "qlora", "full"] = "lora"
    lora: Lora = Lora()
    sft: Sft = Sft()
    dpo: Dpo = Dpo()
    grpo: Grpo = Grpo()
    max_length: int = Field(512, ge=16)  # tokens; longer rows are refused
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    needs_gpu: bool = False
    seed: int = Field(0, ge=0, lt=2**32)

    @property
    def activated(self) -> bool:
        """Whether the adapter is active under the company's system message only."""
        return self.lora.activated and self.tuning != "full"

    @property
    def replay(self) -> int:
        """How many replay examples SFT takes."""
        return self.sft.replay if self.sft.replay is not None else 0 if self.activated else REPLAY

    def for_rows(self, n: int) -> Recipe:
        """The recipe with as many epochs of SFT as `n` rows need for `least_steps` steps.

        The learning rate falls as the epochs rise, at most to a half, so that rows are not learnt by heart.
        """
        rows_a_step = self.sft.batch_size * self.sft.accumulate
        epochs = math.ceil(self.sft.least_steps * rows_a_step / max(1, n))
        if self.method != "sft" or epochs <= self.sft.epochs:
            return self
        rate = self.sft.learning_rate * max(0.5, self.sft.epochs / epochs)
        sft = self.sft.model_copy(update={"epochs": float(epochs), "learning_rate": rate})
        return self.model_copy(update={"sft": sft})


def read_recipe(name: str | Path = "default", **changes: Any) -> Recipe:
    """A recipe of this package by its name, or another one by its file; `changes` override the file.

    Raises:
        UserError: there is no such recipe, it is not YAML, or a key or value is not allowed.
    """
    path = FOLDER / f"{name}.yaml" if "/" not in str(name) and not str(name).endswith(".yaml") else Path(name)
    if not path.exists():
        known = sorted(each.stem for each in FOLDER.glob("*.yaml"))
        raise UserError(f"there is no recipe {name}: use {', '.join(known)}, or name a .yaml file")
    found = read_yaml(path) or {}
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold keys and values, such as `method: sft`")
    try:
        return Recipe.model_validate({"name": path.stem, **found, **changes})
    except ValidationError as error:
        problem = first_problem(error)
        where = "--" if problem.path[0] in changes else f"{path}: "
        raise UserError(f"{where}{_explain(problem)}") from None


def _explain(problem: Problem) -> str:
    """What is wrong with a recipe, in one line."""
    if problem.kind == "value_error":
        return f"{problem.place}: {problem.message.removeprefix('Value error, ')}"
    if problem.kind != "extra_forbidden":
        return f"{problem.place} is {problem.given!r}: {problem.message.removeprefix('Input ')}"
    part: Any = Recipe  # of the recipe, the part that the unknown key stands in
    for name in problem.path[:-1]:
        part = part.model_fields[str(name)].annotation
    near = difflib.get_close_matches(str(problem.path[-1]), part.model_fields, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(part.model_fields)}"
    return f"{problem.place} is not known: {hint}"


def smoke(recipe: Recipe) -> Recipe:
    """The recipe for a quick run on the tiny model: one layer, one epoch."""
    few = {"epochs": 1, "batch_size": 2, "warmup_steps": 0}
    changes = {
        "lora": {"last_layers": 1},
        "sft": {**few, "replay": 0, "least_steps": 0},
        "dpo": few,
        "grpo": {**few, "steps": 1, "group": 2, "reply_tokens": 8},
    }
    parts = {name: getattr(recipe, name).model_copy(update=each) for name, each in changes.items()}
    longer = 4 * recipe.max_length  # since the tiny model's tokens are shorter
    return recipe.model_copy(update={**parts, "max_length": longer})
