"""Runs the model for tokens of several sequences, and keeps their keys and values in the cache.

    prefill   many tokens of one prompt, without logits
    decode    a few tokens of every sequence in one forward pass: logits (tokens, vocabulary)

The two differ only in attention; no other layer needs to know which sequence a token is from. Decode computes
attention by two batched products over all slots; for prefill's many queries, PyTorch's
scaled_dot_product_attention is faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from step5_serving.engines.batching.kv_cache import KVCache
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.scheduler import Batch

STEP = 64  # attention reads a multiple of so many places


class ModelRunner:
    """The model and the cache that it reads and writes."""

    def __init__(self, llama: Llama, cache: KVCache) -> None:
        self._llama = llama
        self.cache = cache

    def run(self, batch: Batch) -> Tensor | None:
        """Compute a batch; the logits of its tokens to decode, if there are any."""
        for span in batch.prefill:
            self.prefill(span.sequence.slot, span.ids, span.start)
        if not batch.decode:
            return None
        return self.decode([(span.sequence.slot, span.start, span.ids) for span in batch.decode])

    def prefill(self, slot: int, ids: list[int], start: int) -> None:
        """Compute the keys and values of ids whose places begin at `start`.

        Attention takes 64 queries at a time (places 0-63, 64-127, ...), with as many keys as the last of them
        sees. So a query is computed in a product of the same shape however the prompt is cut into chunks.
        """
        llama = self._llama
        cache = self.cache
        end = start + len(ids)
        tiles = range(start // STEP, -(-end // STEP))  # tile 0 has the queries of the places 0-63
        masks = [_causal(tile, cache.dtype) for tile in tiles]
        first = tiles.start * STEP  # place of the first tile's first query
        own = slice(start - first, end - first)  # the ids among the queries of all tiles

        def attend(layer: int, q: Tensor, kv: Tensor) -> Tensor:
            states = cache.layers[layer][:, slot]  # (2, kv, places, dim)
            states[:, :, start:end] = kv.view(len(ids), 2, llama.kv, llama.dim).permute(1, 2, 0, 3)
            keys, values = states  # (kv, places, dim) each
            queries = torch.zeros(1, llama.heads, STEP * len(tiles), llama.dim, dtype=cache.dtype)
            queries[0, :, own] = q.transpose(0, 1)
            mixed: list[Tensor] = []
            for tile, mask, query in zip(tiles, masks, queries.split(STEP, 2), strict=True):
                seen = (tile + 1) * STEP
                mixed.append(
                    F.scaled_dot_product_attention(
                        query,  # (1, heads, 64, dim)
                        keys[None, :, :seen],
                        values[None, :, :seen],
                        attn_mask=mask,
                        enable_gqa=True,
                    )
                )
            heads = torch.cat(mixed, 2)[0, :, own]  # (heads, n, dim)
            return heads.transpose(0, 1).reshape(len(ids), -1)

        llama.forward(torch.tensor(ids), torch.arange(start, end), attend)

    def decode(self, spans: list[tuple[int, int, list[int]]]) -> Tensor:
        """Compute spans (slot, start, ids) of several sequences: logits (tokens, vocabulary), in their order.

        Attention covers all slots up to the last one in use, and as many queries of each as the longest span
        has; results for slots and queries that are not in a span are dropped.
        """
        llama = self._llama
        cache = self.cache
        kv = llama.kv
        dim = llama.dim
        group = llama.heads // kv  # query heads that share a key head
        tokens: list[tuple[int, int, int, int]] = []
        for span_slot, start, span_ids in spans:
            for n, token in enumerate(span_ids):
                tokens.append((span_slot, n, start + n, token))
        table = torch.tensor(tokens).T.contiguous()  # (4, tokens)
        slot = table[0]  # (tokens,): of each token's sequence
        number = table[1]  # (tokens,): its place in its span
        position = table[2]  # (tokens,): its place in its sequence
        ids = table[3]  # (tokens,)
        slots = int(slot.max()) + 1
        width = int(number.max()) + 1
        cell = slot * width + number  # (tokens,): each token's query among slots * width
        query = torch.zeros(slots * width, dtype=torch.long)  # which token is the query there
        query[cell] = torch.arange(len(tokens))
        last_seen = torch.zeros(slots * width, dtype=torch.long)  # the last place that it sees
        last_seen[cell] = position
        longest = int(position.max()) + 1
        seen = min(-(-longest // STEP) * STEP, cache.places)  # places that attention reads
        of_heads = last_seen.view(slots, width).repeat_interleave(group, 1)  # (slots, width * group)
        mask = torch.zeros(slots, 1, width * group, seen)
        mask.masked_fill_(torch.arange(seen) > of_heads[:, None, :, None], float("-inf"))
        rows = self._rows(slot, position)
        heads = slots * kv

        def attend(layer: int, q: Tensor, new: Tensor) -> Tensor:
            states = cache.layers[layer]  # (2, slots, kv, places, dim)
            states.view(-1, dim).index_copy_(0, rows, new.reshape(-1, dim).to(cache.dtype))
            keys, values = states[:, :slots].view(2, heads, cache.places, dim)[:, :, :seen]
            # The queries that share a key head are one matrix (dim, width * group).
            q = q.to(cache.dtype)[query].view(slots, width, kv, group, dim).transpose(1, 2)
            q = q.reshape(heads, width * group, dim).transpose(1, 2)
            scores = torch.bmm(keys, q).view(slots, kv, seen, -1).transpose(2, 3)
            shares = torch.add(mask, scores, alpha=dim**-0.5).softmax(3).to(cache.dtype)
            mixed = torch.bmm(shares.view(heads, -1, seen), values)  # (heads, width * group, dim)
            mixed = mixed.view(slots, kv, width, group, dim).transpose(1, 2)
            return mixed.reshape(slots * width, -1)[cell]

        return llama.logits(llama.forward(ids, position, attend))

    def _rows(self, slots: Tensor, positions: Tensor) -> Tensor:
        """The rows of a layer, seen as (rows, dim), that hold the keys and values of the tokens."""
        kv = self._llama.kv
        both = torch.arange(2)[:, None] * self.cache.slots * kv + torch.arange(kv)  # (2, kv)
        return ((slots[:, None, None] * kv + both) * self.cache.places + positions[:, None, None]).flatten()


def _causal(tile: int, dtype: torch.dtype) -> Tensor:
    """The mask of the 64 queries of a tile: each sees all keys up to its own."""
    mask = torch.zeros(STEP, (tile + 1) * STEP, dtype=dtype)
    mask[:, tile * STEP :] = torch.full((STEP, STEP), float("-inf")).triu(1)
    return mask
