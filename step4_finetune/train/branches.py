"""Rows of a prefix and several branches: the prefix is read once, and each branch sees only it and itself.

    prefix   system message with the tools       P tokens, seen by all branches
    branch 1 "Is it warm in Rome?" -> calls      sees the prefix and itself, at positions P, P + 1, ...
    branch 2 "hello" -> []                       sees the prefix and itself, at positions P, P + 1, ...

One row for each question would repeat the prefix, a third of the text, and in plain packing a branch would
see those before it. Here the attention mask and the positions are as if each stood alone behind the prefix.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from shared.errors import UserError
from step4_finetune.data.files import digest, read_jsonl
from step4_finetune.train.training_data import TrainingData

Row = dict[str, Any]
Part = list[tuple[list[int], bool]]  # a prefix or a branch, in pieces: tokens, and whether they count
Parts = Callable[[Row, PreTrainedTokenizerBase], Iterator[Part]]  # the prefix of a row, then each branch
IGNORED = -100  # a label that the loss ignores


@dataclass(frozen=True)
class BranchData(TrainingData):
    """Training rows of a prefix and branches."""

    rows: Sequence[Any]
    parts: Parts = field(kw_only=True)

    def tokens(self, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
        """`input_ids` of each row, `completion_mask` (1 where the loss counts), `seq_lengths` (tokens of the
        prefix and of each branch)."""
        found = []
        for row in self.rows:
            parts = list(self.parts(row, tokenizer))
            pieces = [piece for part in parts for piece in part]
            found.append(
                {
                    "input_ids": [token for ids, _ in pieces for token in ids],
                    "completion_mask": [int(learn) for ids, learn in pieces for _ in ids],
                    "seq_lengths": [sum(len(ids) for ids, _ in part) for part in parts],
                }
            )
        return found

    def fingerprint(self) -> str:
        """A short hash of the rows."""
        return digest(self.rows, sort_keys=True)

    def lengths(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
        """The tokens of each row, by its number."""
        return {str(at): len(row["input_ids"]) for at, row in enumerate(self.tokens(tokenizer))}


def read(
    path: Path,
    task: str,
    fits: Callable[[Row], bool],
    parts: Parts,
    limit: int | None = None,
    start: Path | None = None,
) -> BranchData:
    """The first `limit` rows of a file that `data build` wrote for a task.

    `start` is the folder of an adapter that is trained further.

    `fits` says whether a row has the task's form; it may raise KeyError, TypeError or ValueError if not.

    Raises:
        UserError: the file is missing or empty, or a row has another form.
    """
    wanted = f"`python -m step4_finetune data build {task} --out DIR` writes DIR/train.jsonl"
    if not path.exists():
        raise UserError(f"there is no file {path}: {wanted}")
    rows = [row for _, row in islice(read_jsonl(path), limit)]
    try:
        all_fit = bool(rows) and all(map(fits, rows))
    except (KeyError, TypeError, ValueError):
        all_fit = False
    if not all_fit:
        raise UserError(f"{path} holds no rows of the recipe {task}: {wanted}")
    return BranchData(rows, system="the row's own", parts=parts, start=start)


def collate(rows: Sequence[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """A batch. `input_ids`, `labels`, `position_ids`: (rows, T); `attention_mask`: (rows, 1, T, T).

    The mask is True where a token (third dimension) sees another. transformers passes a mask of four
    dimensions on to the attention unchanged.
    """
    shape = (len(rows), max(len(row["input_ids"]) for row in rows))
    ids, labels = torch.full(shape, pad), torch.full(shape, IGNORED)
    positions = torch.zeros(shape, dtype=torch.long)
    parts = torch.full(shape, -1)  # 0: the prefix; 1, 2 ...: the branches; -1: padding
    for at, row in enumerate(rows):
        n, (prefix, *branches) = len(row["input_ids"]), row["seq_lengths"]
        ids[at, :n], labels[at, :n] = torch.tensor(row["input_ids"]), torch.tensor(row["labels"])
        each_at = [torch.arange(prefix), *(prefix + torch.arange(m) for m in branches)]
        positions[at, :n] = torch.cat(each_at)
        parts[at, :n] = torch.cat([torch.full_like(each, part) for part, each in enumerate(each_at)])
    one, other = parts[:, None, :, None], parts[:, None, None, :]
    seen = ((one == other) | (other == 0)).tril()  # the own branch and the prefix, nothing later
    return {"input_ids": ids, "labels": labels, "position_ids": positions, "attention_mask": seen}
