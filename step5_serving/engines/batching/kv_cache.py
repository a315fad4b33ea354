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
        self._llama = llama
        self.dtype = llama.kept_dtype
        self.context = llama.context
        self.clear()

    def clear(self) -> None:
        """Give up all slots; the next sequence gets new ones."""
        self.layers: list[Tensor] = []  # (2, slots, kv, places, dim) each
        self.slots = 0
        self.places = 0

    def resize(self, slots: int, places: int, kept: list[int]) -> None:
        """Change the number of slots and places; `kept`: how many places of the first slots to keep."""
        llama = self._llama
        for number in range(len(llama.layers)):
            # Zeros, not uninitialized memory: a masked place must hold a number, not NaN.
            new = _zeros((2, slots, llama.kv, places, llama.dim), self.dtype)
            for slot, n in enumerate(kept):
                new[:, slot, :, :n] = self.layers[number][:, slot, :, :n]
            self.layers[number : number + 1] = [new]  # one by one: memory never holds all layers twice
        self.slots = slots
        self.places = places

    def move(self, source: int, target: int, n: int) -> None:
        """Copy the first n places of a slot to another one."""
        for layer in self.layers:
            layer[:, target, :, :n] = layer[:, source, :, :n]

    def read(self, slot: int, start: int, end: int) -> list[Tensor]:
        """Copies of the blocks in the places from start to end: (layers, 2, kv, BLOCK, dim) each."""
        states = torch.stack([layer[:, slot, :, start:end] for layer in self.layers])
        return [block.clone() for block in states.split(BLOCK, 3)]

    def write(self, slot: int, start: int, blocks: list[Tensor]) -> None:
        """Write blocks into the places from start on."""
        states = torch.cat(blocks, 3)  # (layers, 2, kv, places, dim)
        end = start + states.shape[3]
        for layer, of_layer in zip(self.layers, states, strict=True):
            layer[:, slot, :, start:end] = of_layer


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Like torch.zeros, but the system allocates each page only when it is first used."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, **private)
    return torch.frombuffer(pages, dtype=torch.uint8).view(dtype).view(shape)
