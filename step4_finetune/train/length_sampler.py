"""A random order of the rows that groups those of similar length, and is the same again after a stop.

    lengths  [90, 20, 80, 30]        batches of two, padded to their longest
    order    [2, 0, 3, 1]            80 and 90 together, 30 and 20: 10 + 10 tokens of padding
    not      [0, 1, 2, 3]            90 and 20 together, 80 and 30: 70 + 50

transformers' own sampler draws from torch's global generator, whose state differs after resuming within an
epoch: some rows would come twice, others not at all. This one draws by seed and epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class LengthGroupedSampler(Sampler[int]):
    """Row numbers, drawn anew in every epoch."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = list(lengths), batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch, also before the one that it resumes."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        from transformers.trainer_pt_utils import get_length_grouped_indices

        drawn = torch.Generator().manual_seed(self.seed * 1000 + self.epoch)
        yield from get_length_grouped_indices(self.lengths, self.batch_size, generator=drawn)
