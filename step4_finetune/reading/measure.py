"""How well does a reader read? Measured on passages that training never saw.

    $ python -m step4_finetune reader
    sentence right   1,000  81% (78-83)
    ...

held_out/ has passages of the same authors as those for training, about other organisations. For each of their
questions: is the sentence with the highest score the one that answers? And does a question that the passage
answers get a higher score than one that it doesn't (AUROC: .5 is guessing)? Near misses are the authors' own;
*deleted* are the answered questions once more, without the sentence that answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

from shared.config import Settings
from shared.models.load import load_fast_tokenizer
from shared.progress import track
from shared.reader.window import Window
from shared.stats import Share, share, subset
from step4_finetune.reading.data import Example, PassageRow, own_examples, read_passages
from step4_finetune.reading.model import Batch, ReaderModel
from step4_finetune.reading.training import load, load_base

HELD_OUT = Path(__file__).with_name("held_out")
BATCH = 16


@dataclass(frozen=True)
class Answered:
    """What a reader says of an example."""

    example: Example
    sentence: int  # the one with the highest score, from 0
    score: float  # its score minus that of "not here"
    answering: int | None  # the sentence that answers; None: none does, or the window lacks it


@dataclass(frozen=True, kw_only=True)
class ReaderReport:
    """What `reader` measured."""

    command: str = "step4_finetune reader"
    headline: str
    passages: int
    right: Share  # of the answered questions: the sentence with the highest score answers
    right_by_cosine: Share  # the same before training
    right_first: Share  # the same if it always were the first sentence
    near: float  # AUROC, answered questions against near misses
    near_by_cosine: float
    deleted: float  # AUROC, answered questions against the same without their sentence
    deleted_by_cosine: float


def run(settings: Settings, path: Path, limit: int | None = None) -> ReaderReport:
    """Measure the reader in a file.

    Raises:
        UserError: the file can't be loaded.
    """
    rows = subset(read_passages(HELD_OUT), limit, settings.seed)
    tokenizer = load_fast_tokenizer(settings.embedder, settings)
    trained = read_all(load(settings, path), rows, tokenizer, "reading")
    before = read_all(ReaderModel(load_base(settings), trained=False), rows, tokenizer, "comparing cosines")
    answered = [one for one in trained if one.example.kind == "answered"]
    found = share_right(answered)
    first = sum(one.answering == 0 for one in answered)
    return ReaderReport(
        headline=f"{found.hits} of {found.n} sentences right",
        passages=len(rows),
        right=found,
        right_by_cosine=share_right([one for one in before if one.example.kind == "answered"]),
        right_first=share(first, len(answered)),
        near=auroc(trained, "near"),
        near_by_cosine=auroc(before, "near"),
        deleted=auroc(trained, "deleted"),
        deleted_by_cosine=auroc(before, "deleted"),
    )


@torch.inference_mode()
def read_all(
    model: ReaderModel, rows: Sequence[PassageRow], tokenizer: Tokenizer, label: str
) -> list[Answered]:
    """Read all examples of some passages, sorted by length, so that batches need little padding."""
    model.eval()
    pairs = []
    for example in own_examples(rows):
        pairs.append((example, Window.of(tokenizer, example.question, example.title, example.passage)))
    pairs.sort(key=lambda pair: len(pair[1].ids))
    batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    answered = []
    for batch in track(label, batches):
        scores = model(Batch.of([window for _, window in batch]))  # (batch, 1 + sentences)
        for (example, window), (nowhere, *sentences) in zip(batch, scores.tolist(), strict=True):
            best = max(range(len(sentences)), key=sentences.__getitem__)
            answering = window.sentence_at(*example.answer) if example.answer else None
            answered.append(Answered(example, best, sentences[best] - nowhere, answering))
    return answered


def share_right(answered: Sequence[Answered]) -> Share:
    """Of answered questions: those whose chosen sentence answers."""
    return share(sum(one.sentence == one.answering for one in answered), len(answered))


def auroc(answered: Sequence[Answered], kind: str) -> float:
    """P(an answered question scores higher than one of the other kind), ties count half."""
    chosen = [one for one in answered if one.example.kind in ("answered", kind)]
    labels = [one.example.kind == "answered" for one in chosen]
    return round(float(roc_auc_score(labels, [one.score for one in chosen])), 3)
