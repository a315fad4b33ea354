"""Data for the recipe `agent`: solved tasks in files.

    $ python -m step4_finetune data build agent --out data/agent

A row has some tools and a few conversations with them, in the form of the recipe `tools`
(toolcalls/data.py). Dev has kinds of offices that train never sees. Some rows are of the recipe `tools`, so
that the model keeps what it learnt there.
"""

import random
from pathlib import Path
from typing import Any

from step4_finetune.agent.facts import read_facts, read_frames
from step4_finetune.agent.oracle import Oracle
from step4_finetune.agent.tools import offer
from step4_finetune.data.files import write_splits
from step4_finetune.toolcalls.conversations import compose
from step4_finetune.toolcalls.material import Material

UNSEEN = ("publisher", "clinic")  # kinds of offices of dev only
TASKS_A_ROW = 4
OF_TOOLS = 6  # of this many rows, one is of the recipe `tools`
LONGEST_OF_TOOLS = 6  # conversations of such a row


def build(out: Path, rows: int, seed: int) -> dict[str, Any]:
    """Write `out`/train.jsonl and, a twentieth as long, `out`/dev.jsonl; the same seed writes the same files.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    facts = read_facts()
    material = Material.read()
    seen = [name for name in facts if name not in UNSEEN]
    train = [_row(material, seen, number, seed) for number in range(rows)]
    dev = [_row(material, list(UNSEEN), number, seed + 1) for number in range(max(1, rows // 20))]
    tasks = sum(len(row["branches"]) for row in train)
    return {
        "command": "step4_finetune data-build-agent",
        "headline": f"{rows:,} rows with {tasks:,} tasks from {sum(map(len, facts.values()))} kinds of facts",
        "seed": seed,
        "splits": write_splits(out, {"train": train, "dev": dev}),
    }


def _row(material: Material, settings: list[str], number: int, seed: int) -> dict[str, Any]:
    """A row of tasks of one kind of office, or of tool calls."""
    chance = random.Random(f"agent-{seed}-{number}")
    if number % OF_TOOLS == OF_TOOLS - 1:
        row = compose(material, number, seed)
        return {**row, "branches": row["branches"][:LONGEST_OF_TOOLS]}
    setting = chance.choice(settings)
    around = {"before": material.before, "after": material.after}
    oracle = Oracle(setting, read_facts()[setting], material.chat, around)
    tools = offer(chance)
    branches = [oracle.conversation(tools, chance) for _ in range(TASKS_A_ROW)]
    return {"system": read_frames()["system"], "tools": tools.definitions(), "branches": branches}
