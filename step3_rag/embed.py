"""Texts to vectors: one for each text, for search, and one for each token, for late interaction.

    >>> embedder = Embedder(load_settings())
    >>> embedder.embed_query("When does the contract renew?")[:3]
    [0.012, -0.044, 0.031]

The same numbers as `SentenceTransformer.encode` (cosine over .9999), several times faster where the
processor multiplies bfloat16: sorted by length, small batches without padding to speak of, no padding
inside a batch of equal lengths, and the token vectors for free. The class is a LangChain `Embeddings`, so
every LangChain vector store takes it as it is.

MiniLM: 22 M parameters, 384 dimensions, the mean of the token vectors, length 1 (Reimers and Gurevych
2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957).
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from shared.config import Settings

if TYPE_CHECKING:
    import torch

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
        self._of_thread = threading.local()  # its `expected`: what one thread announces is not another's
        self._tokenizing = threading.Lock()  # truncation is a state of the tokenizer, and both ways are used

    @property
    def name(self) -> str:
        return self.settings.embedder

    @cached_property
    def tokenizer(self) -> Any:
        """The model's fast tokenizer."""
        from shared.models import load_tokenizer

        return load_tokenizer(self.settings.embedder, self.settings)

    @cached_property
    def longest(self) -> int:
        """The most tokens of a text that are read, the two markers not counted."""
        from shared.catalog import lookup

        context = lookup(self.settings.embedder).context or self.tokenizer.model_max_length
        return int(min(context, 512)) - 2

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
        from shared import weights

        config = weights.ensure(self.settings.embedder, self.settings) / "1_Pooling" / "config.json"
        if not config.exists():
            return "mean"
        facts = json.loads(config.read_text(encoding="utf-8"))
        old = ("cls_token", "cls"), ("lasttoken", "lasttoken")  # names of older and newer files
        named = next((new for key, new in old if facts.get(f"pooling_mode_{key}")), "mean")
        return str(facts.get("pooling_mode") or named)

    @cached_property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self._model.config.hidden_size)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text of any length begins and ends, in characters."""
        tokenizer = self.tokenizer
        with self._tokenizing:
            read = tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
            )
        return [(start, end) for start, end in read["offset_mapping"] if end > start]

    def encode(
        self, texts: Sequence[str], progress: Callable[[int], None] = lambda _n: None
    ) -> list[Encoded]:
        """Vectors of texts, in their order; what is longer than `longest` is cut.

        `progress` is called with the number of texts that were done since it was called last.
        """
        import torch

        if not texts:
            return []
        tokenizer, longest = self.tokenizer, self.longest + 2
        _ = self._model  # loaded before there is only one thread: who loads counts them for everybody
        with self._tokenizing:
            tokenized = tokenizer(
                list(texts), truncation=True, max_length=longest, return_special_tokens_mask=True
            )
        # Where a tokenizer sets no markers, an empty text has no token at all: it is read as one marker.
        read = [each or [0] for each in tokenized["input_ids"]]
        markers = [each or [1] for each in tokenized["special_tokens_mask"]]
        order = sorted(range(len(texts)), key=lambda i: len(read[i]))
        found: list[Encoded | None] = [None] * len(texts)
        with torch.inference_mode(), _one_thread if len(texts) == 1 else nullcontext():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                encoded = self._batch([read[i] for i in rows], [markers[i] for i in rows])
                for i, one in zip(rows, encoded, strict=True):
                    found[i] = one
                progress(len(rows))
        return [each for each in found if each is not None]

    def _batch(self, rows: list[list[int]], markers: list[list[int]]) -> list[Encoded]:
        import torch
        from torch.nn.functional import normalize

        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])  # (batch, longest)
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(longest)[None] < lengths[:, None]  # (batch, longest)
        hidden = self._hidden(ids, mask).float()  # (batch, longest, dim)
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        elif self.pooling == "lasttoken":
            pooled = hidden[torch.arange(len(rows)), lengths - 1]
        else:
            pooled = (hidden * mask[..., None]).sum(1) / lengths[:, None]
        vectors = normalize(pooled, dim=1).numpy()  # (batch, dim)
        tokens = normalize(hidden, dim=2).half().numpy()
        encoded = []
        for vector, of_tokens, row, marked in zip(vectors, tokens, rows, markers, strict=True):
            own = ~np.array(marked, bool)  # the text's own tokens, without the markers at both ends
            encoded.append(Encoded(vector, np.array(row, np.int32)[own], of_tokens[: len(row)][own]))
        return encoded

    def _hidden(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        device = self._model.device
        ids, mask = ids.to(device), mask.to(device)
        # Without a mask the attention takes its fast path; texts of one length need none.
        attention = None if bool(mask.all()) else mask.long()
        hidden: torch.Tensor = self._model(input_ids=ids, attention_mask=attention).last_hidden_state.cpu()
        return hidden

    # --- the LangChain side -------------------------------------------------------------------------

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts; those that `expect` announced are handed over as they are."""
        expected: deque[np.ndarray] | None = getattr(self._of_thread, "expected", None)
        if not expected:
            return [one.vector.tolist() for one in self.encode(texts)]
        return [expected.popleft().tolist() for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query: MiniLM treats it like any text."""
        return self.embed_documents([text])[0]

    def expect(self, vectors: Iterable[np.ndarray]) -> None:
        """The vectors that a store asks this thread for next, in this order: they are known already."""
        self._of_thread.expected = deque(vectors)


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
