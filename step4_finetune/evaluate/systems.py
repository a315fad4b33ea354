"""The systems to compare: a template, the base model, alone and with two prompts, and every tuned model.

    template   the notes as sentences between greeting and sign-off, without a model (tone/template.py)
    base       the short system message only, as for the tuned models
    guide      the whole guide as the system message
    few-shot   the guide and three examples as earlier turns
    NAME       a tuned model (the folder of a run), with the short system message

A prompt's tokens cost something at every call, an adapter's training only once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from step4_finetune.data.rows import Message, Row
from step4_finetune.models.merge import named
from step4_finetune.tone.rules import Guide

SHOTS = 3
TEMPLATE = "template"
BASELINES = (TEMPLATE, "base", "guide", "few-shot")


@dataclass(frozen=True)
class System:
    """A model and what stands in its prompt before a message."""

    name: str
    system: str
    shots: Sequence[Message] = ()
    adapter: Path | None = None  # None: the base model

    @property
    def has_model(self) -> bool:
        """Whether a model writes its replies."""
        return self.name != TEMPLATE

    def prompt(self, row: Row) -> list[Message]:
        """What the model reads of a row."""
        *before, asked = row.with_system(self.system)
        return [*before, *self.shots, asked]


def systems(
    names: Sequence[str], adapters: Sequence[Path], guide: Guide, train: Sequence[Row]
) -> list[System]:
    """The baselines by name, then the tuned models; equal folder names get their parent's name, too.

    Raises:
        UserError: a baseline is unknown or lacks its examples, or there is nothing to compare.
    """
    if unknown := [name for name in names if name not in BASELINES]:
        raise UserError(f"there is no baseline {unknown[0]}: use some of {', '.join(BASELINES)}")
    if not names and not adapters:
        raise UserError(f"nothing to evaluate: name baselines ({', '.join(BASELINES)}) or an --adapter")
    shots = examples(train)
    if "few-shot" in names and not shots:
        raise UserError(
            "few-shot takes its examples from rows of the split train, and --data has none: add some, or "
            "leave few-shot out of --baselines"
        )

    whole = guide.as_prompt()
    known = [System(TEMPLATE, "")]
    known += [System("base", guide.system), System("guide", whole), System("few-shot", whole, shots)]
    tuned = [System(name, guide.system, (), each) for name, each in named(adapters, BASELINES).items()]
    return [each for each in known if each.name in names] + tuned


def examples(train: Sequence[Row]) -> list[Message]:
    """The first rows of different topics as earlier turns."""
    by_topic: dict[str, Row] = {}
    for row in train:
        by_topic.setdefault(row.topic or row.id, row)
    turns: list[Message] = []
    for row in list(by_topic.values())[:SHOTS]:
        turns += [row.with_system("")[-1], {"role": "assistant", "content": row.chosen}]
    return turns
