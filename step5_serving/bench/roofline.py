"""The upper bound of decoding: to write one token, every weight must come from memory once.

    >>> bound(weight_bytes=269e6, bandwidth=21e9)
    78.06...

    269 MB of weights / 21 GB a second = 13 ms a token = 78 tokens a second, for one row

More rows share the same walk through the weights, so the bound grows with them until the arithmetic, and
each row's own keys and values, take longer than the walk (Williams et al. 2009, the roofline model).
"""

from __future__ import annotations

import time
from math import prod
from pathlib import Path
from typing import Any

MEASURED = 256 * 2**20  # bytes: more than any cache holds


def bound(weight_bytes: float, bandwidth: float) -> float:
    """Tokens a second that one row can't exceed."""
    return bandwidth / weight_bytes


def bandwidth(threads: int | None = None, seconds: float = 1.0) -> float:
    """Bytes a second that this machine reads from memory into arithmetic: the best of some walks."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        data = torch.ones(MEASURED // 4)
        best, end = 0.0, time.perf_counter() + seconds
        while time.perf_counter() < end or not best:
            start = time.perf_counter()
            data.sum()
            best = max(best, MEASURED / (time.perf_counter() - start))
        return best
    finally:
        torch.set_num_threads(before)


def weight_bytes(folder: Path, bytes_each: float) -> int:
    """Bytes that one token reads: every parameter of the safetensors once, an embedding that is the head too.

    Of an embedding that is not, a token reads one line, which doesn't count.
    """
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (it is no mapping)
                sizes[name] = prod(tensors.get_slice(name).get_shape())
    if "lm_head.weight" in sizes:
        sizes.pop("model.embed_tokens.weight")
    return round(sum(sizes.values()) * bytes_each)


def facts_of(folder: Path, dtype: str, threads: int) -> dict[str, Any]:
    """The line's numbers."""
    size = weight_bytes(folder, {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}[dtype])
    speed = bandwidth(threads)
    return {
        "dtype": dtype,
        "weight_mb": round(size / 1e6, 1),
        "bandwidth_gb_per_second": round(speed / 1e9, 1),
        "bound_tokens_per_second": round(bound(size, speed), 1),
    }
