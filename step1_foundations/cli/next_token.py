"""`next`: what the model predicts at every position of a text, and how well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.cli import Console, plain_table
from shared.errors import UserError
from shared.words import count
from step1_foundations.cli.loading import load_model_and_text
from step1_foundations.next_token import Predictions, predict
from step1_foundations.support.text import piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from shared.config import Settings


@dataclass(frozen=True)
class Guess:
    """A possible next token and its probability."""

    token: str
    p: float


@dataclass(frozen=True)
class Position:
    """A token of the text, and the prediction after it."""

    token: str
    surprisal_bits: float | None  # None for the first token: nothing comes before it
    next_entropy_bits: float
    next: list[Guess]  # the most probable first


@dataclass(frozen=True)
class NextReport:
    """The predictions for a text."""

    command: str
    headline: str
    model: str
    perplexity: float
    bits_per_character: float
    positions: list[Position]


def predict_next_tokens(settings: Settings, text: str, top_k: int) -> NextReport:
    """Predict after every token of the text, with the `top_k` best guesses.

    Raises:
        UserError: the model is not available, the text has too few or too many tokens, or a wrong top_k.
    """
    tokenizer, model, ids = load_model_and_text(settings, text, min_tokens=2)
    if not 1 <= top_k <= len(tokenizer):
        raise UserError(f"--top-k {top_k} is not allowed: use 1 to {len(tokenizer)}")
    predictions = predict(model, ids, top_k)
    tokens = ids[0].tolist()
    positions = [position(tokenizer, predictions, t, token) for t, token in enumerate(tokens)]
    predicted_text = tokenizer.decode(ids[0, 1:])  # without the first token, which has no surprisal
    bits = float(predictions.surprisal.sum()) / len(predicted_text)
    return NextReport(
        command="step1_foundations next",
        headline=f"perplexity {predictions.perplexity:.1f} over {count(len(tokens) - 1, 'token')}; "
        f"{bits:.2f} bits per character",
        model=settings.model,
        perplexity=round(predictions.perplexity, 3),
        bits_per_character=round(bits, 3),
        positions=positions,
    )


def position(tokenizer: PreTrainedTokenizerFast, predictions: Predictions, t: int, token: int) -> Position:
    """The token at position t, and the guesses for the one after it."""
    guesses = []
    for guess, p in zip(predictions.top_ids[t].tolist(), predictions.top_p[t].tolist(), strict=True):
        guesses.append(Guess(piece(tokenizer, guess), round(p, 4)))
    return Position(
        token=piece(tokenizer, token),
        surprisal_bits=round(float(predictions.surprisal[t - 1]), 3) if t else None,
        next_entropy_bits=round(float(predictions.entropy[t]), 3),
        next=guesses,
    )


def show(report: NextReport, console: Console) -> None:
    """The surprisal of each token, and the guesses for the next one."""
    rows = []
    for row in report.positions:
        surprisal = "-" if row.surprisal_bits is None else f"{row.surprisal_bits:.1f}"
        guesses = "  ".join(f"{guess.token} {guess.p:.0%}" for guess in row.next)
        rows.append((row.token, surprisal, f"{row.next_entropy_bits:.1f}", guesses))
    columns = ("token", "surprisal", "entropy after", "most probable next tokens")
    console.print(plain_table(*columns, rows=rows, right=columns[1:3]))
    console.print(f"\n{report.headline}")
