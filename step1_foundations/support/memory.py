"""How many bytes of weights decoding a token reads, and how long that takes on this machine."""

import time
from typing import Any

import torch


def read_weights(model: Any) -> list[torch.Tensor]:
    """The weights that one decode step reads: each tensor once, but not an untied embedding table."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    if getattr(head, "weight", None) is not table:
        tensors.pop(table.data_ptr())  # a decode step reads only one of its rows
    return list(tensors.values())


def megabytes(tensors: list[torch.Tensor]) -> float:
    """The size of the tensors in megabytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6


def seconds_to_decode(model: Any, tokens: int) -> float | None:
    """Seconds to read the weights once per token, a lower bound for decoding; None for a GPU."""
    return tokens * seconds_to_read(read_weights(model)) if model.device.type == "cpu" else None


@torch.inference_mode()
def seconds_to_read(tensors: list[torch.Tensor]) -> float:
    """Seconds that this machine takes to read the tensors once, without copying them: best of three."""
    flat = [tensor.detach().view(-1) for tensor in tensors]
    flat = [part[: len(part) // 2 * 2].view(torch.bfloat16) for part in flat]  # one kernel for all dtypes

    def once() -> float:
        start = time.perf_counter()
        for part in flat:
            part.sum()
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(3))
