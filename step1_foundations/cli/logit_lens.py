"""`logit-lens`: the model's best guesses for the next token, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli import Console, plain_table
from shared.report.record import new_figure, picture_path
from step1_foundations.cli.loading import load_model_and_text
from step1_foundations.cli.pictures import drawable, save
from step1_foundations.logit_lens import Lens, read_layers
from step1_foundations.support.text import piece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from shared.config import Settings

DEPTHS = 8  # shown without --all: the last ones
POSITIONS = 6
POSITIONS_OF_ALL = 10  # more do not fit into the picture
LABEL = 12  # letters of a token that fit into a cell


@dataclass(frozen=True)
class Depth:
    """The guesses at one depth, for the last n positions."""

    after: str  # "embedding" or "layer 0"
    guesses: list[str]  # n tokens
    p: list[float]  # their n probabilities
    p_answer: float  # at the last position: of the model's final answer
    rank_of_answer: int  # its rank there, from 1


@dataclass(frozen=True)
class LensReport:
    """The guesses at the depths that are shown."""

    command: str
    headline: str
    model: str
    read: list[str]  # the last n tokens of the text
    layers: list[Depth]  # the last layer is the last
    picture: Path


def read_guesses(settings: Settings, text: str, every: bool, out: Path | None) -> LensReport:
    """Read the guesses at the last eight depths, or at all of them with `every`, and draw them.

    Raises:
        UserError: the model is not available or not Llama-shaped, the text is empty or too long, or the
            picture can't be written.
    """
    path = picture_path("step1_foundations", "logit-lens", out)
    tokenizer, model, ids = load_model_and_text(settings, text)
    lens = read_layers(model, ids)
    depths = len(lens.guesses)
    first = 0 if every else max(0, depths - DEPTHS)
    positions = POSITIONS_OF_ALL if every else POSITIONS
    answer = piece(tokenizer, lens.answer)
    report = LensReport(
        command="step1_foundations logit-lens",
        headline=f"{answer!r} is the best guess from {depth_name(lens.settled_depth)} on; "
        f"{depth_name(depths - 1)} is the last",
        model=settings.model,
        read=[piece(tokenizer, token) for token in ids[0, -positions:].tolist()],
        layers=[guesses_at(tokenizer, lens, depth, positions) for depth in range(first, depths)],
        picture=path,
    )
    draw(report)
    return report


def depth_name(depth: int) -> str:
    """Depth 0 is before the first block, layer 0."""
    return "embedding" if depth == 0 else f"layer {depth - 1}"


def guesses_at(tokenizer: PreTrainedTokenizerFast, lens: Lens, depth: int, positions: int) -> Depth:
    """The guesses at one depth for the last `positions` tokens."""
    return Depth(
        after=depth_name(depth),
        guesses=[piece(tokenizer, token) for token in lens.guesses[depth, -positions:].tolist()],
        p=[round(p, 4) for p in lens.p_guess[depth, -positions:].tolist()],
        p_answer=round(float(lens.p_answer[depth]), 4),
        rank_of_answer=int(lens.rank_of_answer[depth]),
    )


def show(report: LensReport, console: Console) -> None:
    """The best guess for the next token at every depth."""
    rows = []
    for depth in report.layers:
        p_guess = f"{depth.p[-1]:.1%}"
        p_answer = f"{depth.p_answer:.1%}"
        rows.append((depth.after, depth.guesses[-1], p_guess, p_answer, f"{depth.rank_of_answer:,}"))
    columns = ("after", "best guess", "its p", "answer's p", "answer's rank")
    console.print(plain_table(*columns, rows=rows, right=columns[2:]))
    console.print(f"\n{report.headline}\nThe picture: {report.picture}", soft_wrap=True)


def draw(report: LensReport) -> None:
    """A cell per depth and position: the best guess, darker if more probable; the rows of the table."""
    columns = len(report.read)
    rows = len(report.layers)
    figure = new_figure(2.4 + 1.25 * columns, 1.8 + 0.42 * rows)
    axis = figure.subplots()
    probabilities = [depth.p for depth in report.layers]  # (rows, columns)
    image = axis.imshow(probabilities, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for y, depth in enumerate(report.layers):
        for x, token in enumerate(depth.guesses):
            colour = "white" if depth.p[x] > 0.5 else "black"
            label = drawable(token[:LABEL])
            axis.text(x, y, label, ha="center", va="center", fontsize=9, color=colour)
    axis.set_xticks(range(columns), [drawable(token[:LABEL]) for token in report.read])
    axis.set_yticks(range(rows), [depth.after for depth in report.layers])
    axis.set_xlabel("token that was read; its column shows the best guess for the next one")
    axis.set_title(drawable(report.headline), fontsize=12)
    figure.colorbar(image, label="probability of the guess")
    save(figure, report.picture, report)
