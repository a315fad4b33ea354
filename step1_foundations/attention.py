"""Who looks at whom: attention weights as a table and a picture, and heads with a habit, found by score.

    $ python -m step1_foundations attention --layer 3 --head 0
    $ python -m step1_foundations attention --all          every head of every layer

A head's habit is the mean weight that it gives to one certain place:
    previous-token   the place before                                       on the given text
    sink             the first place, where a head parks what it doesn't need (Xiao et al. 2023, 2309.17453)
    induction        the place after this token's last appearance, on random tokens said twice
                     (Olsson et al. 2022, 2209.11895): such a head copies what came next the last time
A weight says where a head read, not what it made of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shared import models
from shared.config import Settings
from shared.errors import UserError
from step1_foundations.support import plots
from step1_foundations.support.model_parts import resolve_index
from step1_foundations.support.text import encode, piece

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedModel

LONGEST = 512  # all heads at once take layers * heads * T * T numbers
NAMED_FROM = 0.4  # a head that gives this much of its weight to one place, on average, gets the name
REPEATED = 48  # random tokens, said twice, to find induction heads


@torch.inference_mode()
def weights_of(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Attention weights (layers, heads, T, T): row t says where place t looks; rows add up to 1."""
    attentions = model(input_ids=ids, use_cache=False, output_attentions=True).attentions
    return torch.stack([layer[0].float() for layer in attentions])


def previous_token_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the place before, over places 2..T-1 (earlier it is also the first): (layers, heads)."""
    return weights.diagonal(offset=-1, dim1=-2, dim2=-1)[..., 1:].mean(dim=-1)


def sink_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean weight on the first place, over places 2..T-1: (layers, heads)."""
    return weights[..., 2:, 0].mean(dim=-1)


def induction_score(weights: torch.Tensor) -> torch.Tensor:
    """On n tokens said twice: mean weight on the place after this token's first appearance, (layers, heads).

    From the second token of the repetition on: the place to copy for the first one is itself.
    """
    n = weights.shape[-1] // 2
    return weights.diagonal(offset=1 - n, dim1=-2, dim2=-1)[..., -n + 1 :].mean(dim=-1)


def repeated_tokens(vocabulary: int, n: int, seed: int) -> torch.Tensor:
    """n random ids, then the same again: (1, 2n)."""
    generator = torch.Generator().manual_seed(seed)
    half = torch.randint(vocabulary, (n,), generator=generator)
    return torch.cat([half, half])[None]


def run(
    settings: Settings, text: str, layer: int | None, head: int | None, every: bool, out: Path
) -> dict[str, Any]:
    """Weights of one head (or a grid of all), and the heads whose habit has a name.

    Without a layer or head, the strongest previous-token head is shown.
    """
    if every and (layer is not None or head is not None):
        raise UserError("--all shows every head: leave out --layer and --head")
    tokenizer = models.load_tokenizer(settings=settings)
    model = models.load_causal_lm(settings=settings, attn_implementation="eager")
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    layer = layer if layer is None else resolve_index("layer", layer, layers)
    head = head if head is None else resolve_index("head", head, heads)
    ids = encode(tokenizer, text, LONGEST, what="text").to(model.device)
    if ids.shape[1] < 3:
        raise UserError(f"the text is {ids.shape[1]} tokens long: attention needs 3 or more to show a habit")

    weights = weights_of(model, ids)
    twice = repeated_tokens(len(tokenizer), REPEATED, settings.seed).to(model.device)
    scores = {
        "previous-token": previous_token_score(weights),
        "sink": sink_score(weights),
        "induction": induction_score(weights_of(model, twice)),
    }
    if layer is None or head is None:
        layer, head = _strongest(scores["previous-token"], layer, head)
    labels = [piece(tokenizer, int(i)) for i in ids[0]]
    found = {name: _named(score) for name, score in scores.items()}
    if every:
        _draw_all(weights, out)
    else:
        _draw_one(weights[layer, head], labels, f"layer {layer}, head {head}", out)
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in found.items())
    return {
        "command": "step1_foundations attention",
        "headline": f"of {layers * heads} heads: {counts}",
        "model": settings.model,
        "text": text,
        "tokens": labels,
        "layer": layer,
        "head": head,
        "all": every,
        "weights": [[round(float(w), 3) for w in row] for row in weights[layer, head]],
        "scores_of_head": {name: round(float(score[layer, head]), 3) for name, score in scores.items()},
        "named_from": NAMED_FROM,
        "places": {"previous-token": len(labels) - 2, "sink": len(labels) - 2, "induction": REPEATED - 1},
        "heads": found,
        "best": {name: round(float(score.max()), 3) for name, score in scores.items()},
        "picture": str(out),
    }


