"""`attention`: which token attends to which in one head, and how many heads have a known type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli import Console, plain_table
from shared.report.record import new_figure, picture_path
from step1_foundations.attention import (
    TYPE_THRESHOLD,
    HeadType,
    attention_weights,
    head_scores,
    heads_of_type,
)
from step1_foundations.cli.loading import load_model_and_text
from step1_foundations.cli.pictures import drawable, save
from step1_foundations.support.model_parts import resolve_index
from step1_foundations.support.text import piece

if TYPE_CHECKING:
    from shared.config import Settings

MAX_NAMED = 60  # more tokens than this can't be read beside the picture


@dataclass(frozen=True)
class AttentionReport:
    """The attention weights of one head, and the heads of each type in the whole model."""

    command: str
    headline: str
    model: str
    tokens: list[str]  # T tokens
    layer: int
    head: int
    weights: list[list[float]]  # (T, T), row t: the weights of position t
    scores_of_head: dict[str, float]  # by type
    named_from: float  # a head has a type if its score is at least this
    types: dict[str, HeadType]
    picture: Path


def find_heads(
    settings: Settings, text: str, layer: int | None, head: int | None, out: Path | None
) -> AttentionReport:
    """Score all heads on the text, and draw one: by default the strongest previous-token head.

    Raises:
        UserError: the model is not available, the text has too few or too many tokens, there is no such layer
            or head, or the picture can't be written.
    """
    path = picture_path("step1_foundations", "attention", out)
    tokenizer, model, ids = load_model_and_text(settings, text, min_tokens=3, attn_implementation="eager")
    weights = attention_weights(model, ids)  # (layers, heads, T, T)
    scores = head_scores(model, weights, len(tokenizer), settings.seed)
    types = {name: heads_of_type(score) for name, score in scores.items()}
    layers, heads, _, _ = weights.shape
    best = types["previous-token"].strongest[0]
    layer = best.layer if layer is None else resolve_index("layer", layer, layers)
    head = best.head if head is None else resolve_index("head", head, heads)
    counts = ", ".join(f"{type_.heads} {name}" for name, type_ in types.items())
    report = AttentionReport(
        command="step1_foundations attention",
        headline=f"of {layers * heads} heads: {counts}",
        model=settings.model,
        tokens=[piece(tokenizer, token) for token in ids[0].tolist()],
        layer=layer,
        head=head,
        weights=[rounded(row) for row in weights[layer, head].tolist()],
        scores_of_head={name: float(score[layer, head]) for name, score in scores.items()},
        named_from=TYPE_THRESHOLD,
        types=types,
        picture=path,
    )
    draw(report)
    return report


def rounded(row: list[float]) -> list[float]:
    """The weights of one position, with three decimals."""
    return [round(weight, 3) for weight in row]


def show(report: AttentionReport, console: Console) -> None:
    """The head's weights, and the heads of each type."""
    scores = ", ".join(f"{name} {score:.2f}" for name, score in report.scores_of_head.items())
    console.print(f"Layer {report.layer}, head {report.head}: {scores}", style="bold", soft_wrap=True)
    rows = []
    for token, weights in zip(report.tokens, report.weights, strict=True):
        rows.append((token, strongest_weights(report.tokens, weights)))
    console.print(plain_table("token", "looks at", rows=rows))
    rows = []
    for name, type_ in report.types.items():
        strongest = "  ".join(f"{best.layer}.{best.head} {best.score:.2f}" for best in type_.strongest)
        rows.append((name, str(type_.heads), strongest))
    columns = ("type", f"heads >= {report.named_from}", "strongest: layer.head score")
    console.print("", plain_table(*columns, rows=rows), sep="\n")
    console.print(f"\nThe picture: {report.picture}", soft_wrap=True)


def strongest_weights(tokens: list[str], weights: list[float]) -> str:
    """The up to three tokens that get at least 5 % of a position's weight."""
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    return "   ".join(f"{tokens[i]} {weights[i]:.0%}" for i in order[:3] if weights[i] >= 0.05)


def draw(report: AttentionReport) -> None:
    """One head's weights: each row adds up to 1."""
    names = [drawable(token) for token in report.tokens]
    side = max(4.5, 0.36 * len(names))  # inches
    figure = new_figure(side + 1.4, side + 0.4)
    axis = figure.subplots()
    image = axis.imshow(report.weights, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MAX_NAMED:
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xlabel("token that is looked at")
    axis.set_ylabel("token that looks")
    scores = report.scores_of_head
    kind = max(scores, key=lambda name: scores[name])
    axis.set_title(f"Layer {report.layer}, head {report.head}: {kind}, {scores[kind]:.0%} of its weight")
    figure.colorbar(image, label="attention weight", shrink=0.8)
    save(figure, report.picture, report)
