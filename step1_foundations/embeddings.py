"""The table that turns ids into vectors: which tokens lie near each other, and what that does not tell.

    $ python -m step1_foundations embeddings king
    ·King     #3261   0.81
    ·queen    #15731  0.62

Each token has one row in the table, whatever stands around it: "bank" of a river and "bank" of money are
one vector here. A sentence-embedding model reads the whole text first; both are measured on the same words.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from shared import models
from shared.config import Settings
from shared.errors import UserError
from shared.stats import wilson
from step1_foundations.support import plots
from step1_foundations.support.text import check_unicode, piece

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerFast

# Words of one kind should be each other's neighbours: that is measured, with six words of each kind.
GROUPS = {
    "animals": ["dog", "cat", "horse", "cow", "sheep", "mouse"],
    "countries": ["France", "Germany", "Spain", "Japan", "India", "Brazil"],
    "food": ["bread", "cheese", "rice", "soup", "apple", "butter"],
    "verbs": ["run", "walk", "jump", "swim", "climb", "dance"],
    "money": ["bank", "loan", "price", "tax", "debt", "salary"],
    "weather": ["rain", "snow", "wind", "storm", "cloud", "sun"],
}

# One word, two meanings: the first pair of each shares the meaning, the second only the word.
SENSES = [
    ("He sat on the bank of the river.", "He rested at the river's edge.", "The bank approved the loan."),
    (
        "The bat flew out of the cave.",
        "Small winged animals left the cavern.",
        "He swung the bat at the ball.",
    ),
    (
        "She played a chord on the piano.",
        "She played some notes on the keyboard.",
        "Draw a chord of the circle.",
    ),
    ("The crane lifted the steel beam.", "The machine raised the heavy metal.", "The crane caught a fish."),
    (
        "Spring came early this year.",
        "The flowers bloomed sooner than usual.",
        "The spring in the mattress broke.",
    ),
    ("Turn on the light.", "Switch the lamp on.", "The bag is light."),
    ("The match ended in a draw.", "The game was a tie.", "She lit the match."),
    ("He broke the seal on the letter.", "He opened the envelope.", "The seal swam to the ice."),
    ("The bark of the tree is rough.", "The trunk has a coarse surface.", "The bark of the dog woke us."),
    ("She wore a ring on her finger.", "She had a jewel on her hand.", "I will give you a ring tomorrow."),
    ("The plant closed and workers lost their jobs.", "The factory shut down.", "Water the plant every day."),
    ("He paid the fine.", "He paid the penalty.", "The weather is fine."),
    ("Use the key to open the door.", "Unlock the door.", "The song is in the key of C."),
    ("They sat in the front row.", "They had the best seats.", "They had a row about money."),
    ("The well ran dry.", "There was no water left in the ground.", "She is well again."),
    ("The court found him guilty.", "The judge convicted him.", "The players left the court."),
    ("He drank a glass of port.", "He had some sweet wine.", "The ship reached the port."),
    ("The pitch was wet from the rain.", "The football field was soaked.", "Her voice has a high pitch."),
]


def rows_of(tokenizer: PreTrainedTokenizerFast, word: str) -> list[int]:
    """The token ids of a word as it stands inside a sentence (after a space), or the id written as `#123`.

    Raises:
        UserError: an id outside the vocabulary, or nothing at all.
    """
    if word.startswith("#") and len(word) > 1:
        last = len(tokenizer) - 1
        if not word[1:].isdecimal() or int(word[1:]) > last:
            raise UserError(f"token {word} does not exist: ids go from #0 to #{last}")
        return [int(word[1:])]
    check_unicode(word, "word")
    if not word.strip():
        raise UserError("the word is empty: give a word or a token id such as #42")
    ids: list[int] = tokenizer(f" {word.strip()}", add_special_tokens=False).input_ids
    return ids


def vector(table: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Unit vector (d,) of a word: its token's row, or the mean of its tokens' rows."""
    return F.normalize(table[ids].mean(dim=0), dim=0)


def neighbours(
    tokenizer: PreTrainedTokenizerFast, table: torch.Tensor, ids: list[int], k: int
) -> list[dict[str, Any]]:
    """The k tokens whose rows point most nearly the same way, by cosine."""
    cosine = F.normalize(table, dim=1) @ vector(table, ids)  # (V,)
    cosine[ids] = -1
    best = cosine.topk(k)
    return [
        {"token": piece(tokenizer, int(i)), "id": int(i), "cosine": round(float(c), 3)}
        for c, i in zip(best.values, best.indices, strict=True)
    ]


def same_kind_share(vectors: torch.Tensor, kinds: list[str]) -> dict[str, Any]:
    """Of n unit vectors (n, d): how often the nearest other one is of the same kind, with a 95 % interval."""
    cosine = (vectors @ vectors.T).fill_diagonal_(-1)
    hits = sum(kinds[int(near)] == kind for near, kind in zip(cosine.argmax(dim=1), kinds, strict=True))
    return {
        "hits": hits,
        "n": len(kinds),
        "share": round(hits / len(kinds), 3),
        "interval_95": _round(wilson(hits, len(kinds))),
    }


