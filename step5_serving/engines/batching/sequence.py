"""A sequence: one request from the queue to its last token.

    >>> sequence = Sequence([1, 2, 3], max_tokens=20, ends=frozenset({0}))
    >>> sequence.out.get()     # the engine puts new tokens there at each step
    [17]

The engine's thread handles token ids only. Decoding to text and the check for loops are done by the reader of
`out` in its own thread, so that they don't delay the next step.
"""

from dataclasses import dataclass, field
from queue import SimpleQueue

from shared.embedded.decoding import PromptLookup
from shared.embedded.guide import Guide
from step5_serving.engines.batching.prefix_cache import block_hashes


@dataclass(frozen=True)
class End:
    """Follows the last token. `finished`: the model or the schema ended the text, not the limit."""

    finished: bool = False


@dataclass(eq=False)
class Sequence:
    """One text to generate. `token_ids` grows; the KV cache holds the first `num_computed` of them."""

    prompt: list[int]
    max_tokens: int
    ends: frozenset[int]
    guide: Guide | None = None  # holds the output to a JSON schema
    output: list[int] = field(default_factory=list)  # at the start: the tokens that the schema forces
    slot: int = -1  # in the KV cache, while it runs
    num_computed: int = 0
    num_cached: int = 0  # tokens of the prompt that were copied from the prefix cache
    aborted: bool = False  # set by the reader; the sequence leaves at the next step
    out: SimpleQueue[list[int] | End | BaseException] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self.token_ids = [*self.prompt, *self.output]
        self.num_prefill = len(self.token_ids) - 1  # the last one is computed in the first decode step
        self.block_hashes = block_hashes(self.token_ids[: self.num_prefill])
        self.lookup: PromptLookup | None = None  # made at the first proposal
        if self.output:
            self.out.put(list(self.output))

    @property
    def longest(self) -> int:
        """The most tokens that it can have."""
        return len(self.prompt) + self.max_tokens

    def append(self, tokens: list[int]) -> None:
        """Add tokens to the output and hand them out."""
        self.token_ids += tokens
        self.output += tokens
        self.out.put(tokens)
