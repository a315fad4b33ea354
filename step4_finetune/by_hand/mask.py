"""The loss mask of a chat, written out: which tokens a model learns to predict.

    label    the token itself where the model is to learn it, IGNORED elsewhere
    loss     the mean of -log p(token) over the labels that count; the logits of a place predict the next one

A chat of two turns has two replies, and by default both are learned. The header of a turn, such as
`<|im_start|>assistant`, is never learned: the program that asks for a reply writes it. The tests compare the
loss with torch's cross_entropy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

IGNORED = -100  # torch's cross_entropy passes over this label, and so does transformers


@dataclass(frozen=True)
class Turn:
    """One message of a chat, as token ids."""

    role: str  # system, user or assistant
    header: tuple[int, ...]  # what the template writes before the words
    content: tuple[int, ...]  # the words, and the token that ends the turn


def token_labels(turns: Sequence[Turn], last_only: bool = False) -> list[int]:
    """One label for each token of the chat, headers included.

    The content of the assistant's turns is learned, with the token that ends it: else the model never learns
    to stop. With `last_only`, only the last of the assistant's turns is.
    """
    ### BEGIN SOLUTION 4.1: the loss mask
    replies = [place for place, turn in enumerate(turns) if turn.role == "assistant"]
    learned = replies[-1:] if last_only else replies
    labels: list[int] = []
    for place, turn in enumerate(turns):
        labels += [IGNORED] * len(turn.header)
        labels += turn.content if place in learned else [IGNORED] * len(turn.content)
    return labels
    ### END SOLUTION


def masked_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss of one chat, a number: logits (T, V), labels (T,); 0 where no label counts.

    The logits at place t are the guess of the token at t + 1, so that the label of the first token, before
    which nothing stands, never counts.
    """
    ### BEGIN SOLUTION 4.1: the loss mask
    guesses = logits[:-1].float().log_softmax(-1)  # (T - 1, V)
    expected = labels[1:]  # (T - 1,)
    counts = expected != IGNORED
    if not counts.any():
        return guesses.sum() * 0
    chosen = guesses[counts].gather(-1, expected[counts][:, None])
    return -chosen.mean()
    ### END SOLUTION
