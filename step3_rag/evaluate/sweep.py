"""How large should a chunk be? Compare sizes at the same number of tokens for the reader.

    $ python -m step3_rag sweep --dataset sample --split dev

Comparing five chunks of 64 tokens with five of 254 would compare 320 tokens with 1,270. So every size fills
the same token budgets, and the measurement is whether they contain the answer: the passages that support it
if the dataset has such quotes, or else a relevant document.
"""

import re

from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import share, subset
from step3_rag.answer.context import BUDGET, assemble
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import dataset_retriever
from step3_rag.evaluate.measurement import QuestionMeasurement, Row
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.update import check_sizes
from step3_rag.retrieve.search import SearchOptions

BUDGETS = (BUDGET // 4, BUDGET // 2, BUDGET)  # tokens


def run(
    settings: Settings, name: str, split: str | None, sizes: str, limit: int | None
) -> QuestionMeasurement:
    """Search with every size; `sizes` is like `64/16,128/32`.

    Raises:
        UserError: no such dataset, or a size that is not allowed.
    """
    data = dataset.read(name, split)
    sizes_and_overlaps = parse(sizes, Embedder(settings))
    questions = subset(dataset.with_answer(data.questions), limit, settings.seed)
    rows: dict[str, Row] = {}
    for size, overlap in sizes_and_overlaps:
        retriever = dataset_retriever(settings, data, size, overlap)
        count = retriever.embedder.count_tokens
        hits = dict.fromkeys(BUDGETS, 0)
        options = SearchOptions(k=max(10, BUDGET // (size - overlap) * 2))
        for question in track(f"asking with {size}/{overlap}", questions):
            chunks = retriever.search(question.text, options).best
            for budget in BUDGETS:
                hits[budget] += all(question.supported(assemble(chunks, count, budget)))
        shares = {f"in {budget} tokens": share(hits[budget], len(questions)) for budget in BUDGETS}
        rows[f"{size}/{overlap}"] = {"chunks": len(retriever.snapshot), **shares}
    best = max(rows, key=lambda name: rows[name][f"in {BUDGET} tokens"].hits)
    return QuestionMeasurement(
        command="step3_rag sweep",
        headline=f"{best} contains most answers at {BUDGET} tokens",
        n=len(questions),
        tables={"size/overlap": rows},
        note=f"{data.name}: {len(questions)} questions; those whose answer is in the passages",
    )


def parse(text: str, embedder: Embedder) -> list[tuple[int, int]]:
    """Parse sizes like `64/16,128/32`.

    Raises:
        UserError: they are written in another way, or a size is not allowed.
    """
    sizes = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)/(\d+)\s*", part)
        if not match:
            raise UserError(f"--sizes {text}: write sizes and overlaps like 64/16,128/32")
        sizes.append((int(match[1]), int(match[2])))
    for size, overlap in sizes:
        check_sizes(size, overlap, embedder)
    return sizes
