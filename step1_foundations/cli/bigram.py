"""`bigram`: the smallest language model, trained in front of you, and compared with a real one."""

import math
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from shared.cli import HIDDEN, Console, plain_table
from step1_foundations import bigram
from step1_foundations.next_token import predict

TRAINING_PART = 0.8  # of the text; the rest is held out
SAMPLE = 40  # letters


@dataclass(frozen=True)
class Row:
    """One way to predict the next letter: its loss in bits per letter."""

    name: str
    train: float | None  # on the letters that it was trained on
    held_out: float  # on letters that no bigram has seen
    sample: str  # letters that it wrote


@dataclass(frozen=True)
class BigramReport:
    """What `bigram` measured."""

    command: str
    headline: str
    letters: int  # of the text
    steps: int
    learning_rate: float
    rows: list[Row]
    losses: list[float] = field(metadata=HIDDEN)  # before each step


def train_and_compare(
    steps: int,
    learning_rate: float,
    seed: int,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    name: str,
) -> BigramReport:
    """Train a bigram on the story's first four fifths; measure it, its rivals and the model on the rest."""
    text = bigram.STORY.read_text(encoding="utf-8")
    ids = bigram.encode(text)  # (T,)
    cut = round(TRAINING_PART * len(ids))
    seen = ids[:cut]
    held_out = ids[cut:]

    def row(name: str, weights: torch.Tensor) -> Row:
        train = float(bigram.bits_per_letter(weights, seen))
        test = float(bigram.bits_per_letter(weights, held_out))
        written = bigram.write(weights, SAMPLE, torch.Generator().manual_seed(seed))
        return Row(name, round(train, 3), round(test, 3), written)

    trained = bigram.train(seen, steps, learning_rate)
    counted = bigram.weights_from_counts(bigram.count_pairs(seen))
    rows = [
        row("uniform guess", torch.zeros(bigram.V, bigram.V)),
        row("counted", counted),
        row(f"trained, {steps} step{'s' if steps != 1 else ''}", trained.weights),
        Row(name, None, round(model_bits_per_letter(model, tokenizer, ids, cut), 3), ""),
    ]
    return BigramReport(
        command="step1_foundations bigram",
        headline=f"trained {rows[2].held_out:.2f} bits per letter, counted {rows[1].held_out:.2f}, "
        f"a uniform guess {math.log2(bigram.V):.2f}, {name} {rows[3].held_out:.2f}",
        letters=len(ids),
        steps=steps,
        learning_rate=learning_rate,
        rows=rows,
        losses=trained.losses,
    )


def model_bits_per_letter(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, ids: torch.Tensor, cut: int
) -> float:
    """The model's surprisal per letter from letter `cut` on; it reads the letters before as well."""
    letters = "".join(bigram.LETTERS[i] for i in ids.tolist())
    before = len(tokenizer(letters[:cut]).input_ids)
    tokens = tokenizer(letters, return_tensors="pt").input_ids.to(model.device)  # (1, T)
    surprisal = predict(model, tokens).surprisal[before - 1 :]  # bits, of the tokens after the cut
    return float(surprisal.sum()) / len(tokenizer.decode(tokens[0, before:]))


def show(report: BigramReport, console: Console) -> None:
    """The loss of each model, and what it writes."""
    rows = []
    for row in report.rows:
        train = "-" if row.train is None else f"{row.train:.2f}"
        rows.append((row.name, train, f"{row.held_out:.2f}", row.sample))
    columns = ("training text", "held-out text")
    console.print(plain_table("bits per letter", *columns, "writes", rows=rows, right=columns))
