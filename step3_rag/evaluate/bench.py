"""How fast? Ratios, measured in one run and in turns, because other programs share the machine.

    $ python -m step3_rag bench

1. Embedding beside `SentenceTransformer.encode` with its defaults, on the same texts.
2. A search, with reranking, as the index grows. Texts are made of the sample's sentences, shuffled.
3. An ingest of what is already there.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_embedder
from shared.progress import count_bar, spinner
from step3_rag import SAMPLE
from step3_rag.evaluate import dataset, growth
from step3_rag.evaluate.dataset import Text
from step3_rag.ingest import load, update
from step3_rag.ingest.chunk import sentences
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.index import Index
from step3_rag.ingest.sources import Report, Source, files_in
from step3_rag.retrieve.search import Options
from step3_rag.service import SIZES, Service, facts_of

if TYPE_CHECKING:
    from rich.console import Console

ROUNDS, TEXTS = 5, 128
QUERIES = 30
LEAST = 20  # documents


def run(settings: Settings, documents: int, chunks: int = 0) -> dict[str, Any]:
    """Measure; `documents` is the size of the largest index.

    Raises:
        UserError: too few of them.
    """
    if documents < LEAST:
        raise UserError(f"--documents {documents} is not allowed: use {LEAST} or more")
    texts = made_up(documents, settings.seed)
    embedding = compare_embedding(settings, texts[:TEXTS])
    home = Path(tempfile.mkdtemp(prefix="rag-bench-"))
    try:
        grown, again = grow(settings, texts, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    last = grown[-1]
    return {
        "command": "step3_rag bench",
        "headline": f"embedding {embedding['ratio']:.1f} times sentence-transformers; "
        f"search {last['p50_ms']:.0f} ms at {last['documents']} documents",
        "embedding": embedding,
        "growth": grown,
        "again": again,
        "made_up": growth.run(settings, chunks) if chunks else [],
        "threads": _threads(),
        "idle_cores": round(hardware.idle_cores(0.2), 1),
        "machine": hardware.describe(),
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def made_up(n: int, seed: int) -> list[str]:
    """Texts of about 100 tokens from the sample's sentences; the same for a seed."""
    report = Report()
    known = [
        piece.text[start:end]
        for file in files_in(SAMPLE / "documents", None, report)
        for piece in load.pieces(file.path)
        for start, end in sentences(piece.text)
        if 30 < end - start < 300
    ]
    draw = random.Random(seed)
    return [f"Note {number}. {' '.join(draw.sample(known, 4))}" for number in range(n)]


def compare_embedding(settings: Settings, texts: Sequence[str]) -> dict[str, Any]:
    """Documents a second, in turns; the ratio is the median of the rounds' ratios."""
    ours, theirs = (
        Embedder(settings),
        load_embedder(settings=settings.model_copy(update={"dtype": "float32"})),
    )
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.encode(texts),
        "sentence_transformers": lambda: theirs.encode(list(texts)),
    }
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with count_bar("embedding, in turns", ROUNDS) as progress:
        for number in range(ROUNDS):
            progress(number, ROUNDS)
            for name in list(ways) if number % 2 else reversed(list(ways)):
                began = time.perf_counter()
                ways[name]()
                seconds[name].append(time.perf_counter() - began)
    ratios = sorted(b / a for a, b in zip(*seconds.values(), strict=True))
    mine, other = ours.encode(texts), theirs.encode(list(texts), normalize_embeddings=True)
    cosines = [float(one.vector @ vector) for one, vector in zip(mine, other, strict=True)]
    return {
        **{name: round(len(texts) / median(each), 1) for name, each in seconds.items()},
        "ratio": round(median(ratios), 2),
        "ratios": [round(each, 2) for each in ratios],
        "lowest_cosine": round(min(cosines), 5),
        "texts": len(texts),
    }


def grow(settings: Settings, texts: Sequence[str], home: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Search times at a quarter, a half and all of the documents; then an ingest of the same again."""
    embedder = Embedder(settings)
    index = Index.open(home, facts_of(settings, SIZES), create=True)
    sources: list[Source] = [Text(f"note-{i}", f"Note {i}", text) for i, text in enumerate(texts)]
    questions = [each.text for each in dataset.read("sample", "dev", settings).questions[:QUERIES]]
    rows = []
    for n in (len(sources) // 4, len(sources) // 2, len(sources)):
        began = time.perf_counter()
        with count_bar(f"an index of {n} documents", n) as progress:
            update.ingest(index, sources[:n], embedder, SIZES, progress=progress)
        seconds = time.perf_counter() - began
        retriever = Service(settings, index, embedder, "chroma").retriever
        for question in questions[:3]:
            retriever.search(question, Options())
        found = [retriever.search(question, Options()) for question in questions]
        times = sorted(1000 * sum(each.seconds.values()) for each in found)
        parts = {
            name: round(1000 * median(each.seconds[name] for each in found), 1) for name in found[0].seconds
        }
        size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
        chunks = len(retriever.snapshot)
        rows.append(
            {
                "documents": n,
                "chunks": chunks,
                "p50_ms": round(median(times), 1),
                "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
                "parts_ms": parts,
                "mb_per_1000_chunks": round(1000 * size / chunks / 1e6, 1),
                "ingest_seconds": round(seconds, 1),
            }
        )
    with spinner("ingesting the same again"):
        began = time.perf_counter()
        update.ingest(index, sources, embedder, SIZES)
        again = time.perf_counter() - began
    index.close()
    return rows, {"seconds": round(again, 3), "seconds_per_1000": round(1000 * again / len(sources), 3)}


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The three measurements."""
    from rich.table import Table

    row = facts["embedding"]
    console.print(
        f"embedding: {row['ours']:.0f} texts/s beside {row['sentence_transformers']:.0f} of "
        f"SentenceTransformer.encode, {row['ratio']:.2f} times as fast ({row['ratios'][0]:.2f}-"
        f"{row['ratios'][-1]:.2f} in {len(row['ratios'])} rounds of {row['texts']} texts), lowest cosine "
        f"{row['lowest_cosine']:.4f}\n",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("documents", "chunks", "p50 ms", "p95 ms", "embed", "bm25", "dense", "maxsim", "MB/1,000"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in facts["growth"]:
        parts = (f"{each['parts_ms'][name]:.1f}" for name in ("embed", "bm25", "dense", "maxsim"))
        table.add_row(
            str(each["documents"]),
            str(each["chunks"]),
            f"{each['p50_ms']:.1f}",
            f"{each['p95_ms']:.1f}",
            *parts,
            f"{each['mb_per_1000_chunks']:.0f}",
        )
    console.print(table)
    if facts["made_up"]:
        growth.show(facts["made_up"], console)
    again = facts["again"]
    console.print(
        f"\nthe same again: {again['seconds']:.2f} s, {again['seconds_per_1000']:.2f} s per 1,000 documents. "
        f"{facts['threads']} threads; {facts['machine']}, {facts['idle_cores']:.1f} cores idle",
        soft_wrap=True,
    )
