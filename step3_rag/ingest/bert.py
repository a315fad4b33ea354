"""BERT in numpy, for one text at a time: embeds a question without torch.

    x = words[ids] + positions[:n] + types[0], normed                       (n, hidden)
    each layer:
        q, k, v = x @ Wq, x @ Wk, x @ Wv                                    (heads, n, dim)
        x = norm(x + softmax(q @ k.T / sqrt(dim)) @ v @ Wo)
        x = norm(x + gelu(x @ Wup) @ Wdown)

The results are those of transformers in float32. A dozen tokens through MiniLM take a few milliseconds either
way; but torch and transformers take four seconds to import, more than the rest of a search.

Devlin et al. 2018, arXiv:1810.04805.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

KNOWN = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


class Bert:
    """A BERT's weights and forward pass."""

    def __init__(self, config: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
        self._heads, self._layers = config["num_attention_heads"], config["num_hidden_layers"]
        self._eps = np.float32(config["layer_norm_eps"])
        # Transposed here, not at each multiplication: for a few tokens that saves a fifth of the time.
        self._weights = {
            name: np.ascontiguousarray(weight.T) if weight.ndim == 2 and "embeddings" not in name else weight
            for name, weight in weights.items()
        }

    @classmethod
    def open(cls, folder: Path, changes: Mapping[str, np.ndarray] = MappingProxyType({})) -> Self | None:
        """The model in a folder; None if it needs torch: another kind of model, not float32, or damaged.

        `changes` are added to its weights, by their names in the file.
        """
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if any(config.get(key, value) != value for key, value in KNOWN.items()):
                return None
            weights = load_file(folder / "model.safetensors")
            for name, change in changes.items():
                weights[name] = weights[name] + change
            bert = cls(config, weights)
            in_float32 = bert.hidden([0]).dtype == np.float32  # fails if a weight is missing
        except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError):
            return None
        return bert if in_float32 else None

    def hidden(self, ids: Sequence[int], kinds: Sequence[int] | None = None) -> np.ndarray:
        """The last hidden states of a text's tokens: (n,) -> (n, hidden), float32.

        `kinds`: the type of each token, 0 or 1, where two texts are read together; None: all 0.
        """
        words, positions, types = (
            self._weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        of_kind = types[0] if kinds is None else types[list(kinds)]
        x = self._norm(words[list(ids)] + positions[: len(ids)] + of_kind, "embeddings")
        for number in range(self._layers):
            layer = f"encoder.layer.{number}"
            looked = self._attend(x, f"{layer}.attention.self")
            x = self._norm(
                x + self._linear(looked, f"{layer}.attention.output.dense"), f"{layer}.attention.output"
            )
            wide = _gelu(self._linear(x, f"{layer}.intermediate.dense"))
            x = self._norm(x + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output")
        return x

    def _attend(self, x: np.ndarray, name: str) -> np.ndarray:
        n, hidden = x.shape
        heads = []
        for part in ("query", "key", "value"):
            by_token = self._linear(x, f"{name}.{part}").reshape(n, self._heads, -1)  # (n, heads, dim)
            heads.append(
                np.ascontiguousarray(by_token.swapaxes(0, 1))
            )  # (heads, n, dim): products are faster
        q, k, v = heads
        scores = q @ k.swapaxes(1, 2) / np.float32(q.shape[-1] ** 0.5)  # (heads, n, n)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return (weights / weights.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(n, hidden)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(-1, keepdims=True) + self._eps)
        return x * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """x * Φ(x), with erf to 1.5e-7 (Abramowitz and Stegun 7.1.26): importing scipy takes half a second."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0], t)
    erf = 1 - series.astype(np.float32) * np.exp(-np.square(z))
    return x * np.float32(0.5) * (1 + np.sign(x) * erf)
