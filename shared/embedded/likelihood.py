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
    column: int = 0  # of its first token in the KV cache
    last: torch.Tensor | None = (
        None  # of a kept node: log-probabilities of the token after it, shape (vocab,)
    )

    @property
    def depth(self) -> int:
        """Tokens between the prefix and its first token."""
        return self.parent.depth + len(self.parent.ids) if self.parent else 0

    def path(self) -> list[Place]:
        """What `Prefix.logprobs` must be asked for the probability of this node's own tokens."""
        last = len(self.parent.ids) - 1 if self.parent else 0
        return [(self.parent, last, self.ids[0]), *((self, i, token) for i, token in enumerate(self.ids[1:]))]


# "The token `id` after token i of the node": (node, i, id); a node of None stands for the prefix.
Place = tuple[Node | None, int, int]


class Likelihood:
    """A causal model and its tokenizer."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer

    def encode(self, text: str) -> list[int]:
        """Token ids, shape (n,), without special tokens."""
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
            out = self.model(self._tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1)
        length = (after.length if after else 0) + len(ids)
        return Prefix(self, cache, length, length, out.logits[0, -1].float().log_softmax(-1))

    def _tensor(self, values: Any) -> torch.Tensor:
        import torch

        return torch.tensor(values, device=self.model.device)


@dataclass
class Prefix:
    """What the model has read: `length` tokens, and behind them the nodes that were kept.

    `columns` counts both, as they lie in the KV cache; `last` has the log-probabilities of the token after
    the `length` tokens, shape (vocab,).
    """

    lm: Likelihood
    cache: Any
    length: int
    columns: int
    last: torch.Tensor

    def keep(self, nodes: list[Node]) -> None:
        """Read nodes once and for all: later ones can have them as parents and are spared their cost."""
        final = self._read(nodes, [(node, len(node.ids) - 1) for node in nodes])
        for node, logprobs in zip(nodes, final, strict=True):
            node.last = logprobs
        self.columns += sum(len(node.ids) for node in nodes)

    def logprobs(self, nodes: list[Node], wanted: list[list[Place]]) -> list[list[float]]:
        """Run the nodes; for each list of (node, i, token): log P(token | all up to token i of the node)."""
        places = {
            (id(node), i): (node, i) for each in wanted for node, i, _ in each if node and node.last is None
        }
        rows = dict(zip(places, self._read(nodes, list(places.values())), strict=True)) if nodes else {}
        if nodes:
            self.cache.crop(-sum(len(node.ids) for node in nodes))

        def at(node: Node | None, i: int) -> torch.Tensor:
            if node is None:
                return self.last
            return node.last if node.last is not None else rows[id(node), i]

        return [[float(at(node, i)[token]) for node, i, token in each] for each in wanted]

    def score(self, texts: list[str]) -> list[float]:
        """log P(text | prefix) for each text."""
        nodes = [Node(self.lm.encode(text)) for text in texts]
        return [sum(each) for each in self.logprobs(nodes, [node.path() for node in nodes])]

    def _read(self, nodes: list[Node], places: list[tuple[Node, int]]) -> torch.Tensor:
        """Put the nodes behind what is cached; log-probabilities after each place, shape (places, vocab)."""
        import torch

        ids = [token for node in nodes for token in node.ids]
        past, n = self.columns, len(ids)
        sees = torch.zeros(n, past + n, dtype=torch.bool)
        sees[:, : self.length] = True
        positions, row = [], 0
        for node in nodes:
            node.column, size = past + row, len(node.ids)
            own = slice(row, row + size)
            sees[own, node.column : node.column + size] = torch.ones(size, size, dtype=torch.bool).tril()
            ancestor = node.parent
            while ancestor is not None:
                sees[own, ancestor.column : ancestor.column + len(ancestor.ids)] = True
                ancestor = ancestor.parent
            positions += range(self.length + node.depth, self.length + node.depth + size)
            row += size
        model: Any = self.lm.model
        mask = torch.zeros(sees.shape, dtype=model.dtype).masked_fill_(~sees, float("-inf"))
        with torch.inference_mode():
            hidden = model.model(
                self.lm._tensor([ids]),
                attention_mask=mask[None, None].to(model.device),  # (1, 1, n, past + n)
                position_ids=self.lm._tensor([positions]),
                cache=self.cache,
                use_cache=True,
            ).last_hidden_state[0]  # (n, dim)
            asked = [node.column - past + i for node, i in places]
            logprobs: torch.Tensor = model.lm_head(hidden[asked]).float().log_softmax(-1)
            return logprobs
