"""Write conversations with tool calls for training and development.

    $ python -m step4_finetune data build tools --out data/tools

Dev has domains that train never sees. The same seed writes the same files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from step4_finetune.data.files import digest, split_files, write_rows
from step4_finetune.toolcalls.conversations import compose
from step4_finetune.toolcalls.domains import read_tools
from step4_finetune.toolcalls.material import Material

UNSEEN = frozenset({"sports_games", "hotels_cars"})  # domains of dev only


def run(out: Path, rows: int, seed: int, *, force: bool = False) -> dict[str, Any]:
    """Write `out`/train.jsonl and `out`/dev.jsonl.

    Raises:
        UserError: a file exists already or cannot be written.
    """
    known = set(read_tools())
    materials = {
        "train": Material.read(leave_out=UNSEEN),
        "dev": Material.read(leave_out=frozenset(known - UNSEEN)),
    }
    paths = split_files(out, materials, force=force)
    splits: dict[str, Any] = {}
    for split, material in materials.items():
        made = [compose(material, n, seed) for n in range(rows if split == "train" else max(1, rows // 40))]
        write_rows(paths[split], made)
        messages = [message for row in made for branch in row["branches"] for message in branch]
        turns = [message["content"] for message in messages if message["role"] == "assistant"]
        splits[split] = {
            "rows": len(made),
            "calls": sum(isinstance(turn, list) and bool(turn) for turn in turns),
            "no_call": sum(turn == [] for turn in turns),
            "answers": sum(isinstance(turn, str) for turn in turns),
            "domains": len(material.domains),
            "tools": sum(map(len, material.domains.values())),
            "fingerprint": digest(made, sort_keys=True),
            "file": str(paths[split]),
        }
    return {
        "command": "step4_finetune data-build-tools",
        "headline": f"{rows:,} conversations over {splits['train']['tools']} tools, seed {seed}",
        "seed": seed,
        "splits": splits,
    }
