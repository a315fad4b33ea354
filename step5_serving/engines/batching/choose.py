"""From logits to the next token of every row: one penalty, one argmax, whatever the number of rows.

    logits   (rows, vocabulary)      as the model gives them, float32
    recent   (rows, 128)             the words that each row wrote last; a neutral id where there is none
    penalty  words that came lately become less probable, as in shared/embedded/on_transformers.py
    greedy   logits.argmax(1)
    sampled  u = the row's own random number; the first token at which the running sum of the probabilities,
             sorted, goes past u (top_p: only those that make up this share)

Nothing here looks across rows, so a row's token depends on no neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from shared.embedded.on_transformers import PENALTY, WINDOW
from step5_serving.engines.batching.request import Request

if TYPE_CHECKING:
    from torch import Tensor

LIKELY = 256  # tokens that make up the top_p of nearly any row: a whole vocabulary is sorted only without


class Chooser:
    """Knows the words that every seat wrote lately."""

    def __init__(self, seats: int, is_word: Callable[[int], bool], neutral: int) -> None:
        self._is_word, self._neutral = is_word, neutral  # neutral: an id that is no word, never penalised
        self._recent = torch.full((seats, WINDOW), neutral)
        self._count = [0] * seats

    def sit(self, seat: int, written: Sequence[int] = ()) -> None:
        """A new row begins there."""
        self._recent[seat] = self._neutral
        self._count[seat] = 0
        for token in written:
            self.wrote([seat], [token])

    def move(self, source: int, target: int) -> None:
        """A row takes another seat."""
        self._recent[target] = self._recent[source]
        self._count[target] = self._count[source]

    def wrote(self, seats: Sequence[int], tokens: Sequence[int]) -> None:
        """One new token a seat."""
        columns = [self._count[seat] % WINDOW for seat in seats]
        words = [token if self._is_word(token) else self._neutral for token in tokens]
        self._recent[list(seats), columns] = torch.tensor(words)
        for seat in seats:
            self._count[seat] += 1

    def penalise(self, logits: Tensor) -> None:
        """Make the words that came lately less probable, in place; logits of the seats from 0 on."""
        recent = self._recent[: len(logits)]  # (rows, 128)
        scores = logits.gather(1, recent)
        lower = torch.where(scores > 0, scores / PENALTY, scores * PENALTY)
        logits.scatter_(1, recent, torch.where(recent == self._neutral, scores, lower))

    def penalise_in(self, logits: Tensor, lately: Sequence[int]) -> None:
        """The same for one row (vocabulary,) and any ids, such as those of a JSON string that is written."""
        words = [token for token in set(lately) if self._is_word(token)]
        scores = logits[words]
        logits[words] = torch.where(scores > 0, scores / PENALTY, scores * PENALTY)


def draw(logits: Tensor, requests: Sequence[Request]) -> list[int]:
    """The next token of each request, from its row of the logits (rows, vocabulary)."""
    tokens: list[int] = logits.argmax(1).tolist()
    sampled = [row for row, request in enumerate(requests) if request.sampling.temperature > 0]
    if sampled:
        heat = torch.tensor([requests[row].sampling.temperature for row in sampled])[:, None]
        every = torch.softmax(logits[sampled] / heat, 1)  # (sampled, vocabulary)
        for row, probabilities in zip(sampled, every, strict=True):
            request = requests[row]
            tokens[row] = _one(probabilities, request.sampling.top_p, request.chance.random())
    return tokens


def _one(probabilities: Tensor, top_p: float, u: float) -> int:
    """The token that the random number u in [0, 1) stands for (Holtzman et al. 2019, arXiv:1904.09751)."""
    if top_p == 1:
        return _at(probabilities.cumsum(0), u)
    likely, ids = probabilities.topk(min(LIKELY, len(probabilities)))
    if likely.sum() < top_p:
        likely, ids = probabilities.sort(descending=True)
    sums = likely.cumsum(0)
    last = int((sums < top_p).sum())  # the one that crosses top_p belongs to it
    return int(ids[_at(sums[: last + 1], u)])


def _at(sums: Tensor, u: float) -> int:
    """The first place at which the running sum goes past u of the whole."""
    place = int(torch.searchsorted(sums, u * sums[-1], right=True))
    return min(place, len(sums) - 1)
