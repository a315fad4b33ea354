"""What is compared: the base model with nothing, with the guide, with examples; and every tuned model.

    base       the short system message only, which is all that the tuned models get
    guide      the whole guide as the system message
    few-shot   the guide and three examples as earlier turns
    NAME       a tuned model (the folder of a run), with the short system message

The prompt is what a prompt costs: its tokens are read at every call, the adapter's training is paid once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import UserError
from step4_finetune.data.rows import Message, Row
from step4_finetune.tone.rules import Guide

SHOTS = 3
BASELINES = ("base", "guide", "few-shot")


@dataclass(frozen=True)
class System:
    """A model and what is said to it before the message."""

    name: str
    prompt: Callable[[Row], list[Message]]
    adapter: Path | None = None  # None: the base model


def systems(
    names: Sequence[str], adapters: Sequence[Path], guide: Guide, train: Sequence[Row]
) -> list[System]:
    """The baselines by name, then the tuned models; runs of the same folder name get their parent's, too.

    Raises:
        UserError: a baseline that is not known, or nothing to compare.
    """
    if unknown := [name for name in names if name not in BASELINES]:
        raise UserError(f"there is no baseline {unknown[0]}: use some of {', '.join(BASELINES)}")
    if not names and not adapters:
        raise UserError(f"nothing to evaluate: name baselines ({', '.join(BASELINES)}) or an --adapter")
    names, adapters = list(dict.fromkeys(names)), list(dict.fromkeys(adapters))
    shots = examples(train)
    known: dict[str, Callable[[Row], list[Message]]] = {
        "base": lambda row: row.with_system(guide.system),
        "guide": lambda row: row.with_system(guide.as_prompt()),
        "few-shot": lambda row: _with_shots(row, guide.as_prompt(), shots),
    }
    found = [System(name, known[name]) for name in names]
    taken = [*BASELINES, *(each.name for each in adapters)]
    for adapter in adapters:
        name = adapter.name if taken.count(adapter.name) == 1 else f"{adapter.parent.name}/{adapter.name}"
        found.append(System(name, known["base"], adapter))
    return found


def examples(train: Sequence[Row]) -> list[Row]:
    """A few rows of different topics, the same each time."""
    found: list[Row] = []
    for row in train:
        if all(row.topic != each.topic or row.topic is None for each in found):
            found.append(row)
        if len(found) == SHOTS:
            break
    return found


def _with_shots(row: Row, system: str, shots: Sequence[Row]) -> list[Message]:
    said = row.with_system(system)
    earlier = [
        turn
        for shot in shots
        for turn in (*shot.with_system("")[-1:], {"role": "assistant", "content": shot.chosen})
    ]
    return [*said[:-1], *earlier, said[-1]]
