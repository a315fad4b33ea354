"""What the model would say if it stopped after layer 0, 1, 2 ...: how an answer forms over depth.

    $ python -m step1_foundations logit-lens "The capital of France is Paris, and the capital of Japan is"
    layer 28   ·Sh                    10.4%                    5.6%                  3
    layer 29   ·Tokyo                 96.2%                   96.2%                  1

The stream after each block is put through the last norm and the head as if it were the end (nostalgebraist
2020, "interpreting GPT: the logit lens"). It shows what can be read off there by that head, not all that
the layer knows: early layers were never trained to be read this way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shared import models
from shared.config import Settings
from step1_foundations.support import plots
from step1_foundations.support.model_parts import model_parts, residual_stream
from step1_foundations.support.text import context_of, encode, piece

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_PLACES = 10  # columns of the picture: the last places of the text


@torch.inference_mode()
def run(settings: Settings, text: str, out: Path) -> dict[str, Any]:
    """Each layer's best guess at every place, and the final answer's probability and rank over depth.

    Raises:
        UserError: a text that is empty or too long, or a model of another shape.
    """
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(settings=settings)
    parts = model_parts(model)
    ids = encode(tokenizer, text, min(context_of(model), 512), what="text").to(model.device)
    states, logits = residual_stream(model, ids)
    answer = int(logits[-1].argmax())
    layers: list[dict[str, Any]] = []
    grid: list[list[tuple[str, float]]] = []
    for depth, state in enumerate(states):  # depth 0: the embedding alone
        p = parts.head(parts.norm(state[-SHOWN_PLACES:])).float().softmax(dim=-1)  # (places, V)
        best = p.max(dim=-1)
        grid.append(
            [(piece(tokenizer, int(i)), float(v)) for v, i in zip(best.values, best.indices, strict=True)]
        )
        layers.append(
            {
                "after_layer": depth - 1 if depth else None,
                "guess": grid[-1][-1][0],
                "p_guess": round(grid[-1][-1][1], 4),
                "p_answer": round(float(p[-1, answer]), 4),
                "rank_of_answer": int((p[-1] > p[-1, answer]).sum()) + 1,
            }
        )
    settled = len(layers) - 1  # the last layer leads by definition; from where on did it?
    while settled and layers[settled - 1]["rank_of_answer"] == 1:
        settled -= 1
    labels = [piece(tokenizer, int(i)) for i in ids[0, -SHOWN_PLACES:]]
    _draw(grid, labels, out)
    name = piece(tokenizer, answer)
    where = (
        f"after layer {layers[settled]['after_layer']} of {len(layers) - 2}" if settled else "from the start"
    )
    return {
        "command": "step1_foundations logit-lens",
        "headline": f"the next token {name!r} leads {where} on",
        "model": settings.model,
        "text": text,
        "answer": name,
        "settled_after_layer": layers[settled]["after_layer"],
        "layers": layers,
        "picture": str(out),
    }


def _draw(grid: list[list[tuple[str, float]]], labels: list[str], out: Path) -> None:
    depth, width = len(grid), len(labels)
    figure = plots.new_figure(2 + 1.2 * width, 1.2 + 0.26 * depth)
    axis = figure.subplots()
    shown = axis.imshow([[p for _, p in row] for row in grid], aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for y, row in enumerate(grid):
        for x, (token, p) in enumerate(row):
            colour = "white" if p > 0.5 else "black"
            axis.text(x, y, plots.letters(token[:14]), ha="center", va="center", fontsize=7, color=colour)
    axis.set_xticks(range(width), [plots.letters(label[:14]) for label in labels], rotation=30, ha="right")
    axis.set_yticks(range(depth), ["embedding", *(f"layer {i}" for i in range(depth - 1))], fontsize=7)
    axis.set_xlabel("token that was read; the cell says what would come next")
    figure.colorbar(shown, label="probability")
    plots.save(figure, out)


def show(facts: dict[str, Any], console: Console) -> None:
    """The best guess at every depth, for people."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("after")
    table.add_column("best guess")
    for name in ("its probability", "the answer's probability", "the answer's rank"):
        table.add_column(name, justify="right")
    for row in facts["layers"]:
        depth = "embedding" if row["after_layer"] is None else f"layer {row['after_layer']}"
        right = row["rank_of_answer"] == 1
        guess = Text(row["guess"], "green" if right else "")
        table.add_row(
            depth, guess, f"{row['p_guess']:.1%}", f"{row['p_answer']:.1%}", f"{row['rank_of_answer']:,}"
        )
    console.print(table)
    console.print(f"\n{facts['headline']}", markup=False, soft_wrap=True)
    console.print(f"Every place of the text: {facts['picture']}", soft_wrap=True)
