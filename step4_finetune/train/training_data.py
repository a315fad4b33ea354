"""What a recipe trains on: rows, replay of what the base model says, and pairs for DPO."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from shared.config import Settings
from shared.errors import UserError
from step4_finetune.data.curate.finding import replies
from step4_finetune.data.rows import Row, fingerprint
from step4_finetune.models import merge
from step4_finetune.models.chat import conversation_ids
from step4_finetune.tone.rules import Guide
from step4_finetune.train.recipe import Recipe
from step4_finetune.train.replay import Replay, replay


@dataclass(frozen=True)
class TrainingData:
    """Rows of the train split, their system message, and what the recipe's method needs besides."""

    rows: Sequence[Row]
    system: str
    replay: Sequence[Replay] = ()
    pairs: Sequence[Row] = ()  # the rows with a rejected reply
    start: Path | None = None  # an earlier run whose adapter is trained further
    guide: Guide | None = None  # for GRPO's rewards
    dev: Sequence[Row] = ()  # their loss is measured once an epoch

    def tokens(self, tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
        """For SFT: ids and loss masks of rows and replay, as TRL would tokenise them.

        TRL has no format for replay's mix of chats, texts, and answers without an end.
        """
        chats = [conversation_ids(tokenizer, row.with_system(self.system), row.chosen) for row in self.rows]
        return [_mask(*each) for each in (*chats, *(each.encode(tokenizer) for each in self.replay))]

    def fingerprint(self) -> str:
        """A short hash of the rows and pairs."""
        return fingerprint([*self.rows, *self.pairs])

    def lengths(self, tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
        """The tokens of each row's conversation with its longer reply, by the row's id."""
        found = {}
        for row in self.rows:
            asked = row.with_system(self.system)
            whole = [conversation_ids(tokenizer, asked, reply)[0] for _, reply in replies(row)]
            found[row.id] = max(map(len, whole))
        return found


def _mask(ids: list[int], asked: int) -> dict[str, Any]:
    """Token ids with the loss mask: 0 for the prompt, 1 for the reply."""
    return {"input_ids": ids, "completion_mask": [0] * asked + [1] * (len(ids) - asked)}


def prepare(
    settings: Settings,
    recipe: Recipe,
    rows: Sequence[Row],
    guide: Guide,
    limit: int | None = None,
    start: Path | None = None,
    own_rows: bool = False,
) -> TrainingData:
    """The data for the recipe's method; `start` is a run whose adapter is trained further, and `own_rows`
    says that the rows are not the sample's.

    Raises:
        UserError: there are no training rows, or no rejected replies for DPO, or the start doesn't fit.
    """
    train = [row for row in rows if row.split == "train"][:limit]
    if not train:
        raise UserError("there are no rows in the split train: give some rows that split")
    if blank := [row.id for row in train if not row.chosen.strip()]:
        raise UserError(f"row {blank[0]} has no reply: `data check` names all of these")
    if start:
        if recipe.tuning == "full":
            raise UserError("--from continues with an adapter: its recipe needs tuning lora or qlora")
        merge.check(settings, start)
        merge.read_config(start)  # refuses a run that trained all weights
    if recipe.method == "sft":
        examples = replay(settings, recipe.replay, own_rows=own_rows)
        dev = [row for row in rows if row.split == "dev"][:limit]
        return TrainingData(train, guide.system, examples, start=start, dev=dev)
    if recipe.method == "grpo":
        return TrainingData(train, guide.system, start=start, guide=guide)
    pairs = [row for row in train if row.rejected]
    if not pairs:
        raise UserError(
            "no row has a rejected reply, which DPO needs: take another recipe, or add a column rejected"
        )
    return TrainingData(train, guide.system, pairs=pairs, start=start)
