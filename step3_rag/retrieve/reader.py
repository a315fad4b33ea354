"""The trained reader: which sentence of a passage answers a question, or that none does.

    >>> reader = Reader.load(load_settings())
    >>> reading = reader.read("How long is the notice?", "supply.md", "It renews. Notice is 60 days.")
    >>> reading.best, round(reading.score, 1)
    ('Notice is 60 days.', 4.2)

Search compares a question with passages that were embedded before the question was known. The reader gets
both at once (shared/reader/window.py), so that every word of the passage can look at every word of the
question. That takes a forward pass for each passage, and only a few can be read.

It is MiniLM again, with what `python -m step4_finetune train --recipe reader` changed in it. In numpy, since
loading torch takes longer than reading five passages. `CosineReader` is the same before training: it compares
sentences with the question one by one. It is the baseline, and does for smoke runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from shared.catalog import default
from shared.config import Settings
from shared.errors import UserError, reason
from shared.models import weights
from shared.models.load import load_fast_tokenizer
from shared.reader import ADAPTER
from shared.reader.window import Window
from shared.sentences import Span, sentences
from step3_rag.ingest.bert import Bert
from step3_rag.ingest.embed import Embedder

CACHE_SIZE = 2000  # readings
SCALE = np.float32(10)  # of a cosine, in the reader before its training


@dataclass(frozen=True)
class Reading:
    """What the reader makes of one passage."""

    passage: str
    sentences: list[Span]  # of the passage, in characters
    scores: np.ndarray  # (sentences,) log-odds of each sentence against "not here"

    @property
    def score(self) -> float:
        """The highest score; -inf without a sentence."""
        return float(self.scores.max(initial=-np.inf))

    @property
    def best(self) -> str:
        """The sentence with the highest score; empty without a sentence."""
        if not self.sentences:
            return ""
        start, end = self.sentences[int(self.scores.argmax())]
        return self.passage[start:end]


class PassageReader(Protocol):
    """What reads a passage."""

    def read(self, question: str, title: str, passage: str) -> Reading:
        """Score each sentence of a passage; `title` says where it stands."""


@dataclass(frozen=True)
class Heads:
    """The reader's last layer: what turns hidden states into scores."""

    scale: float  # of the cosine of question and sentence
    sentence: np.ndarray  # (hidden,)
    sentence_bias: float
    nowhere: np.ndarray  # (hidden,)
    nowhere_bias: float

    def scores(self, hidden: np.ndarray, window: Window) -> np.ndarray:
        """Scores of "not here" and of each sentence: (n, hidden) -> (1 + sentences,)."""
        question = _unit(hidden[window.question].mean(0))
        scores = [hidden[0] @ self.nowhere + self.nowhere_bias]
        for number in range(len(window.sentences)):
            tokens = hidden[window.sentence_of == number]  # (tokens, hidden)
            if not len(tokens):
                scores.append(-np.inf)
                continue
            mean = tokens.mean(0)
            scores.append(self.scale * (_unit(mean) @ question) + mean @ self.sentence + self.sentence_bias)
        return np.array(scores, np.float32)


class Reader:
    """The loaded model. Several threads may use it at the same time."""

    def __init__(self, bert: Bert, heads: Heads, tokenizer: Tokenizer) -> None:
        self.bert = bert
        self.heads = heads
        self.tokenizer = tokenizer
        self._cache: dict[tuple[str, str, str], Reading] = {}

    @classmethod
    def load(cls, settings: Settings, path: Path = ADAPTER) -> Reader:
        """The catalog's embedder, whichever one the settings name, with the changes of a file.

        Raises:
            UserError: the file is missing or damaged, or belongs to another model.
        """
        base = default("embedder").id
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.get("base") != base:
                raise UserError(f"{path} is for {metadata.get('base')}, not for {base}: train it again")
            rank_scale = np.float32(metadata["rank_scale"])
            changes = {}
            for name, down in tensors.items():
                if name.endswith(".A"):
                    layer = name.removesuffix(".A")
                    up = tensors[f"{layer}.B"].astype(np.float32)  # (outputs, r)
                    changes[f"{layer}.weight"] = rank_scale * (up @ down.astype(np.float32))
            heads = Heads(
                float(tensors["scale"]),
                tensors["sentence.weight"][0],
                float(tensors["sentence.bias"][0]),
                tensors["nowhere.weight"][0],
                float(tensors["nowhere.bias"][0]),
            )
            bert = Bert.open(weights.ensure(base, settings), changes)
        except (OSError, SafetensorError, LookupError, ValueError) as error:
            raise UserError(f"the reader {path} cannot be loaded: {reason(error)}") from None
        if bert is None:
            raise UserError(
                f"the reader needs {base} in float32: remove its folder, and it is installed again"
            )
        return cls(bert, heads, load_fast_tokenizer(base, settings))

    def read(self, question: str, title: str, passage: str) -> Reading:
        """Read one passage. Readings are cached: a second search returns many of the same passages."""
        key = (question, title, passage)
        cache = self._cache  # another thread may replace it meanwhile
        if key not in cache:
            if len(cache) >= CACHE_SIZE:
                cache = self._cache = {}
            cache[key] = self._read(question, title, passage)
        return cache[key]

    def _read(self, question: str, title: str, passage: str) -> Reading:
        window = Window.of(self.tokenizer, question, title, passage)
        hidden = self.bert.hidden(window.ids, window.types)  # (n, hidden)
        scores = self.heads.scores(hidden, window)
        return Reading(passage, window.sentences, scores[1:] - scores[0])


class CosineReader:
    """Sentences compared with the question by an embedder, each on its own: the baseline."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def read(self, question: str, title: str, passage: str) -> Reading:  # noqa: ARG002
        """A cosine of .5 counts as 0, as in the reader before its training."""
        spans = sentences(passage)
        if not spans:
            return Reading(passage, [], np.zeros(0, np.float32))
        texts = [passage[start:end] for start, end in spans]
        query, *encoded = self.embedder.encode([question, *texts])
        cosines = np.array([query.vector @ sentence.vector for sentence in encoded], np.float32)
        return Reading(passage, spans, SCALE * (cosines - np.float32(0.5)))


def _unit(vector: np.ndarray) -> np.ndarray:
    """A vector of length 1 in the same direction."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
