"""The KV cache: a slot for each running sequence.

    keys, values   for each layer (2, slots, kv heads, places, dim)
    slot           keys and values of one sequence, in places 0 .. num_computed - 1
    places         the length of a slot; doubled for a longer sequence: then there are fewer slots

transformers' own cache grows by concatenation: every step copies all of it. Here a step writes one place per
token. vLLM cuts the cache into pages (PagedAttention, Kwon et al. 2023, arXiv:2309.06180), so that a sequence
takes as many as it needs; with slots, one long sequence makes all slots long.
"""

import math
import mmap

import torch
from torch import Tensor

from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.prefix_cache import BLOCK

FIRST = 512  # fewest places of a slot


class KVCache:
    """Keys and values of all slots; at first there are none."""

    def __init__(self, llama: Llama) -> None:
        self._llama, self.dtype, self.context = llama, llama.kept_dtype, llama.context
        self.clear()

    def clear(self) -> None:
        """Give up all slots; the next sequence gets new ones."""
        self.layers: list[Tensor] = []  # (2, slots, kv, places, dim) each
        self.slots = self.places = 0

    def resize(self, slots: int, places: int, held: list[int]) -> None:
        """Change the number of slots and places; `held`: how many places of the first slots to keep."""
        llama, layers = self._llama, self.layers
        for number in range(len(llama.layers)):
            # Zeros, not uninitialized memory: a masked place must hold a number, not NaN.
            new = _zeros((2, slots, llama.kv, places, llama.dim), self.dtype)
            for slot, n in enumerate(held):
                new[:, slot, :, :n] = layers[number][:, slot, :, :n]
            layers[number : number + 1] = [new]  # one by one: memory never holds all layers twice
        self.slots, self.places = slots, places

    def move(self, source: int, target: int, n: int) -> None:
        """Copy the first n places of a slot to another one."""
        for each in self.layers:
            each[:, target, :, :n] = each[:, source, :, :n]

    def read(self, slot: int, start: int, end: int) -> list[Tensor]:
        """Copies of the blocks in the places from start to end: (layers, 2, kv, BLOCK, dim) each."""
        held = torch.stack([each[:, slot, :, start:end] for each in self.layers])
        return [each.clone() for each in held.split(BLOCK, 3)]

    def write(self, slot: int, start: int, blocks: list[Tensor]) -> None:
        """Write blocks into the places from start on."""
        held = torch.cat(blocks, 3)
        for layer, each in zip(self.layers, held, strict=True):
            layer[:, slot, :, start : start + held.shape[3]] = each


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Like torch.zeros, but the system allocates each page only when it is first used."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, **private)
    return torch.frombuffer(pages, dtype=torch.uint8).view(dtype).view(shape)
