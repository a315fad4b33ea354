"""`embeddings`: a word's neighbours in the embedding table, and a map of words beside a sentence model's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from adjustText import adjust_text
from matplotlib.patheffects import withStroke

from shared import models
from shared.cli import Console, plain_table
from shared.report.record import new_figure, picture_path
from shared.stats import Share
from step1_foundations.cli.pictures import save
from step1_foundations.embeddings import (
    evaluate_space,
    nearest_of_each,
    neighbours,
    project_to_plane,
    table_encoder,
    token_ids,
    word_groups,
)
from step1_foundations.support.text import piece

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shared.config import Settings


@dataclass(frozen=True)
class Neighbour:
    """A token whose vector is similar to the word's."""

    token: str
    id: int
    cosine: float


@dataclass(frozen=True)
class SpaceScores:
    """How well an embedding space shows meaning; see `SpaceResult`."""

    same_kind: Share
    same_meaning: Share


@dataclass(frozen=True)
class EmbeddingsReport:
    """A word in the embedding table, and the table's scores beside those of a sentence model."""

    command: str
    headline: str
    model: str
    word: str
    pieces: list[str]  # the word's tokens
    table: tuple[int, int]  # the table's shape (V, d)
    neighbours: list[Neighbour]  # the most similar first
    words: list[str]  # n words to compare with each other
    cosines: list[list[float]]  # (n, n)
    spaces: dict[str, SpaceScores]  # by the name of the space
    picture: Path


def explore_embeddings(
    settings: Settings, word: str, top_k: int, words: list[str], out: Path | None
) -> EmbeddingsReport:
    """Find the word's `top_k` neighbours, compare `words` with each other, test both spaces and draw them.

    Raises:
        UserError: a model is not available, a word is empty, or the picture can't be written.
    """
    path = picture_path("step1_foundations", "embeddings", out)
    tokenizer = models.load_tokenizer(settings=settings)
    ids = token_ids(tokenizer, word)
    model: Any = models.load_causal_lm(settings=settings)
    table = model.get_input_embeddings().weight.detach().float().cpu()  # (V, d)
    encode = table_encoder(tokenizer, table)
    vectors = encode(words)  # (n, d), of unit length
    known = table[: len(tokenizer)]  # without the rows that only pad the table
    nearest = [
        Neighbour(piece(tokenizer, token), token, cosine) for token, cosine in neighbours(known, ids, top_k)
    ]
    embedder = models.load_embedder(settings=settings)

    def encode_with_embedder(texts: list[str]) -> torch.Tensor:
        return torch.from_numpy(embedder.encode(texts)).float()

    results = {
        "token table": evaluate_space(encode),
        settings.embedder: evaluate_space(encode_with_embedder),
    }
    spaces = {name: SpaceScores(space.same_kind, space.same_meaning) for name, space in results.items()}
    shares = [f"{name} {space.same_kind.hits} of {space.same_kind.n}" for name, space in spaces.items()]
    rows, width = table.shape
    report = EmbeddingsReport(
        command="step1_foundations embeddings",
        headline="nearest word is of the same kind: " + ", ".join(shares),
        model=settings.model,
        word=word,
        pieces=[piece(tokenizer, token) for token in ids],
        table=(rows, width),
        neighbours=nearest,
        words=words,
        cosines=(vectors @ vectors.T).tolist(),
        spaces=spaces,
        picture=path,
    )
    draw(report, {name: space.vectors for name, space in results.items()})
    return report


def show(report: EmbeddingsReport, console: Console) -> None:
    """Neighbours, cosines, and the test results of each embedding space."""
    if len(report.pieces) == 1:
        name = report.pieces[0]
    else:
        name = f"{report.word} (the mean of {' '.join(report.pieces)})"
    rows = [(token.token, f"#{token.id}", f"{token.cosine:.2f}") for token in report.neighbours]
    console.print(plain_table(f"nearest to {name}", "id", "cosine", rows=rows))
    rows = []
    for word, cosines in zip(report.words, report.cosines, strict=True):
        rows.append((word, *[f"{cosine:.2f}" for cosine in cosines]))
    console.print("", plain_table("cosine", *report.words, rows=rows), sep="\n")
    rows = []
    for space, scores in report.spaces.items():
        rows.append((space, share_text(scores.same_kind), share_text(scores.same_meaning)))
    questions = ("nearest word: same kind", "same meaning beats same word")
    console.print("", plain_table("share (95 % interval)", *questions, rows=rows), sep="\n")
    vocabulary, width = report.table
    console.print(
        f"\nThe table has {vocabulary:,} rows of {width} numbers. The map: {report.picture}",
        soft_wrap=True,
    )


def share_text(share: Share) -> str:
    """`9 of 10 (60 to 98 %)`."""
    low, high = share.interval_95
    return f"{share.hits} of {share.n} ({100 * low:.0f} to {100 * high:.0f} %)"


def draw(report: EmbeddingsReport, vectors: dict[str, torch.Tensor]) -> None:
    """A map for each space: its vectors (n, d), projected to their plane of largest variance."""
    groups = word_groups()
    figure = new_figure(14, 8)
    axes = figure.subplots(1, len(vectors))
    for axis, (name, space) in zip(axes, vectors.items(), strict=True):
        points, variance = project_to_plane(space)
        share = report.spaces[name].same_kind
        axis.set_title(
            f"{name}: {share.hits} of {share.n} lines stay within a colour\n"
            f"(a flat map: it shows {variance:.0%} of the variance)"
        )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.margins(0.1)
        draw_lines(axis, groups, points, nearest_of_each(space))
        labels = write_words(axis, groups, points)
        figure.draw_without_rendering()  # computes the labels' sizes
        adjust_text(labels, ax=axis, avoid_self=False, expand=(1.05, 1.1))
    figure.suptitle("A line leads from each word to its nearest; a black one leads to another kind of word")
    handles = [axis.scatter([], [], color=f"C{k}") for k in range(len(groups))]
    figure.legend(handles, groups, loc="outside lower center", ncols=len(groups))
    save(figure, report.picture, report)


def draw_lines(axis: Axes, groups: dict[str, list[str]], points: torch.Tensor, nearest: list[int]) -> None:
    """A line from each point (n, 2) to that of its nearest word, in the colour of their group."""
    group_of: list[int] = []  # of each word
    for k, words in enumerate(groups.values()):
        group_of.extend([k] * len(words))
    for i, j in enumerate(nearest):
        xs, ys = points[[i, j]].T.tolist()
        if group_of[i] == group_of[j]:
            axis.plot(xs, ys, color=f"C{group_of[i]}", alpha=0.4, linewidth=3)
        else:
            axis.plot(xs, ys, color="black", linewidth=1)


def write_words(axis: Axes, groups: dict[str, list[str]], points: torch.Tensor) -> list[Any]:
    """Write each word at its point (n, 2), in the colour of its group; returns matplotlib's texts."""
    outline = [withStroke(linewidth=3, foreground="white")]  # readable on a line
    labels = []
    for k, words in enumerate(groups.values()):
        for word in words:
            x, y = points[len(labels)].tolist()
            label = axis.text(x, y, word, color=f"C{k}", ha="center", va="center", path_effects=outline)
            labels.append(label)
    return labels
