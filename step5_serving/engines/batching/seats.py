"""The KV cache: a seat for each row, taken when a request comes and given back when it ends.

    keys, values   for each layer (2, seats, kv, places, dim), allocated anew when seats change
    seat           a row sits in it with what it has read: places 0 .. read-1
    places         per seat; doubled when a longer request comes: then there are fewer seats

transformers' own cache grows by concatenation: every step copies all of it. Here a step writes one place a
row. vLLM cuts the places into pages, so that a long row takes room from no short one; with seats, one long
row makes all seats long.

A seat that was left still holds the prompt that was read there. A newcomer whose prompt begins alike (the
same system message, a conversation that goes on) sits there and need not read that again, or copies it from a
neighbour.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from step5_serving.engines.batching.llama import Llama

FIRST = 512  # places of a seat to begin with
STEP = 64  # attention looks at a multiple of so many places


class Seats:
    """Keys and values of all rows."""

    def __init__(
        self, llama: Llama, seats: int, places: int = FIRST, dtype: torch.dtype | None = None
    ) -> None:
        self._llama = llama
        self.dtype = dtype or llama.kept_dtype
        self.context = llama.context
        self._first = min(places, llama.context)
        self._layers: list[Tensor] = []  # (2, seats, kv, places, dim) each: keys, and values
        self.clear(seats)

    def clear(self, seats: int) -> None:
        """All of them empty, as at the beginning."""
        self._layers.clear()
        self.seats = self.places = 0
        self.resize(seats, self._first)

    def resize(self, seats: int, places: int, held: Sequence[int] = ()) -> None:
        """Another number of seats and places; of the first seats, as many places stay as each holds."""
        llama, old = self._llama, self._layers
        for number in range(len(llama.layers)):
            # Zeros, not whatever lies there: a masked place must hold a number.
            new = _zeros((2, seats, llama.kv, places, llama.dim), self.dtype)
            for seat, n in enumerate(held[:seats]):
                new[:, seat, :, : min(n, places)] = old[number][:, seat, :, : min(n, places)]
            old[number : number + 1] = [new]  # one layer at a time: not all of it twice
        self.seats, self.places = seats, places
        self._lines = [each.view(-1, llama.dim) for each in old]  # (2 * seats * kv * places, dim)
        self._seen: tuple[int, int, list[Tensor]] = (0, 0, [])

    def copy(self, source: int, target: int, places: int) -> None:
        """The first places of a seat to another one."""
        for each in self._layers:
            each[:, target, :, :places] = each[:, source, :, :places]

    def decode(self, ids: Sequence[int], positions: Sequence[int | None]) -> Tensor:
        """One token of every row from seat 0 on, each at its position: logits (rows, vocabulary).

        Where the position is None, it is nobody's turn: that seat stays as it is, and its logits say nothing.
        """
        llama, rows = self._llama, len(ids)
        # Who is not asked writes to the last place, which no row reaches: its last token is never read.
        at = torch.tensor([self.places - 1 if each is None else each for each in positions])  # (rows,)
        seen = torch.tensor([each or 0 for each in positions])
        looked = min(-(-(int(seen.max()) + 1) // STEP) * STEP, self.places)
        hidden = torch.zeros(rows, 1, 1, looked)
        hidden.masked_fill_(torch.arange(looked) > seen[:, None, None, None], float("-inf"))
        lines, known = self._lines_of(at), self._known(rows, looked)
        heads, group, dim = rows * llama.kv, llama.heads // llama.kv, llama.dim

        def attend(layer: int, q: Tensor, kv: Tensor) -> Tensor:
            self._lines[layer].index_copy_(0, lines, kv.reshape(-1, dim).to(self.dtype))
            keys, values = known[layer]  # (heads, looked, dim) each
            # Two plain products: scaled_dot_product_attention takes longer for so few queries, and in float32
            # on several threads its sums depend on the row's place. Those queries that share a key head are
            # one matrix (dim, group).
            q = q.reshape(heads, group, dim).to(self.dtype).transpose(1, 2)
            scores = torch.bmm(keys, q).view(rows, llama.kv, looked, group).transpose(2, 3)
            shares = torch.add(hidden, scores, alpha=dim**-0.5).softmax(3).to(self.dtype)
            return torch.bmm(shares.view(heads, group, looked), values).view(rows, -1)

        return llama.logits(llama.forward(torch.tensor(ids), at, attend))

    def _lines_of(self, at: Tensor) -> Tensor:
        """Which lines of a layer the key and value heads of the rows are at places `at` (rows,)."""
        kv = self._llama.kv
        both = torch.arange(2)[:, None] * self.seats * kv + torch.arange(kv)  # (2, kv)
        seats = torch.arange(len(at))[:, None, None] * kv  # (rows, 1, 1)
        return ((seats + both) * self.places + at[:, None, None]).flatten()

    def _known(self, rows: int, looked: int) -> list[Tensor]:
        """What the first rows look at, by layer: (2, rows * kv, looked, dim); mostly as the step before."""
        if self._seen[:2] != (rows, looked):
            heads = rows * self._llama.kv
            views = [each[:, :rows].view(2, heads, -1, self._llama.dim) for each in self._layers]
            self._seen = (rows, looked, [each[:, :, :looked] for each in views])
        return self._seen[2]

    def prefill(self, seat: int, ids: Sequence[int], start: int) -> None:
        """Read ids into the places from `start` on.

        Attention takes 64 queries at a time, those of places 0-63, 64-127 and so on, with as many keys as
        the last of them sees: however a prompt is cut, a query is computed in a product of the same shape.
        """
        llama, end = self._llama, start + len(ids)
        first, blocks = start - start % STEP, range(start // STEP, -(-end // STEP))
        masks = [_causal(block, self.dtype) for block in blocks]

        def attend(layer: int, q: Tensor, kv: Tensor) -> Tensor:
            keys, values = cache = self._layers[layer][:, seat]  # (kv, places, dim) each
            cache[:, :, start:end] = kv.view(len(ids), 2, llama.kv, llama.dim).permute(1, 2, 0, 3)
            queries = torch.zeros(1, llama.heads, STEP * len(blocks), llama.dim, dtype=self.dtype)
            queries[0, :, start - first : end - first] = q.transpose(0, 1)
            looked = [
                F.scaled_dot_product_attention(
                    queries[:, :, n * STEP : (n + 1) * STEP],
                    keys[None, :, : (block + 1) * STEP],
                    values[None, :, : (block + 1) * STEP],
                    attn_mask=mask,
                    enable_gqa=True,
                )
                for n, (block, mask) in enumerate(zip(blocks, masks, strict=True))
            ]
            heads = torch.cat(looked, 2)[0, :, start - first : end - first]  # (heads, n, dim)
            return heads.transpose(0, 1).reshape(len(ids), -1)

        llama.forward(torch.tensor(ids), torch.arange(start, end), attend)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """As torch.zeros, but a page takes no memory, and no time, before it is used: the system sees to that."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, **private)
    return torch.frombuffer(pages, dtype=torch.uint8).view(dtype).view(shape)


def _causal(block: int, dtype: torch.dtype) -> Tensor:
    """Which keys the 64 queries of a block see: all before it, and in it those up to themselves."""
    mask = torch.zeros(STEP, (block + 1) * STEP, dtype=dtype)
    mask[:, block * STEP :] = torch.full((STEP, STEP), float("-inf")).triu(1)
    return mask
