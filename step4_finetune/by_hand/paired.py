"""A paired bootstrap, written out: is one system better than another on the same messages?

    difference   the mean of (score of one - score of the other), message by message
    interval     the same mean on messages that are drawn anew, with replacement, many times: the middle 95 %

Both systems are drawn together: a message that is hard for one is often hard for the other, and this cancels.
If the interval does not include 0, the difference is more than luck with these messages.
"""

import torch


def draw(messages: int, times: int, seed: int = 0) -> torch.Tensor:
    """Places of messages, drawn with replacement, shape (times, messages)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(messages, (times, messages), generator=generator)


def mean_differences(one: torch.Tensor, other: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """The mean difference in each draw, shape (times,): scores (messages,), drawn (times, messages)."""
    ### BEGIN SOLUTION 4.7: the paired bootstrap
    differences = (one - other).double()  # (messages,)
    return differences[drawn].mean(dim=1)
    ### END SOLUTION


def paired_interval(
    one: torch.Tensor, other: torch.Tensor, drawn: torch.Tensor, level: float = 0.95
) -> tuple[float, float]:
    """Where the middle `level` of the mean differences begins and ends: quantiles, interpolated linearly."""
    ### BEGIN SOLUTION 4.7: the paired bootstrap
    means = mean_differences(one, other, drawn)
    outside = (1 - level) / 2
    low, high = means.quantile(torch.tensor([outside, 1 - outside], dtype=means.dtype)).tolist()
    return low, high
    ### END SOLUTION
