"""Where weights come from: the smallest language model, trained on one page of text.

It predicts the next letter from the letter before it. So it has one weight for each pair of letters: a
matrix with 27 rows and 27 columns (26 letters and the space). There are two ways to find good weights:

    count    how often does "e" follow "h"? A row of counts, divided by its sum, is a probability.
    train    start with zeros, measure how wrong the predictions are, change every weight a little in the
             direction that makes them less wrong, and repeat. Nobody counts anything.

Both find the same probabilities. Only the second way works for a model with 135 million weights.

Source: the bigram model of Karpathy's makemore, https://github.com/karpathy/makemore
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F

from shared.errors import UserError

STORY = Path(__file__).with_name("data") / "story.txt"
LETTERS = " abcdefghijklmnopqrstuvwxyz"
V = len(LETTERS)  # 27: the size of the vocabulary


@dataclass(frozen=True)
class Training:
    """The weights that a training ended with, and the loss before each of its steps."""

    weights: torch.Tensor  # (V, V): the row of a letter has the logits of the letter after it
    losses: list[float]  # bits per letter


def encode(text: str) -> torch.Tensor:
    """The ids of a text's letters, 0 to 26; (T,). All other characters count as a space, several as one.

    Raises:
        UserError: there are not even two letters.
    """
    letters = [letter if letter in LETTERS else " " for letter in text.lower()]
    words = "".join(letters).split()
    joined = " ".join(words)
    if len(joined) < 2:
        raise UserError("a bigram needs two letters: use a longer text")
    return torch.tensor([LETTERS.index(letter) for letter in joined])


def count_pairs(ids: torch.Tensor) -> torch.Tensor:
    """How often each letter follows each letter: (V, V), from ids (T,)."""
    counts = torch.zeros(V, V)
    for before, after in pairwise(ids.tolist()):
        counts[before, after] += 1
    return counts


def weights_from_counts(counts: torch.Tensor) -> torch.Tensor:
    """Logits (V, V) whose softmax is a row's share of each letter.

    A tenth is added to every count, so that a pair that never occurred is improbable and not impossible.
    """
    return (counts + 0.1).log()


def bits_per_letter(weights: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The loss: the mean surprisal of each letter of ids (T,) after the one before it, in bits."""
    logits = weights[ids[:-1]]  # (T - 1, V): the row of the letter before
    nats = F.cross_entropy(logits, ids[1:])  # the mean of -ln softmax(logits)[letter after]
    return nats / math.log(2)


def train(ids: torch.Tensor, steps: int = 300, learning_rate: float = 20.0) -> Training:
    """Find weights for ids (T,) by gradient descent, from zeros: at first all letters are equally likely."""
    weights = torch.zeros(V, V, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = bits_per_letter(weights, ids)
        losses.append(loss.item())
        [gradient] = torch.autograd.grad(loss, weights)  # by how much the loss grows if a weight grows
        with torch.no_grad():
            weights -= learning_rate * gradient  # against the gradient, so the loss falls
    return Training(weights.detach(), losses)


def write(weights: torch.Tensor, length: int, generator: torch.Generator) -> str:
    """Letters drawn one after the other, each from the probabilities after the one before."""
    letter = 0  # a space: the next letter begins a word
    letters = []
    for _ in range(length):
        probabilities = torch.softmax(weights[letter], dim=-1)  # (V,)
        letter = int(torch.multinomial(probabilities, 1, generator=generator))
        letters.append(LETTERS[letter])
    return "".join(letters)
