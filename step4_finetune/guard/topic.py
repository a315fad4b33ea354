"""Whether a message is about what the company does: nearer to members' messages than to other questions.

    >>> topic = load_topic(load_settings(), read_rows(SAMPLE))
    >>> topic.score("Where is my parcel?"), topic.score("Write a poem about the sea.")
    (-0.31, 0.22)

The score compares neighbours: the mean cosine of the five nearest general questions, less that of the five
nearest messages of members (sentence embeddings, training rows on both sides). The threshold is chosen on
the dev rows: the one that catches most, of those that stop at most 2 % of the members' messages, because a
member who is turned away costs more than a poem that is answered. (A centroid for each side or for each topic
does nearly as well: on dev the difference is within chance.)

What is near in words is near here: a question of law about a broken fridge is on topic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shared.config import Settings
from shared.errors import UserError
from step4_finetune.data.questions import read_questions
from step4_finetune.data.rows import GENERAL, Row

NEAREST = 5
WRONGLY_STOPPED = 0.02  # of the members' messages, at most, when the threshold is chosen
MEMBERS_LIKE = "message"  # general questions of this kind are those of another company's customers
BATCH = 16

Embed = Callable[[Sequence[str]], np.ndarray]  # texts to vectors of length 1, (n, dim) float32


@dataclass(frozen=True)
class Topic:
    """What members write, what others ask, and the score from which on a message is off topic."""

    members: np.ndarray  # (n, dim)
    general: np.ndarray  # (m, dim)
    embed: Embed
    threshold: float = 0.0

    def scores(self, texts: Sequence[str]) -> list[float]:
        """How much nearer each text is to general questions than to members' messages, -1 to 1."""
        vectors = self.embed(texts)
        return [float(each) for each in _nearness(vectors, self.general) - _nearness(vectors, self.members)]

    def score(self, text: str) -> float:
        """The same for one text."""
        return self.scores([text])[0]

    def is_off(self, text: str) -> bool:
        """Whether a text is off topic."""
        return self.score(text) > self.threshold


def _nearness(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean cosine of the nearest others, (n,)."""
    cosines = np.sort(vectors @ others.T, axis=1)  # (n, m)
    return cosines[:, -NEAREST:].mean(axis=1)


def load_topic(
    settings: Settings,
    rows: Sequence[Row],
    general: Path = GENERAL,
    labelled: Sequence[tuple[str, bool]] = (),
    embed: Embed | None = None,
) -> Topic:
    """Made of training rows, its threshold of dev rows and of `labelled` texts (True is off topic).

    Raises:
        UserError: there are too few rows, the general questions can't be read, or the embedder can't be had.
    """
    embed = embed or remembered(embedder(settings), settings)
    sides = [
        {split: [row.message for row in rows if row.split == split] for split in ("train", "dev")},
        {
            split: [each.prompt for each in read_questions(split, general) if each.kind != MEMBERS_LIKE]
            for split in ("train", "dev")
        },
    ]
    if any(len(side["train"]) < NEAREST for side in sides):
        raise UserError(
            f"to tell what is off topic takes {NEAREST} training rows and {NEAREST} general questions"
        )
    topic = Topic(embed(sides[0]["train"]), embed(sides[1]["train"]), embed)
    on, off = (
        [*side["dev"], *(text for text, label in labelled if label == is_off)]
        for side, is_off in zip(sides, (False, True), strict=True)
    )
    if not on or not off:
        return topic
    threshold = choose(topic.scores(on), topic.scores(off))
    return Topic(topic.members, topic.general, embed, threshold)


def choose(on: Sequence[float], off: Sequence[float]) -> float:
    """The threshold that catches most of `off` and stops at most 2 % of `on`, in the middle of its gap."""
    scores = sorted({*on, *off})
    best = (0, 0, scores[-1])  # which stops none
    for threshold in ((low + high) / 2 for low, high in pairwise(scores)):
        stopped = sum(score > threshold for score in on)
        caught = sum(score > threshold for score in off)
        if stopped <= WRONGLY_STOPPED * len(on):
            best = max(best, (caught, -stopped, threshold))
    return best[2]


# --- vectors ----------------------------------------------------------------------------------------------


def embedder(settings: Settings) -> Embed:
    """The embedding model as a function, loaded when first called: the mean of the tokens' vectors."""
    loaded: list[Any] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        import torch

        from shared.models import load_encoder, load_tokenizer

        if not loaded:
            loaded.extend((load_tokenizer(settings.embedder, settings), load_encoder(settings=settings)))
        tokenizer, model = loaded
        vectors = np.zeros((len(texts), model.config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding in a batch
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = tokenizer(
                [texts[at] for at in places],
                padding=True,
                truncation=True,
                max_length=256,
                return_tensors="pt",
            ).to(model.device)
            with torch.inference_mode():
                states = model(**batch).last_hidden_state.float()  # (n, tokens, dim)
            mask = batch["attention_mask"][..., None]
            means = (states * mask).sum(1) / mask.sum(1)  # (n, dim)
            vectors[places] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
        return vectors

    return embed


def remembered(embed: Embed, settings: Settings) -> Embed:
    """The same, with the vectors of many texts kept in the cache folder: the sample's take some seconds."""

    def with_memory(texts: Sequence[str]) -> np.ndarray:
        if len(texts) < BATCH:
            return embed(texts)
        key = hashlib.sha256(json.dumps([settings.embedder, *texts]).encode()).hexdigest()[:16]
        path = settings.cache_dir / "guard" / f"{key}.npy"
        try:
            return np.load(path)
        except (OSError, ValueError):
            vectors = embed(texts)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, vectors)
        part.replace(path)
        return vectors

    return with_memory
