"""How probable does the model find a text? Many continuations of one prefix are scored in one forward pass.

    >>> lm = Likelihood(model, tokenizer)
    >>> prefix = lm.read("The capital of France is")
    >>> prefix.score([" Paris", " Rome"])      # log-probabilities, natural
    [-1.3, -5.9]

The continuations form a tree: they lie side by side in one row, and a mask lets each token see the prefix,
its own ancestors and nothing else ("tree attention", as in speculative decoding: Miao et al. 2023,
arXiv:2305.09781). No key or value is copied, and no token is padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class Node:
    """A piece of the tree: token ids that follow those of `parent` (None: follow the prefix)."""

    ids: list[int]
    parent: Node | None = None
    start: int = 0  # column of its first token in the row
    depth: int = 0  # tokens between the prefix and its first token

    def path(self) -> list[tuple[Node | None, int, int]]:
        """What `Prefix.logprobs` must be asked for the probability of this node's own tokens."""
        before = (self.parent, len(self.parent.ids) - 1) if self.parent else (None, 0)
        return [(*before, self.ids[0]), *((self, i, token) for i, token in enumerate(self.ids[1:]))]


class Likelihood:
    """A causal model, its tokenizer, and the prefixes it has read."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def read(self, text: str, after: Prefix | None = None) -> Prefix:
        """Run the model over a text once, behind an earlier prefix if one is given, and keep its KV cache."""
        import copy

        import torch
        from transformers import DynamicCache

        ids = self.encode(text)
        cache = copy.deepcopy(after.cache) if after else DynamicCache(config=self.model.config)
        with torch.inference_mode():
            out = self.model(torch.tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1)
        return Prefix(self, cache, (after.length if after else 0) + len(ids), out.logits[0, -1].float())


@dataclass
class Prefix:
    """What the model has read: KV cache of `length` tokens and the logits for the next, shape (vocab,)."""

    lm: Likelihood
    cache: Any
    length: int
    next_logits: torch.Tensor

    def logprobs(
        self, nodes: list[Node], wanted: list[list[tuple[Node | None, int, int]]]
    ) -> list[list[float]]:
        """Run the tree; for each list of (node, i, token): log P(token | all up to token i of the node).

        A node of None asks for the first token after the prefix.
        """
        import torch

        row: list[int] = []
        for node in nodes:
            node.start, node.depth = len(row), node.parent.depth + len(node.parent.ids) if node.parent else 0
            row += node.ids
        n, past = len(row), self.length
        sees = torch.zeros(n, past + n, dtype=torch.bool)
        sees[:, :past] = True
        positions = torch.empty(n, dtype=torch.long)
        for node in nodes:
            s, e = node.start, node.start + len(node.ids)
            positions[s:e] = past + node.depth + torch.arange(len(node.ids))
            sees[s:e, past + s : past + e] = torch.ones(e - s, e - s, dtype=torch.bool).tril()
            up = node.parent
            while up is not None:
                sees[s:e, past + up.start : past + up.start + len(up.ids)] = True
                up = up.parent
        mask = torch.zeros(sees.shape, dtype=self.lm.model.dtype).masked_fill_(~sees, float("-inf"))
        with torch.inference_mode():
            hidden = self.lm.model.model(
                torch.tensor([row]),
                attention_mask=mask[None, None],
                position_ids=positions[None],
                cache=self.cache,
                use_cache=True,
            ).last_hidden_state[0]
            self.cache.crop(-n)
            asked = sorted({node.start + i for each in wanted for node, i, _ in each if node is not None})
            place = {column: k for k, column in enumerate(asked)}
            logits = self.lm.model.lm_head(hidden[asked]).float()
            logits = torch.cat([logits, self.next_logits[None]])
            logits = logits - logits.logsumexp(-1, keepdim=True)
        last = len(asked)
        return [
            [float(logits[last if node is None else place[node.start + i], token]) for node, i, token in each]
            for each in wanted
        ]

    def score(self, texts: list[str]) -> list[float]:
        """log P(text | prefix) for each text."""
        nodes = [Node(self.lm.encode(text)) for text in texts]
        return [sum(each) for each in self.logprobs(nodes, [node.path() for node in nodes])]
