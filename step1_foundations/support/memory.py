"""How much memory decoding one token reads, and how long reading that takes on this machine."""

from __future__ import annotations

import time
from typing import Any

import torch


def read_weights(model: Any) -> list[torch.Tensor]:
    """The weights that one decode step reads: each once, but an untied embedding table not at all."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    if getattr(head, "weight", None) is not table:
        tensors.pop(table.data_ptr())  # only one row of it is read
    return list(tensors.values())


def megabytes(tensors: list[torch.Tensor]) -> float:
    """The size of the tensors in megabytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def seconds_to_decode(model: Any, tokens: int) -> float | None:
    """Seconds to read the weights once for each token: the least that decoding takes. None off the CPU."""
    return tokens * seconds_to_read(read_weights(model)) if model.device.type == "cpu" else None


@torch.inference_mode()
def seconds_to_read(tensors: list[torch.Tensor]) -> float:
    """How long this machine takes to read the tensors once where they are: best of three."""
    flat = [tensor.detach().view(-1) for tensor in tensors]
    flat = [part[: len(part) // 2 * 2].view(torch.bfloat16) for part in flat]  # one kernel for every dtype

    def once() -> float:
        start = time.perf_counter()
        for part in flat:
            part.sum()
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(3))
