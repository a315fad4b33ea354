"""How many parameters a model has, and which share of them LoRA trains: plain arithmetic from its sizes.

    >>> SIZES["SmolLM2-360M"].adapters(("q_proj", "v_proj"), r=16)
    1638400
    >>> round(100 * SIZES["SmolLM2-360M"].share(("q_proj", "v_proj"), r=16), 3)
    0.451

An adapter costs r * (out + in) parameters, the matrix under it out * in. So the share falls as models grow:
double all sides of all matrices, and they have four times the parameters, their adapters twice as many.
For Llama-like models (SmolLM2, Llama, Mistral, Qwen2), without the few biases that some of them have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import UserError

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Shape:
    """The sizes that decide how many parameters there are."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    tied: bool = True  # the head is the embedding, used again
    head_dim: int = 64

    @classmethod
    def of(cls, config: Any) -> Shape:
        """From a transformers config.

        Raises:
            UserError: a model of another shape.
        """
        try:
            return cls(
                layers=config.num_hidden_layers,
                hidden=config.hidden_size,
                heads=config.num_attention_heads,
                kv_heads=config.num_key_value_heads,
                ffn=config.intermediate_size,
                vocab=config.vocab_size,
                tied=bool(config.tie_word_embeddings),
                head_dim=getattr(config, "head_dim", None)
                or config.hidden_size // config.num_attention_heads,
            )
        except AttributeError:
            kind = getattr(config, "model_type", "an unknown one")
            raise UserError(f"this counts Llama-like models (llama, mistral, qwen2), not {kind}") from None

    def matrix(self, target: str) -> tuple[int, int]:
        """(out, in) of one linear layer."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (q, self.hidden),
            "k_proj": (kv, self.hidden),
            "v_proj": (kv, self.hidden),
            "o_proj": (self.hidden, q),
            "gate_proj": (self.ffn, self.hidden),
            "up_proj": (self.ffn, self.hidden),
            "down_proj": (self.hidden, self.ffn),
        }[target]

    @property
    def linear(self) -> int:
        """Parameters of one layer's matrices."""
        return sum(out * into for out, into in map(self.matrix, ALL_LINEAR))

    @property
    def parameters(self) -> int:
        """All of them: matrices and two norms a layer, the last norm, embedding and head."""
        layer = self.linear + 2 * self.hidden
        tables = 1 if self.tied else 2  # the head is the embedding's table again, or has one of its own
        return self.layers * layer + self.hidden + self.vocab * self.hidden * tables

    def adapters(self, targets: Sequence[str], r: int, layers: int | None = None) -> int:
        """Parameters that learn: r * (out + in) for each matrix, in all layers or in the last few."""
        each = sum(r * (out + into) for out, into in map(self.matrix, targets))
        return each * min(self.layers, layers or self.layers)

    def share(self, targets: Sequence[str], r: int, layers: int | None = None) -> float:
        """Adapters among all parameters, theirs counted too, as in PEFT's `print_trainable_parameters`."""
        learn = self.adapters(targets, r, layers)
        return learn / (self.parameters + learn)


SIZES = {
    "SmolLM2-135M": Shape(layers=30, hidden=576, heads=9, kv_heads=3, ffn=1536, vocab=49152),
    "SmolLM2-360M": Shape(layers=32, hidden=960, heads=15, kv_heads=5, ffn=2560, vocab=49152),
    "SmolLM2-1.7B": Shape(layers=24, hidden=2048, heads=32, kv_heads=32, ffn=8192, vocab=49152),
}
