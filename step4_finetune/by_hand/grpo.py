"""The advantage of GRPO, written out: how much better a reply is than the others to the same message.

    advantage = (reward - mean of its group) / (standard deviation of its group + SMALL)

Where all replies of a group are equally good, it is 0: nothing is learned. Source: Shao et al. 2024, arXiv
2402.03300. The tests compare it with TRL's GRPOTrainer.
"""

import torch

SMALL = 1e-4  # TRL's: so that a group without any difference is not divided by 0


def advantages(rewards: torch.Tensor, group: int) -> torch.Tensor:
    """The advantage of each reply, shape (n,) as the rewards.

    `group` replies to one message stand side by side, 2 at least. The standard deviation is that of a sample
    (divided by group - 1), as in TRL.
    """
    ### BEGIN SOLUTION 4.4: the advantage of GRPO
    by_message = rewards.view(-1, group)  # (messages, group)
    centred = by_message - by_message.mean(dim=1, keepdim=True)
    spread = by_message.std(dim=1, keepdim=True)
    return (centred / (spread + SMALL)).flatten()
    ### END SOLUTION
