"""How much memory a training run on a processor will take, counted before it starts.

    >>> shape = SIZES["SmolLM2-135M"]
    >>> describe(estimate(shape, read_recipe(), "sft", length=200, scored=70, dtype="bfloat16"))
    'about 2.3 GB: activations 0.79, libraries 0.65, logits 0.57, weights 0.27, the rest 0.02'

Weights, their gradients and Adam's two averages don't depend on the data. The rest grows with batch * length:
each layer from the first trained one upwards keeps what its backward pass will ask for, and the head compares
tokens with the whole vocabulary, which is most of it in a small model. So the head looks only at those that
are to be learnt (trainers.score_replies_only). TRL takes the vocabulary in tiles, of at most 4,096 tokens by
32,768 words; a tile goes through half a dozen copies.

Counted for transformers' Llama under TRL's trainers, without activation checkpointing, with the
log-probabilities of DPO's reference computed beforehand. Peaks measured with SmolLM2-135M were 0.95 to 1.16
of it.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from step4_finetune.models.sizes import Shape
from step4_finetune.train.recipe import Recipe

LIBRARIES = 650e6  # Python with torch, transformers, PEFT and TRL, before a model is there
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NF4 = 0.516  # bytes a weight: four bits, and the scales
TILE_TOKENS, TILE_WORDS = 4096, 32768  # trl/kernels/chunked_logprob.py
CGROUP = Path("/sys/fs/cgroup")
Parts = dict[str, float]  # bytes by what they are for


def estimate(shape: Shape, recipe: Recipe, method: str, length: int, scored: int, dtype: str) -> Parts:
    """The peak of one step, if all of it is there at once.

    `length`: tokens of the longest row, prompt and reply; `scored`: of the longest reply.
    """
    width, full, lora = BYTES[dtype], recipe.tuning == "full", recipe.lora
    layers = min(shape.layers, (not full and lora.last_layers) or shape.layers)
    rows = getattr(recipe, method).batch_size * (2 if method == "dpo" else 1)  # a pair is two rows
    tokens = rows * length
    adapters = 0 if full else shape.adapters(lora.targets, lora.r, layers)
    trained = shape.parameters if full else adapters
    quantised = shape.layers * shape.linear if recipe.tuning == "qlora" else 0
    # What a layer keeps of each token: what went into q, k, v; q, k, v themselves and what attention made of
    # them, twice; what went into gate and up: 8 vectors of the stream's width. Of the inner width: gate,
    # silu(gate), up, their product. The two norms keep the stream in float32. Beside adapters, x Aᵀ.
    kept = width * (8 * shape.hidden + 4 * shape.ffn) + 4 * 2 * shape.hidden
    kept += 0 if full else width * lora.r * len(lora.targets)
    passing = tokens * width * 4 * (shape.hidden + shape.ffn)  # gradients of the layer that is worked on
    # A tile of logits as it is, and in float32: y, z, log p, p, the gradient, and three more in between.
    tile = min(rows * scored, TILE_TOKENS) * min(shape.vocab, TILE_WORDS)
    return {
        "libraries": LIBRARIES,
        "weights": quantised * NF4 + (shape.parameters - quantised) * width,
        "adapters": adapters * width,
        "gradients": trained * width,
        "optimizer": 2 * trained * width,
        "activations": tokens * layers * kept + passing,
        "logits": tile * (width + 7 * 4 + 1),
    }


def describe(parts: Parts) -> str:
    """In one line, the largest parts first, in GB."""
    largest = sorted(parts.items(), key=lambda part: -part[1])
    said = [f"{name} {size / 1e9:.2f}" for name, size in largest[:4]]
    rest = sum(size for _, size in largest[4:])
    return f"about {sum(parts.values()) / 1e9:.1f} GB: {', '.join(said)}, the rest {rest / 1e9:.2f}"


def free() -> float:
    """Bytes that this process may come to hold: what it holds already, and what is left.

    A container's limit counts too (cgroup v2), which the system's own figures don't show.
    """
    left = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())  # or the word max
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        left = min(left, limit - int((CGROUP / "memory.current").read_text()) + int(stat["inactive_file"]))
    except (OSError, ValueError, KeyError):
        pass
    return float(psutil.Process().memory_info().rss + max(0, left))
