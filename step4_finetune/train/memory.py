"""How much memory a training run will take, counted before it starts.

    >>> describe(estimate(Shape.of(model.config), Plan(batch=8, length=200, last_layers=10)))
    'about 3.0 GB: logits 1.63, libraries 0.65, activations 0.45, weights 0.27, the rest 0.01'

Weights, their gradients and Adam's two averages don't depend on the data. The rest grows with batch * length:
each layer from the first trained one upwards keeps what its backward pass will ask for, and the head compares
tokens with the whole vocabulary, which is most of it in a small model. So the head looks only at those that
are to be learnt (trainers.score_replies_only). TRL takes the vocabulary in tiles, of at most 4,096 tokens by
32,768 words; on a CPU a tile goes through half a dozen copies.

Counted for transformers' Llama under TRL's trainers, without activation checkpointing, with the
log-probabilities of DPO's reference computed beforehand. Peaks measured with SmolLM2-135M on a CPU were 0.95
to 1.16 of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from step4_finetune.models.sizes import ALL_LINEAR, Shape
from step4_finetune.train.recipe import Recipe

LIBRARIES = 650e6  # Python with torch, transformers, PEFT and TRL, before a model is there
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NF4 = 0.516  # bytes a weight: four bits, and the scales
TILE_TOKENS, TILE_WORDS = 4096, 32768  # trl/kernels/chunked_logprob.py
CGROUP = Path("/sys/fs/cgroup")
Parts = dict[str, float]  # bytes by what they are for


@dataclass(frozen=True)
class Plan:
    """What the memory of a run depends on, beside the model."""

    batch: int  # rows of one step
    length: int  # tokens of the longest row, prompt and reply
    method: str = "sft"
    tuning: str = "lora"
    dtype: str = "bfloat16"
    r: int = 16
    targets: tuple[str, ...] = ALL_LINEAR
    last_layers: int | None = None  # adapters on these only; None: on all
    scored: int | None = None  # tokens of a row that the head looks at; None: all, as TRL does on a CPU
    device: str = "cpu"


def estimate(shape: Shape, plan: Plan) -> Parts:
    """The peak of one step, if all of it is there at once."""
    width, full = BYTES[plan.dtype], plan.tuning == "full"
    layers = min(shape.layers, (not full and plan.last_layers) or shape.layers)
    rows = plan.batch * (2 if plan.method == "dpo" else 1)  # a pair is two rows
    tokens = rows * plan.length
    adapters = 0 if full else shape.adapters(plan.targets, plan.r, layers)
    trained = shape.parameters if full else adapters
    quantised = shape.layers * shape.linear if plan.tuning == "qlora" else 0
    # What a layer keeps of each token: what went into q, k, v; q, k, v themselves and what attention made of
    # them, twice; what went into gate and up: 8 vectors of the stream's width. Of the inner width: gate,
    # silu(gate), up, their product. The two norms keep the stream in float32. Beside adapters, x Aᵀ.
    kept = width * (8 * shape.hidden + 4 * shape.ffn) + 4 * 2 * shape.hidden
    kept += 0 if full else width * plan.r * len(plan.targets)
    passing = tokens * width * 4 * (shape.hidden + shape.ffn)  # gradients of the layer that is worked on
    # A tile of logits as it is, and in float32: y, z, log p, p, the gradient, and three more in between.
    copies = width if plan.device == "cuda" else width + 7 * 4 + 1
    tile = min(rows * (plan.scored or plan.length), TILE_TOKENS) * min(shape.vocab, TILE_WORDS)
    return {
        "libraries": LIBRARIES,
        "weights": quantised * NF4 + (shape.parameters - quantised) * width,
        "adapters": adapters * width,
        "gradients": trained * width,
        "optimizer": 2 * trained * width,
        "activations": tokens * layers * kept + passing,
        "logits": tile * copies,
    }


def describe(parts: Parts) -> str:
    """In one line, the largest parts first, in GB."""
    largest = sorted(parts.items(), key=lambda part: -part[1])
    said = [f"{name} {size / 1e9:.2f}" for name, size in largest[:4]]
    rest = sum(size for _, size in largest[4:])
    return f"about {sum(parts.values()) / 1e9:.1f} GB: {', '.join(said)}, the rest {rest / 1e9:.2f}"


def plans(
    recipe: Recipe, length: int, dtype: str, device: str = "cpu", scored: int | None = None
) -> list[Plan]:
    """The stages of a recipe. `length` is that of the longest row, `scored` of the longest reply."""
    return [
        Plan(
            batch=getattr(recipe, method).batch_size,
            length=length,
            method=method,
            tuning=recipe.tuning,
            dtype=dtype,
            r=recipe.lora.r,
            targets=tuple(recipe.lora.targets),
            last_layers=recipe.lora.last_layers,
            scored=scored,
            device=device,
        )
        for method in recipe.method.split("+")
    ]


def free(device: str = "cpu") -> float:
    """Bytes that this process may come to hold: what it holds already, and what is left.

    A container's limit counts too (cgroup v2), which the system's own figures don't show.
    """
    if device == "cuda":
        import torch

        return float(torch.cuda.mem_get_info()[0]) + LIBRARIES  # those lie in the machine's own memory
    own = psutil.Process().memory_info().rss
    left = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())  # or the word max
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        used = int((CGROUP / "memory.current").read_text()) - int(stat.get("inactive_file", 0))
        left = min(left, limit - used)
    except (OSError, ValueError):
        pass
    return float(own + max(0, left))
