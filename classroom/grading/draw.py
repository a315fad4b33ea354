"""Inputs of a test, drawn from a recorded seed: the same for a whole class, different for the next.

    def test_rrf(submission, draw):
        for _ in range(3):
            submission.check("step3_rag.retrieve.fuse:rrf", [{name: draw.random() for name in draw.words(5)}])

A `Draw` is a random.Random with words, names and arrays. It depends only on the seed and the test's name, so
a new test changes no other.
"""

import random
import secrets
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _lists() -> list[list[str]]:
    """Words in the first paragraph of words.txt, first names in the second."""
    text = Path(__file__).with_name("words.txt").read_text("utf-8")
    return [paragraph.split() for paragraph in text.split("\n\n")]


def new_seed() -> int:
    """A seed that nobody can guess; 53 bits, so that every reader of JSON keeps it exactly."""
    return secrets.randbelow(1 << 53)


class Draw(random.Random):
    """Random numbers, words and arrays of one test."""

    def __init__(self, seed: int | str, test: str) -> None:
        super().__init__(f"{seed}:{test}")

    def words(self, n: int) -> list[str]:
        """n different words."""
        return self.sample(_lists()[0], n)

    def names(self, n: int) -> list[str]:
        """n different first names."""
        return self.sample(_lists()[1], n)

    def text(self, n: int) -> str:
        """n words, some of them more than once."""
        return " ".join(self.choices(_lists()[0], k=n))

    def sentence(self, n: int) -> str:
        """n words, with a capital and a full stop."""
        return f"{self.text(n).capitalize()}."

    def ids(self, n: int, vocabulary: int) -> list[int]:
        """n ids of tokens."""
        return [self.randrange(vocabulary) for _ in range(n)]

    def array(self, *shape: int, scale: float = 1.0) -> Any:
        """An array of normally distributed float32 numbers."""
        import numpy as np

        made = np.random.default_rng(self.getrandbits(64)).normal(size=shape) * scale
        return np.asarray(made, np.float32)

    def tensor(self, *shape: int, scale: float = 1.0) -> Any:
        """The same as a tensor."""
        import torch

        return torch.from_numpy(self.array(*shape, scale=scale))
