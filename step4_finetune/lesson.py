"""What a recipe trains on: the rows, replay answers of the base model itself, and the pairs for DPO.

Replay answers are the base's own, greedy, so that they teach nothing new. For the default model they come
with the package (`sample/replay.jsonl`); for another they are written once, which takes a minute or more, and
kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from shared.catalog import default
from shared.config import Settings
from shared.errors import UserError
from step4_finetune import general
from step4_finetune.data import GENERAL, Row
from step4_finetune.guide import Guide
from step4_finetune.negatives import pairs
from step4_finetune.recipe import Recipe
from step4_finetune.train import Lesson

REPLAY = GENERAL.with_name("replay.jsonl")
REPLAY_TOKENS = 96


def prepare(
    settings: Settings, recipe: Recipe, rows: Sequence[Row], guide: Guide, limit: int | None = None
) -> Lesson:
    """Everything that the recipe's stages need.

    Raises:
        UserError: no training rows, or none with a rejected reply where DPO needs them.
    """
    train = [row for row in rows if row.split == "train"][:limit]
    if not train:
        raise UserError("there are no rows in the split train: nothing to learn from")
    if "dpo" in recipe.method and "policy" in recipe.dpo.negatives:
        raise UserError(
            "dpo.negatives: policy needs replies of the model itself, which train does not write yet: "
            "put them into the column rejected of --data, and use rejected"
        )
    chosen = pairs(train, recipe.dpo.negatives, recipe.seed) if "dpo" in recipe.method else []
    if "dpo" in recipe.method and not chosen:
        raise UserError(
            "no row has a rejected reply, which DPO needs: use --method sft, or add a column rejected"
        )
    asked = recipe.sft.replay if "sft" in recipe.method else 0
    return Lesson(train, guide.system, replay(settings, asked), chosen)


def replay(settings: Settings, n: int) -> list[tuple[str, str]]:
    """`n` general questions with the answers of the model of the settings, before any tuning."""
    if n == 0:
        return []
    asked = [each.prompt for each in general.questions("train")][:n]
    path = REPLAY if settings.model == default("chat").id else _cache(settings, asked)
    if not path.exists():
        write(settings, asked, path)
    known = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    answers = {each["prompt"]: each["completion"] for each in known}
    return [(question, answers[question]) for question in asked if question in answers]


def write(settings: Settings, asked: Sequence[str], path: Path) -> None:
    """Have the base model answer, and keep it."""
    from shared.models import load_causal_lm, load_tokenizer
    from shared.progress import count_bar
    from step4_finetune.generate import replies

    model, tokenizer = load_causal_lm(settings=settings), load_tokenizer(settings=settings)
    prompts = [[{"role": "user", "content": each}] for each in asked]
    with count_bar("replay: what the base model answers", len(asked)) as progress:
        got = replies(model, tokenizer, prompts, REPLAY_TOKENS, progress=progress)
    lines = [
        json.dumps({"prompt": question, "completion": reply.text}, ensure_ascii=False)
        for question, reply in zip(asked, got, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text("\n".join(lines) + "\n", encoding="utf-8")
    half.replace(path)


def _cache(settings: Settings, asked: Sequence[str]) -> Path:
    key = hashlib.sha256("\n".join([settings.model, *asked]).encode()).hexdigest()[:12]
    return settings.cache_dir / "replay" / f"{key}.jsonl"
