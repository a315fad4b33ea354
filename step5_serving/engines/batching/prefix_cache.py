"""The prefix cache: keys and values of the first blocks of prompts. A shared prefix is computed once.

    prompt         [ system prompt, first 16 | ... next 16 | passage ... 16 | ... question 9 ]
    hash           sha256(tokens)              sha256(hash before + tokens)   ...   none: not a full block

A block is BLOCK tokens; its hash covers all tokens before it, too, because its keys and values depend on
them. So two prompts share blocks exactly as far as they begin with the same tokens. vLLM and nano-vllm find
blocks in the same way. Their cache is paged: a sequence has a block table and reads shared blocks where they
are. Here a slot is contiguous, so that attention is one product over all sequences, and a cached block is
copied into it, which takes about 1 % of the time of computing it.

Memory is bounded: the least recently used block is evicted first (LRU). Of one prompt, later blocks go before
earlier ones, which more prompts share.
"""

from array import array
from collections import OrderedDict
from hashlib import sha256
from itertools import takewhile

from torch import Tensor

BLOCK = 16  # tokens


def block_hashes(token_ids: list[int]) -> list[bytes]:
    """The hash of each full block; each stands for all tokens up to the end of its block."""
    hashes: list[bytes] = []
    last = b""
    for end in range(BLOCK, len(token_ids) + 1, BLOCK):
        last = sha256(last + array("q", token_ids[end - BLOCK : end]).tobytes()).digest()
        hashes.append(last)
    return hashes


class PrefixCache:
    """Up to `blocks` blocks by their hashes; with 0 it keeps nothing."""

    def __init__(self, blocks: int) -> None:
        self.most = blocks
        self._blocks: OrderedDict[bytes, Tensor] = OrderedDict()  # the last used is at the end

    def __contains__(self, block_hash: bytes) -> bool:
        return block_hash in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def match(self, hashes: list[bytes]) -> list[Tensor]:
        """The cached blocks, from the first hash up to the first one that is missing.

        Each: (layers, 2, kv heads, BLOCK, dim), keys and values.
        """
        known = list(takewhile(self._blocks.__contains__, hashes))
        self._touch(known)
        return [self._blocks[block_hash] for block_hash in known]

    def add(self, hashes: list[bytes], blocks: list[Tensor]) -> None:
        """Add blocks of one prompt, in their order."""
        self._blocks.update(zip(hashes, blocks, strict=True))
        self._touch(hashes)
        while len(self._blocks) > self.most:
            self._blocks.popitem(last=False)

    def clear(self) -> None:
        """Remove all blocks."""
        self._blocks.clear()

    def _touch(self, hashes: list[bytes]) -> None:
        for block_hash in reversed(hashes):  # the last block of a prompt is the first to be evicted
            self._blocks.move_to_end(block_hash)
