"""Embed texts: one vector for each text, for search, and one for each token, for late interaction.

    >>> embedder = Embedder(load_settings())
    >>> embedder.encode(["When does the contract renew?"])[0].vector[:3]
    array([ 0.012, -0.044,  0.031], dtype=float32)

The vectors are those of `SentenceTransformer.encode` (cosine over .9999), and the token vectors come for
free. A single text is usually a question; it needs no torch (bert.py). A model's configuration says how it
pools, how many tokens it reads, and which prompt it needs before a question or a passage.

MiniLM: 22 M parameters, 384 dimensions, the mean of the token vectors, length 1 (Reimers and Gurevych
2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding, Tokenizer

from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_encoder, weights
from shared.models.load import load_fast_tokenizer, read_config
from step3_rag.ingest.bert import Bert

BATCH = 16  # a larger batch is no faster: this one keeps the processor busy and fits its cache
POOLINGS = ("mean", "cls", "lasttoken")  # of all tokens, the first, the last
OLDER = {"mean_tokens": "mean", "cls_token": "cls"}  # their names in older files


@dataclass(frozen=True)
class Encoded:
    """An embedded text; both kinds of vectors have length 1."""

    vector: np.ndarray  # (dim,) float32, pooled from the tokens' vectors
    token_ids: np.ndarray  # (n,) int32, without the prompt and the markers at both ends
    token_vectors: np.ndarray  # (n, dim) float16


class Tokens(NamedTuple):
    """The tokens of a text that the model reads."""

    ids: list[int]  # (n,)
    is_text: np.ndarray  # (n,) bool: neither marker nor prompt


class Embedder:
    """A sentence-embedding model, loaded when first used. Several threads may use it at the same time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        return self.settings.embedder

    # --- the model's configuration ------------------------------------------------------------------

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, without truncation."""
        return load_fast_tokenizer(self.name, self.settings)

    def _config(self, file: str) -> Any:
        return read_config(self.name, self.settings, file)

    @cached_property
    def pooling(self) -> str:
        """How the model pools: one of POOLINGS. The default is the mean, as in sentence-transformers.

        Raises:
            UserError: it pools in another way, or has further layers after pooling.
        """
        folder = weights.ensure(self.name, self.settings)
        facts = self._config("1_Pooling/config.json")
        flags = [key.removeprefix("pooling_mode_") for key, value in facts.items() if value is True]
        older = "+".join(OLDER.get(flag, flag) for flag in flags if flag != "include_prompt")
        mode = str(facts.get("pooling_mode") or older or "mean")
        others = [
            f"the module {path.name}" for path in folder.glob("[2-9]_*") if "Normalize" not in path.name
        ]
        if mode not in POOLINGS or not facts.get("include_prompt", True):
            others.append(f"the pooling {mode}, include_prompt {facts.get('include_prompt', True)}")
        if others:
            raise UserError(f"{self.name} has {others[0]}: known are the poolings {', '.join(POOLINGS)}")
        return mode

    @cached_property
    def prompts(self) -> tuple[str, str]:
        """The prompts before a question and before a passage, such as `query: ` and `passage: `, or ""."""
        facts = self._config("config_sentence_transformers.json")
        known = facts.get("prompts") or {}
        default = facts.get("default_prompt_name")
        # The names that sentence-transformers looks for, in its order.
        query = _first_of(known, "query", default)
        document = _first_of(known, "document", "passage", "corpus", default)
        return query, document

    @cached_property
    def window(self) -> int:
        """The most tokens that the model reads, including the prompt and the markers at both ends."""
        most = self._config("sentence_bert_config.json").get("max_seq_length") or lookup(self.name).context
        if not most:
            positions = self._config("config.json").get("max_position_embeddings") or 512
            most = min(positions, self._config("tokenizer_config.json").get("model_max_length") or 512)
        return int(most)

    @cached_property
    def longest(self) -> int:
        """The most tokens of a question or passage that the model reads."""
        return self.window - max(len(self.tokenizer.encode(prompt).ids) for prompt in self.prompts)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text of any length begins and ends, in characters."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [(start, end) for start, end in encoding.offsets if end > start]

    def count_tokens(self, text: str) -> int:
        """How many tokens a text of any length has."""
        return len(self.token_spans(text))

    # --- embedding ----------------------------------------------------------------------------------

    @cached_property
    def _bert(self) -> Bert | None:
        """The model in numpy, for a single text; None if it needs torch."""
        plain = self.settings.dtype in ("auto", "float32") and self.settings.device in ("auto", "cpu")
        return Bert.open(weights.ensure(self.name, self.settings)) if plain else None

    @cached_property
    def _transformer(self) -> Any:
        """The model in torch."""
        model = load_encoder(settings=self.settings)
        if str(model.device) == "cpu" and str(model.dtype) == "torch.bfloat16":
            # In bfloat16 on a CPU, eager attention takes two thirds of the time for short texts.
            model.set_attn_implementation("eager")
        return model

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Embed questions; the part of a text beyond `longest` tokens is ignored."""
        return self._encode(self.prompts[0], texts)

    def encode_documents(self, texts: Sequence[str]) -> list[Encoded]:
        """Embed passages; otherwise as `encode`."""
        return self._encode(self.prompts[1], texts)

    def _encode(self, prompt: str, texts: Sequence[str]) -> list[Encoded]:
        encodings = self.tokenizer.encode_batch([prompt + text for text in texts])
        tokens = [self._truncate(encoding, len(prompt)) for encoding in encodings]
        if len(tokens) == 1 and self._bert is not None:
            return [self._pool(self._bert.hidden(tokens[0].ids), tokens[0])]
        # Sorted by length, so that batches need little padding.
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i].ids))
        encoded: dict[int, Encoded] = {}
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = self._hidden([tokens[i].ids for i in rows])
            for i, hidden in zip(rows, batch, strict=True):
                encoded[i] = self._pool(hidden, tokens[i])
        return [encoded[i] for i in range(len(tokens))]

    def _hidden(self, rows: list[list[int]]) -> list[np.ndarray]:
        """The last hidden states of each text, (tokens, dim)."""
        import torch

        longest = max(map(len, rows))
        device = self._transformer.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # (batch, longest)
        mask = torch.arange(longest)[None] < torch.tensor([[len(row)] for row in rows])  # (batch, longest)
        # Attention is faster without a mask; texts of equal length need none.
        attention = None if bool(mask.all()) else mask.long().to(device)
        with torch.inference_mode():
            hidden = self._transformer(input_ids=ids.to(device), attention_mask=attention).last_hidden_state
        padded = hidden.float().cpu().numpy()  # (batch, longest, dim)
        return [states[: len(row)] for states, row in zip(padded, rows, strict=True)]

    def _truncate(self, encoding: Encoding, prompt: int) -> Tokens:
        """The tokens that fit into the model's window; `prompt` is the prompt's length in characters."""
        # If a tokenizer adds no markers, an empty text has no token: it is read as one marker.
        ids = np.array(encoding.ids or [0])
        is_marker = np.array(encoding.special_tokens_mask or [1], bool)
        ends = np.array([end for _, end in encoding.offsets] or [0])
        is_text = ~is_marker & ((ends > prompt) | (prompt == 0))
        keep = ~is_text | (is_text.cumsum() <= self.window - (~is_text).sum())
        return Tokens(ids[keep].tolist(), is_text[keep])

    def _pool(self, hidden: np.ndarray, tokens: Tokens) -> Encoded:
        """An embedded text from its last hidden states, (tokens, dim)."""
        if self.pooling == "mean":
            vector = hidden.mean(0)
        else:
            vector = hidden[0] if self.pooling == "cls" else hidden[-1]
        token_vectors = _normalize(hidden[tokens.is_text]).astype(np.float16)
        token_ids = np.array(tokens.ids, np.int32)[tokens.is_text]
        return Encoded(_normalize(vector), token_ids, token_vectors)


def _first_of(prompts: dict[str, str], *names: str | None) -> str:
    """The first of these prompts that there is and that isn't empty, or ""."""
    for name in names:
        if name and prompts.get(name):
            return prompts[name]
    return ""


def _normalize(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12)