def run(settings: Settings, word: str, k: int, compared: list[str], out: Path) -> dict[str, Any]:
    """Neighbours of `word`, cosines of the `compared` words, a map of the word groups, MiniLM beside it."""
    tokenizer = models.load_tokenizer(settings=settings)
    ids = rows_of(tokenizer, word)
    model: Any = models.load_causal_lm(settings=settings)
    table = model.get_input_embeddings().weight.detach().float().cpu()  # (V, d)
    if not 1 <= k < len(table):
        raise UserError(f"--top-k {k} is not allowed: use 1 to {len(table) - 1}")
    near = neighbours(tokenizer, table, ids, k)
    in_table = torch.stack([vector(table, rows_of(tokenizer, each)) for each in compared])

    words = [each for group in GROUPS.values() for each in group]
    kinds = [kind for kind, group in GROUPS.items() for _ in group]
    token_vectors = torch.stack([vector(table, rows_of(tokenizer, each)) for each in words])  # (n, d)
    facts: dict[str, Any] = {
        "command": "step1_foundations embeddings",
        "model": settings.model,
        "word": word,
        "pieces": [piece(tokenizer, i) for i in ids],
        "table": list(table.shape),
        "neighbours": near,
        "cosine_words": compared,
        "cosines": _cosines(in_table),
        "same_kind": {"token table": same_kind_share(token_vectors, kinds)},
        "picture": str(out),
    }
    embedder = models.load_embedder(settings=settings)

    def encode(texts: list[str]) -> torch.Tensor:  # (n, d) by the sentence model
        return torch.from_numpy(embedder.encode(texts, normalize_embeddings=True)).float()

    def mean_rows(texts: list[str]) -> torch.Tensor:  # (n, d) by the token table alone
        return torch.stack([vector(table, rows_of(tokenizer, text)) for text in texts])

    sentence_vectors = encode(words)
    facts["same_kind"][settings.embedder] = same_kind_share(sentence_vectors, kinds)
    facts["senses"] = {
        "token table": _senses(mean_rows),
        settings.embedder: _senses(encode),
    }
    hits, n = facts["same_kind"]["token table"]["hits"], len(words)
    facts["headline"] = (
        f"nearest word is of the same kind: token table {hits} of {n}, "
        f"{settings.embedder} {facts['same_kind'][settings.embedder]['hits']} of {n}"
    )
    _draw(token_vectors, sentence_vectors, words, kinds, settings.embedder, out)
    return facts


def _senses(encode: Any) -> dict[str, Any]:
    """How often the sentence with the same meaning is nearer than the one with the same word."""
    hits = 0
    for triple in SENSES:
        vectors = F.normalize(encode(list(triple)), dim=1)
        hits += int(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    return {"hits": hits, "n": len(SENSES), "interval_95": _round(wilson(hits, len(SENSES)))}


def _cosines(vectors: torch.Tensor) -> list[list[float]]:
    return [[round(float(c), 2) for c in row] for row in vectors @ vectors.T]


def _round(interval: tuple[float, float]) -> list[float]:
    return [round(bound, 3) for bound in interval]


def press_flat(vectors: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The plane on which (n, d) vectors differ most (PCA): places (n, 2), and its share of the variance."""
    centred = vectors - vectors.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(centred, full_matrices=False)
    variance = sizes**2
    return left[:, :2] * sizes[:2], float(variance[:2].sum() / variance.sum())


def _draw(
    token_vectors: torch.Tensor,
    sentence_vectors: torch.Tensor,
    words: list[str],
    kinds: list[str],
    embedder: str,
    out: Path,
) -> None:
    """Both spaces, pressed flat, side by side."""
    figure = plots.new_figure(13, 6.2)
    axes = figure.subplots(1, 2)
    titles = ("token table (one row per token)", f"{embedder} (reads the text)")
    for axis, vectors, title in zip(axes, (token_vectors, sentence_vectors), titles, strict=True):
        flat, share = press_flat(vectors)
        for kind in GROUPS:
            chosen = [i for i, each in enumerate(kinds) if each == kind]
            axis.scatter(flat[chosen, 0], flat[chosen, 1], label=kind, s=28)
        for text, (x, y) in zip(words, flat.tolist(), strict=True):
            axis.annotate(text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
        axis.set_title(f"{title}\n{share:.0%} of the variance is on this plane")
        axis.margins(x=0.12)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[1].legend(loc="best", fontsize=8)
    plots.save(figure, out)


def show(facts: dict[str, Any], console: Console) -> None:
    """Neighbours, cosines and what each space can tell, for people."""
    from rich.table import Table
    from rich.text import Text

    vocabulary, width = facts["table"]
    console.print(f"The table: {vocabulary:,} rows of {width} numbers", soft_wrap=True)
    pieces = facts["pieces"]
    note = f" (no single token: the mean of {' '.join(pieces)})" if len(pieces) > 1 else ""
    console.print(
        Text(f"\nNearest to {pieces[0] if len(pieces) == 1 else facts['word']}{note}"), style="bold"
    )
    near = Table.grid(padding=(0, 2))
    for row in facts["neighbours"]:
        near.add_row(Text(row["token"]), f"#{row['id']}", f"{row['cosine']:.2f}")
    console.print(near)

    console.print("\nCosines in the token table", style="bold")
    cosines = Table("", *facts["cosine_words"], box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, row in zip(facts["cosine_words"], facts["cosines"], strict=True):
        cosines.add_row(name, *(f"{value:.2f}" for value in row))
    console.print(cosines)

    console.print("\nWhat each can tell (95 % interval)", style="bold")
    table = Table(
        "",
        "nearest word is of the same kind",
        "same meaning is nearer than same word",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for name, row in facts["same_kind"].items():
        sense = facts["senses"][name]
        table.add_row(name, _share(row), _share(sense))
    console.print(table)
    console.print(f"\nThe map: {facts['picture']}", soft_wrap=True)


def _share(row: dict[str, Any]) -> str:
    low, high = row["interval_95"]
    return f"{row['hits']} of {row['n']} ({low:.0%} to {high:.0%})"
