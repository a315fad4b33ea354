"""A blind form: replies of several systems, mixed, for a reader who must not know who wrote them.

    python -m step4_finetune.evaluate.label_form report/evaluate.json --out form         form.txt, key.jsonl
    (the reader writes labels.txt from form.txt alone: a line "12 y n the fee is missing" for each reply)
    python -m step4_finetune.evaluate.label_form report/evaluate.json --out form --join labelled.jsonl

The two letters say whether the reply is faithful (all notes for the member, nothing else, nothing for staff
only) and whether it reads as one reply (full sentences, the answer first, nothing twice). `--join` writes the
rows that `python -m step4_finetune evaluator` reads. The form names no system and no verdict.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.launch import run_main
from step4_finetune.data.files import read_jsonl, write_rows

REPLIES = 100
SYSTEMS = "template,base,few-shot,tone"
SEED = 3


def draw(report: dict[str, Any], names: Sequence[str], count: int, seed: int) -> list[dict[str, Any]]:
    """So many replies, the same number of each named system, in a random order.

    Raises:
        UserError: the report has none of these systems.
    """
    picked = random.Random(seed)
    systems = [system for system in report["systems"] if system["name"] in names]
    if not systems:
        raise UserError(f"the report has none of the systems {', '.join(names)}")
    rows = []
    for at, system in enumerate(systems):
        share = count // len(systems) + (at < count % len(systems))
        numbers = picked.sample(range(len(system["replies"])), min(share, len(system["replies"])))
        for number in numbers:
            message = report["messages"][number]
            row = {name: message[name] for name in ("message", "notes", "facts", "internal")}
            row |= {"id": f"{system['name']}-{message['id']}", "example": message["chosen"]}
            rows.append({**row, "reply": system["replies"][number]["text"]})
    picked.shuffle(rows)
    return rows


def form(rows: list[dict[str, Any]]) -> str:
    """The form as text: number, message, notes, reply."""
    parts = []
    for number, row in enumerate(rows, 1):
        notes = "\n".join(f"  - {note}" for note in row["notes"])
        parts.append(f"=== {number}\nmessage: {row['message']}\nnotes:\n{notes}\nreply:\n{row['reply']}\n")
    return "\n".join(parts)


def read_labels(path: Path, count: int) -> dict[int, tuple[bool, bool, str]]:
    """The labels by number: faithful, reads as one reply, why not.

    Raises:
        UserError: a line is no label, or a number has none.
    """
    labels = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        number, *rest = line.split(maxsplit=3)
        if not number.isdigit() or len(rest) < 2 or {*rest[:2]} - {"y", "n"}:
            raise UserError(f"{path}: {line!r} is no label: write a number, y or n twice, and why")
        labels[int(number)] = (rest[0] == "y", rest[1] == "y", rest[2] if len(rest) > 2 else "")
    if missing := [number for number in range(1, count + 1) if number not in labels]:
        raise UserError(f"{path} has no label for reply {missing[0]}")
    return labels


def main(
    report: Path,
    out: Path = Path("form"),
    join: Path | None = None,
    systems: str = SYSTEMS,
    replies: int = REPLIES,
) -> None:
    """Write the form and its key, or join the key with the labels."""
    if join is None:
        rows = draw(json.loads(report.read_text(encoding="utf-8")), systems.split(","), replies, SEED)
        write_rows(out / "key.jsonl", rows)
        (out / "form.txt").write_text(form(rows), encoding="utf-8")
        print(f"{len(rows)} replies in {out / 'form.txt'}; write the labels to {out / 'labels.txt'}")
        return
    rows = [row for _, row in read_jsonl(out / "key.jsonl")]
    labels = read_labels(out / "labels.txt", len(rows))
    labelled = []
    for number, row in enumerate(rows, 1):
        faithful, reads, why = labels[number]
        labelled.append({**row, "faithful": faithful, "reads": reads, "why": why})
    write_rows(join, labelled)
    print(f"{len(labelled)} labelled replies in {join}")


if __name__ == "__main__":
    run_main(main, "python -m step4_finetune.evaluate.label_form")
