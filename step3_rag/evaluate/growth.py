"""How search times grow to a hundred thousand chunks: an index of made-up chunks, embedded by nobody.

    $ python -m step3_rag bench --chunks 100000

Embedding 100,000 chunks takes half an hour, so these have vectors near those of real questions, random words,
and eight token vectors each (reranking looks at fifty chunks, whatever the size of the index). What is
measured is what grows: BM25 over all chunks, the nearest neighbours, and the bookkeeping.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.config import Settings
from shared.progress import count_bar
from step3_rag.evaluate import dataset
from step3_rag.ingest.embed import Embedder, Encoded
from step3_rag.ingest.index import Draft, Index
from step3_rag.retrieve.search import Options
from step3_rag.service import SIZES, Service, facts_of

if TYPE_CHECKING:
    from rich.console import Console

TOKENS, PER_DOCUMENT, AT_ONCE, QUERIES = 8, 10, 2000, 30


def run(settings: Settings, chunks: int) -> list[dict[str, Any]]:
    """Median times of a search at a hundredth, a tenth, and all of the chunks."""
    embedder = Embedder(settings)
    questions = [each.text for each in dataset.read("sample", "dev", settings).questions[:QUERIES]]
    encoded = embedder.encode(questions)
    home = Path(tempfile.mkdtemp(prefix="rag-growth-"))
    rows = []
    try:
        index = Index.open(home, facts_of(settings, SIZES), create=True)
        made = made_up(questions, encoded, settings.seed)
        held = 0
        for n in (chunks // 100, chunks // 10, chunks):
            with count_bar(f"an index of {n} chunks", n) as progress:
                while held < n:
                    held += _add(index, made, min(AT_ONCE, n - held))
                    progress(held, n)
            retriever = Service(settings, index, embedder, "chroma").retriever
            for question, one in zip(questions[:3], encoded, strict=False):
                retriever.search(question, Options(), one)
            found = [
                retriever.search(question, Options(), one)
                for question, one in zip(questions, encoded, strict=True)
            ]
            parts = {name: median(each.seconds[name] for each in found) for name in found[0].seconds}
            rows.append(
                {
                    "chunks": held,
                    "p50_ms": round(1000 * median(sum(each.seconds.values()) for each in found), 1),
                    "parts_ms": {name: round(1000 * value, 2) for name, value in parts.items()},
                }
            )
        index.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return rows


def made_up(
    questions: Sequence[str], encoded: Sequence[Encoded], seed: int
) -> Iterator[tuple[Draft, Encoded]]:
    """Chunks without end: a question's vector with much noise, its words among others."""
    draw, noise = random.Random(seed), np.random.default_rng(seed)
    words = sorted({word for question in questions for word in question.split()})
    dim = len(encoded[0].vector)
    while True:
        one = draw.choice(encoded)
        vectors = np.concatenate([one.vector[None], noise.normal(size=(TOKENS, dim)).astype(np.float32)])
        vectors += noise.normal(scale=1.5 / np.sqrt(dim), size=vectors.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        text = " ".join(draw.choices(words, k=20)) + f" {draw.randrange(10**6)}"
        ids = noise.integers(1000, 30000, size=TOKENS).astype(np.int32)
        yield Draft(None, "", text, text), Encoded(vectors[0], ids, vectors[1:].astype(np.float16))


def _add(index: Index, made: Iterator[tuple[Draft, Encoded]], n: int) -> int:
    """So many chunks more, ten to a document."""
    documents, rows = [], []
    for number in range(n):
        if number % PER_DOCUMENT == 0:
            name = f"made-up-{index.generation}-{number}"
            documents.append(index.begin(name, name, "made-up", name, name))
        draft, one = next(made)
        rows.append((documents[-1], number % PER_DOCUMENT, draft, one))
    index.add(rows)
    index.finish(documents)
    return n


def show(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """One row a size."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("made-up chunks", "p50 ms", "bm25", "dense", "maxsim"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        parts = (f"{row['parts_ms'][name]:.1f}" for name in ("bm25", "dense", "maxsim"))
        table.add_row(f"{row['chunks']:,}", f"{row['p50_ms']:.1f}", *parts)
    console.print()
    console.print(table)
