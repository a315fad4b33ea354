"""Draws the commands' PNG files; each has a title that says what to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.cli import to_json
from shared.report.record import new_figure

if TYPE_CHECKING:
    import torch


def save(figure: Any, path: Path, results: dict[str, Any]) -> None:
    """Write the figure as a PNG file, with the results it shows as JSON in its description."""
    figure.savefig(path, dpi=120, format="png", metadata={"Description": json.dumps(to_json(results))})


def drawable(text: str) -> str:
    """Text that matplotlib's font can draw: letters it lacks become a box, and $ doesn't start a formula."""
    letters = (letter if ord(letter) < 0x500 or letter in "⏎⇥" else "□" for letter in text)
    return "".join(letters).replace("$", r"\$")


def draw_embeddings(results: dict[str, Any], vectors: dict[str, torch.Tensor], out: Path) -> None:
    """Each space (n, d), projected to its plane of largest variance."""
    from adjustText import adjust_text

    from step1_foundations.embeddings import project_to_plane, word_groups

    groups, figure = word_groups(), new_figure(14, 7.4)
    for axis, (name, space) in zip(figure.subplots(1, 2), vectors.items(), strict=True):
        flat, variance = project_to_plane(space)
        points, labels = iter(flat.tolist()), []
        axis.scatter(*flat.T, s=0)  # sets the axes' limits
        for k, words in enumerate(groups.values()):
            labels += [
                axis.text(*next(points), word, color=f"C{k}", ha="center", va="center") for word in words
            ]
        share = results["spaces"][name]["same_kind"]
        axis.set_title(
            f"{name}: for {share['hits']} of {share['n']} words, the nearest is of the same kind\n"
            f"(projected to the plane with the most variance, {variance:.0%} of it)"
        )
        axis.set_xticks([])
        axis.set_yticks([])
        axis.margins(0.1)
        figure.draw_without_rendering()  # computes the labels' sizes
        adjust_text(labels, ax=axis, avoid_self=False, expand=(1.05, 1.1))
    handles = [axis.scatter([], [], color=f"C{k}") for k in range(len(groups))]
    figure.legend(handles, groups, loc="outside lower center", ncols=len(groups))
    save(figure, out, results)


def draw_attention(results: dict[str, Any], out: Path) -> None:
    """One head's weights: each row adds up to 1."""
    names = [drawable(token) for token in results["tokens"]]
    side = max(4.5, 0.36 * len(names))
    figure = new_figure(side + 1.4, side + 0.4)
    axis = figure.subplots()
    shown = axis.imshow(results["weights"], cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 60:
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xlabel("token that is looked at")
    axis.set_ylabel("token that looks")
    scores = results["scores_of_head"]
    kind = max(scores, key=lambda name: scores[name])
    axis.set_title(
        f"Layer {results['layer']}, head {results['head']}: {kind}, {scores[kind]:.0%} of its weight"
    )
    figure.colorbar(shown, label="attention weight", shrink=0.8)
    save(figure, out, results)


def draw_logit_lens(results: dict[str, Any], out: Path) -> None:
    """A cell per depth and position: the best guess, darker if more probable; the last layer on top."""
    read, layers = results["read"], results["layers"]
    figure = new_figure(2.4 + 1.25 * len(read), 1.8 + 0.42 * len(layers))
    axis = figure.subplots()
    p = [layer["p"] for layer in layers]
    shown = axis.imshow(p, aspect="auto", cmap="Blues", vmin=0, vmax=1, origin="lower")
    for y, layer in enumerate(layers):
        for x, token in enumerate(layer["guesses"]):
            colour = "white" if p[y][x] > 0.5 else "black"
            axis.text(x, y, drawable(token[:12]), ha="center", va="center", fontsize=9, color=colour)
    axis.set_xticks(range(len(read)), [drawable(token[:12]) for token in read])
    axis.set_yticks(range(len(layers)), [layer["after"] for layer in layers])
    axis.set_xlabel("token that was read; its column shows the best guess for the next one")
    axis.set_title(drawable(results["headline"]), fontsize=12)
    figure.colorbar(shown, label="probability of the guess")
    save(figure, out, results)
