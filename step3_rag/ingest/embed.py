"""Texts to vectors: one for each text, for search, and one for each token, for late interaction.

    >>> embedder = Embedder(load_settings())
    >>> embedder.embed_query("When does the contract renew?")[:3]
    [0.012, -0.044, 0.031]

The same numbers as `SentenceTransformer.encode` (cosine over .9999), several times faster where the
processor multiplies bfloat16: sorted by length, small batches without padding to speak of, no padding
inside a batch of equal lengths, and the token vectors for free. A text that comes alone is a question, and
needs no torch (bert.py). The class is a LangChain `Embeddings`, so every LangChain vector store takes it as
it is.

MiniLM: 22 M parameters, 384 dimensions, the mean of the token vectors, length 1 (Reimers and Gurevych
2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from shared.config import Settings
from step3_rag.ingest.bert import Bert

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH = 16  # more gains nothing: a batch this size already keeps the arithmetic busy and fits the cache


@dataclass(frozen=True)
class Encoded:
    """One text as the model sees it; both kinds of vectors have length 1."""

    vector: np.ndarray  # (dim,) float32, the mean of the tokens' vectors
    token_ids: np.ndarray  # (n,) int32, without the markers at both ends
    token_vectors: np.ndarray  # (n, dim) float16


class Embedder(Embeddings):
    """A sentence-embedding model; loaded when first used. Several threads may use one at the same time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        return self.settings.embedder

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's own; it reads texts of any length, whole."""
        from shared.models import fast_tokenizer

        return fast_tokenizer.load_tokenizer(self.settings.embedder, self.settings)

    @cached_property
    def _cutting(self) -> Tokenizer:
        """The same; it reads as much as the model does."""
        tokenizer = copy.deepcopy(self.tokenizer)
        tokenizer.enable_truncation(self.longest + 2)
        return tokenizer

    @cached_property
    def longest(self) -> int:
        """The most tokens of a text that are read, the two markers not counted."""
        from shared.catalog import lookup

        context = lookup(self.settings.embedder).context
        if context is None:
            of_model = self._says("config.json").get("max_position_embeddings")
            context = min(of_model or 512, self._says("tokenizer_config.json").get("model_max_length") or 512)
        return int(min(context, 512)) - 2

    def _says(self, file: str) -> dict[str, Any]:
        from shared.models import fast_tokenizer

        return fast_tokenizer.read_config(self.settings.embedder, self.settings, file)

    @cached_property
    def _alone(self) -> Bert | None:
        """For a question; None where torch has to do that, too."""
        from shared.models import weights

        plain = self.settings.dtype in ("auto", "float32") and self.settings.device in ("auto", "cpu")
        return Bert.open(weights.ensure(self.settings.embedder, self.settings)) if plain else None

    @cached_property
    def _model(self) -> Any:
        from shared.models import load_encoder

        model = load_encoder(settings=self.settings)
        if str(model.device) == "cpu" and str(model.dtype) == "torch.bfloat16":
            # torch's fused attention is slow here: for short texts, plain products take two thirds of it.
            model.set_attn_implementation("eager")
        return model

    @cached_property
    def pooling(self) -> str:
        """How a text's vector comes from those of its tokens: mean, cls (the first) or lasttoken."""
        facts = self._says("1_Pooling/config.json")
        old = ("cls_token", "cls"), ("lasttoken", "lasttoken")  # names of older and newer files
        named = next((new for key, new in old if facts.get(f"pooling_mode_{key}")), "mean")
        return str(facts.get("pooling_mode") or named)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text of any length begins and ends, in characters."""
        read = self.tokenizer.encode(text, add_special_tokens=False)
        return [(start, end) for start, end in read.offsets if end > start]

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda _n: None
    ) -> list[Encoded]:
        """Vectors of texts, in their order; what is longer than `longest` is cut.

        `progress` is called with the number of texts that were done since it was called last.
        """
        if not texts:
            return []
        tokenized = self._cutting.encode_batch(list(texts))
        # Where a tokenizer sets no markers, an empty text has no token at all: it is read as one marker.
        read = [each.ids or [0] for each in tokenized]
        markers = [each.special_tokens_mask or [1] for each in tokenized]
        if len(texts) == 1 and self._alone is not None:
            alone = self._encoded(self._alone.hidden(read[0]), read[0], markers[0])
            progress(1)
            return [alone]
        return self._encode_all(read, markers, progress)

    def _encode_all(
        self, read: list[list[int]], markers: list[list[int]], progress: Callable[[int], None]
    ) -> list[Encoded]:
        import torch

        _ = self._model  # loaded before there is only one thread: who loads counts them for everybody
        order = sorted(range(len(read)), key=lambda i: len(read[i]))
        found: list[Encoded | None] = [None] * len(read)
        with torch.inference_mode(), _one_thread if len(read) == 1 else nullcontext():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                hidden = self._hidden([read[i] for i in rows])
                for i, of_text in zip(rows, hidden, strict=True):
                    found[i] = self._encoded(of_text, read[i], markers[i])
                progress(len(rows))
        return [each for each in found if each is not None]

    def _hidden(self, rows: list[list[int]]) -> list[np.ndarray]:
        """The last hidden states of several texts: (tokens, dim) for each."""
        import torch

        longest, device = max(map(len, rows)), self._model.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # (batch, longest)
        mask = torch.arange(longest)[None] < torch.tensor([[len(row)] for row in rows])  # (batch, longest)
        # Without a mask the attention takes its fast path; texts of one length need none.
        attention = None if bool(mask.all()) else mask.long().to(device)
        hidden = self._model(input_ids=ids.to(device), attention_mask=attention).last_hidden_state
        return [each[: len(row)] for each, row in zip(hidden.float().cpu().numpy(), rows, strict=True)]

    def _encoded(self, hidden: np.ndarray, read: list[int], markers: list[int]) -> Encoded:
        """A text from its last hidden states, (tokens, dim)."""
        if self.pooling == "cls":
            pooled = hidden[0]
        elif self.pooling == "lasttoken":
            pooled = hidden[-1]
        else:
            pooled = hidden.mean(0)
        own = ~np.array(markers, bool)  # the text's own tokens, without the markers at both ends
        tokens = _of_length_one(hidden[own]).astype(np.float16)
        return Encoded(_of_length_one(pooled), np.array(read, np.int32)[own], tokens)

    # --- the LangChain side -------------------------------------------------------------------------

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts."""
        return [one.vector.tolist() for one in self.encode(texts)]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query: MiniLM treats it like any text."""
        return self.embed_documents([text])[0]


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12)


class _OneThread:
    """torch with one thread while there is a question in it. Two save 3 ms of 9 when nothing else runs, and
    beside the threads of a vector store they wait for each other, up to a tenth of a second.

    The number is the process's, so the last of several questions puts back what the first one found.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
            self._inside += 1
            torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        import torch

        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_num_threads(self._before)


_one_thread = _OneThread()
