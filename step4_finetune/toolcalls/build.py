"""Write conversations with tool calls for training and development.

    $ python -m step4_finetune data build tools --out data/tools

Dev has domains that train never sees. The same seed writes the same files.
"""

from pathlib import Path
from typing import Any

from step4_finetune.data.files import digest, write_splits
from step4_finetune.toolcalls.conversations import compose
from step4_finetune.toolcalls.domains import read_tools
from step4_finetune.toolcalls.material import Material

UNSEEN = frozenset({"sports_games", "hotels_cars"})  # domains of dev only


def run(out: Path, rows: int, seed: int) -> dict[str, Any]:
    """Write `out`/train.jsonl and `out`/dev.jsonl.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    materials = {
        "train": Material.read(leave_out=UNSEEN),
        "dev": Material.read(leave_out=frozenset(read_tools()) - UNSEEN),
    }
    sizes = {"train": rows, "dev": max(1, rows // 40)}
    made = {
        split: [compose(material, number, seed) for number in range(sizes[split])]
        for split, material in materials.items()
    }
    files = write_splits(out, made)
    splits: dict[str, Any] = {}
    for split, material in materials.items():
        messages = [message for row in made[split] for branch in row["branches"] for message in branch]
        turns = [message["content"] for message in messages if message["role"] == "assistant"]
        splits[split] = {
            "rows": len(made[split]),
            "calls": sum(isinstance(turn, list) and bool(turn) for turn in turns),
            "no_call": sum(turn == [] for turn in turns),
            "answers": sum(isinstance(turn, str) for turn in turns),
            "domains": len(material.domains),
            "tools": sum(map(len, material.domains.values())),
            "fingerprint": digest(made[split], sort_keys=True),
            "file": files[split],
        }
    return {
        "command": "step4_finetune data-build-tools",
        "headline": f"{rows:,} conversations over {splits['train']['tools']} tools, seed {seed}",
        "seed": seed,
        "splits": splits,
    }