def _strongest(score: torch.Tensor, layer: int | None, head: int | None) -> tuple[int, int]:
    rows = range(score.shape[0]) if layer is None else [layer]
    columns = range(score.shape[1]) if head is None else [head]
    return max(((r, c) for r in rows for c in columns), key=lambda place: float(score[place]))


def _named(score: torch.Tensor) -> list[dict[str, Any]]:
    """Heads with at least NAMED_FROM, best first."""
    rows = [
        {"layer": int(r), "head": int(c), "score": round(float(score[r, c]), 3)}
        for r, c in (score >= NAMED_FROM).nonzero().tolist()
    ]
    return sorted(rows, key=lambda row: -float(row["score"]))


def _draw_one(weights: torch.Tensor, labels: list[str], title: str, out: Path) -> None:
    side = max(4.5, 0.34 * len(labels))
    figure = plots.new_figure(side + 1.2, side)
    axis = figure.subplots()
    shown = axis.imshow(weights.cpu().numpy(), cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 60:
        names = [plots.letters(label) for label in labels]
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xlabel("is looked at")
    axis.set_ylabel("looks")
    axis.set_title(title)
    figure.colorbar(shown, label="attention weight", shrink=0.8)
    plots.save(figure, out)


def _draw_all(weights: torch.Tensor, out: Path) -> None:
    layers, heads = weights.shape[:2]
    figure = plots.new_figure(1.1 * heads + 0.6, 1.1 * layers + 0.6)
    for (r, c), axis in zip(
        torch.cartesian_prod(torch.arange(layers), torch.arange(heads)),
        figure.subplots(layers, heads).flat,
        strict=True,
    ):
        axis.imshow(weights[r, c].cpu().numpy(), cmap="Blues", vmin=0, vmax=1)
        axis.set_xticks([])
        axis.set_yticks([])
        if c == 0:
            axis.set_ylabel(f"layer {r}", fontsize=8)
        if r == 0:
            axis.set_title(f"head {c}", fontsize=8)
    plots.save(figure, out)


def show(facts: dict[str, Any], console: Console) -> None:
    """The head's weights and the heads with a habit, for people."""
    from rich.table import Table
    from rich.text import Text

    scores = ", ".join(f"{name} {value:.2f}" for name, value in facts["scores_of_head"].items())
    console.print(f"Layer {facts['layer']}, head {facts['head']}: {scores}", style="bold", soft_wrap=True)
    table = Table("token", "looks at", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for token, row in zip(facts["tokens"], facts["weights"], strict=True):
        order = sorted(range(len(row)), key=lambda i: -row[i])[:3]
        looks = "   ".join(f"{facts['tokens'][i]} {row[i]:.0%}" for i in order if row[i] >= 0.05)
        table.add_row(Text(token), Text(looks))
    console.print(table)
    console.print(
        f"\nHeads with a habit (mean weight on that place at least {facts['named_from']})", style="bold"
    )
    habits = Table(
        "habit",
        "places",
        "heads",
        "strongest (layer.head score)",
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    for name, rows in facts["heads"].items():
        best = "  ".join(f"{row['layer']}.{row['head']} {row['score']:.2f}" for row in rows[:5])
        habits.add_row(
            name, str(facts["places"][name]), str(len(rows)), best or f"none; best {facts['best'][name]:.2f}"
        )
    console.print(habits)
    console.print(f"\nThe picture: {facts['picture']}", soft_wrap=True)
