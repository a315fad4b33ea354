"""Write the sample's rows: composed and hand-written ones, each with a rejected reply, a near miss.

    python -m step4_finetune.data.notes.build                  step4_finetune/sample/rows.jsonl

A near miss differs from the chosen reply in one thing: another day or amount, a sentence left out, a note for
staff told, or a slip of tone (a contraction, "I", a hedge, an exclamation mark).
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.launch import run_main
from step4_finetune.data.curate.duplicates import Near
from step4_finetune.data.files import write_rows
from step4_finetune.data.notes.compose import COUNTS, WEEKDAYS, bank, compose, reply
from step4_finetune.data.rows import FACTS, GUIDE, SAMPLE, Row, row_of
from step4_finetune.tone import rules
from step4_finetune.tone.guide import read_guide
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import score

SEED = 0
Slip = Callable[[str, random.Random], str]
EXCLAMATION = (r"\.\n\nKind", "!\n\nKind")
# Patterns of the chosen reply and what a slip of tone makes of them.
TONE_SLIPS = (
    (r"\bWe have\b", "We've"),
    (r"\bis not\b", "isn't"),
    (r"\bcannot\b", "can't"),
    (r"\bWe will\b", "We'll"),
    (r"\bWe (have|will|can|paid|received)\b", r"I \1"),
    (r"\bwill (visit|come|arrive|be|call)\b", r"will probably \1"),
    (r"\b(costs|takes) ", r"\1 maybe "),
    EXCLAMATION,
)


def build(seed: int = SEED) -> list[dict[str, Any]]:
    """All rows, those of train first."""
    near = Near()
    by_split: dict[str, list[dict[str, Any]]] = {}
    for split in ("test", "dev", "train"):  # so that train has no message like one of the others
        written = _written(split, near)
        by_split[split] = [*compose(COUNTS[split], split, seed, near), *written]
    guide, draw = read_guide(GUIDE), random.Random(seed)
    rows = [row for split in ("train", "dev", "test") for row in by_split[split]]
    return [{**row, **near_miss(row_of(row, row["id"], 0), guide, draw)} for row in rows]


def _written(split: str, near: Near) -> list[dict[str, Any]]:
    """The hand-written rows of a split."""
    rows = []
    for number, entry in enumerate(bank("written")[split], 1):
        near.add(len(near.shingles), entry["msg"])
        member = entry.get("for")
        notes = [*([f"mbr {member}"] if member else []), *entry["notes"]]
        rows.append(
            {
                "id": f"written-{split}-{number}",
                "topic": entry["thing"],
                "split": split,
                "message": entry["msg"],
                "notes": notes,
                "facts": [str(each) for each in (*entry["facts"], *([member] if member else []))],
                "internal": entry.get("internal", []),
                "chosen": reply(entry["reply"], f"Dear {member or 'member'},"),
            }
        )
    return rows


def near_miss(row: Row, guide: Guide, draw: random.Random) -> dict[str, Any]:
    """A rejected reply and what it breaks."""
    slips: list[Slip] = [_other_day, _other_number, _left_out, _tone, _tone, _tone]
    if row.internal:
        slips += [lambda chosen, _draw: _with_sentence(chosen, row.internal[0])] * 2
    draw.shuffle(slips)
    for slip in slips:
        rejected = slip(row.chosen, draw)
        found = score(rejected, guide, row.notes, row.message, row.compared_with)
        breaks = [
            *rules.broken(rejected, guide),
            *([] if found.fidelity and found.fidelity.faithful else [FACTS]),
        ]
        if rejected != row.chosen and breaks:
            return {"rejected": rejected, "breaks": breaks}
    raise ValueError(f"no near miss of {row.id}")


def _other_day(chosen: str, draw: random.Random) -> str:
    for day in WEEKDAYS:
        if day in chosen:
            return chosen.replace(day, draw.choice([each for each in WEEKDAYS if each != day]))
    return chosen


def _other_number(chosen: str, draw: random.Random) -> str:
    numbers = re.findall(r"\d+", chosen)
    if not numbers:
        return chosen
    number = draw.choice(numbers)
    other = str(int(number) + draw.choice((1, 2, 5, 10)))
    return re.sub(rf"(?<!\d){number}(?!\d)", other, chosen, count=1)


def _left_out(chosen: str, _draw: random.Random) -> str:
    greeting, body, sign_off = chosen.split("\n\n")
    sentences = re.split(r"(?<=\.) (?=[A-Z])", body)
    return "\n\n".join([greeting, " ".join(sentences[:-1]), sign_off]) if len(sentences) > 1 else chosen


def _with_sentence(chosen: str, sentence: str) -> str:
    greeting, body, sign_off = chosen.split("\n\n")
    return "\n\n".join([greeting, f"{body} {sentence}", sign_off])


def _tone(chosen: str, draw: random.Random) -> str:
    slips = draw.sample(TONE_SLIPS, len(TONE_SLIPS))
    if draw.random() < 0.9:
        slips.sort(key=lambda each: each == EXCLAMATION)  # it always fits, so it comes last
    for pattern, slip in slips:
        changed = re.sub(pattern, slip, chosen, count=1)
        if changed != chosen:
            return changed
    return chosen


def main(out: Path = SAMPLE) -> None:
    """Write the rows of train, dev and test to a file."""
    rows = build()
    write_rows(out, rows)
    print(f"{len(rows)} rows in {out}")


if __name__ == "__main__":
    run_main(main, "python -m step4_finetune.data.notes.build")
