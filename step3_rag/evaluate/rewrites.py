"""Does another search help? Measure every strategy on the questions whose first search looked bad.

    $ python -m step3_rag reflect --dataset sample --split dev

Each strategy has two figures beside the first search's: *replaced* always takes the new search, *kept* the
more confident of the two. The first measures the rewriting, the second reflection with it. The interval is
over all questions, including those without a second search.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from shared.chat.errors import one_line_errors
from shared.config import Settings
from shared.stats import subset
from step3_rag import options
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import dataset_service
from step3_rag.evaluate.metrics import ndcg
from step3_rag.evaluate.retrieval import with_progress
from step3_rag.pipeline import chat_function
from step3_rag.reflect.confidence import confidence
from step3_rag.reflect.reflect import THRESHOLD, Attempt, better
from step3_rag.reflect.rewrite import WITH_CHAT, rewrite
from step3_rag.retrieve.search import Options


def run(
    settings: Settings, name: str, split: str | None, strategies: Sequence[str], limit: int | None = None
) -> dict[str, Any]:
    """Search again by every strategy if the first search was not confident; `limit` is for those questions.

    Raises:
        UserError: no such dataset.
    """
    data = dataset.read(name, split)
    retriever = dataset_service(settings, data).retriever
    client = options.make_client(settings) if set(strategies) & set(WITH_CHAT) else None
    chat = chat_function(client, settings.model) if client else None
    questions = [each for each in data.questions if each.qrels]

    def search(strategy: str, query: str, how: Options) -> Attempt:
        found = retriever.search(query, how)
        return Attempt(strategy, query, found, confidence(found, retriever))

    def score(i: int, attempt: Attempt) -> float:
        return ndcg(attempt.found.ranking(), questions[i].qrels)

    first = [
        search("question", question.text, Options(before=question.before))
        for question in with_progress(f"asking {data.name}", questions)
    ]
    before = [score(i, each) for i, each in enumerate(first)]
    low = subset([i for i, each in enumerate(first) if each.confidence < THRESHOLD], limit, settings.seed)
    rows: dict[str, Any] = {}
    for strategy in strategies:
        replaced, kept, seconds, offered = list(before), list(before), [], 0
        for i in with_progress(f"asking again: {strategy}", low):
            began = time.perf_counter()
            with one_line_errors(settings.model, settings):
                other = rewrite(strategy, questions[i].text, first[i].found, retriever, chat)
            if other:
                offered += 1
                attempt = search(strategy, *other)
                replaced[i] = score(i, attempt)
                kept[i] = score(i, better([first[i], attempt]))
            seconds.append(time.perf_counter() - began)
        figures = {"before": before, "replaced": replaced, "kept": kept}
        rows[strategy] = {
            "new query": offered,
            **{key: statistics.mean(each[i] for i in low) if low else None for key, each in figures.items()},
            "kept, over all questions": retrieval.difference(kept, before),
            "s": statistics.median(seconds) if seconds else None,
        }
    return {
        "headline": f"{len(low)} of {len(questions)} questions asked again",
        "dataset": data.name,
        "n": len(questions),
        "tables": {"strategy": rows},
        "note": f"nDCG@10; {data.name}: {len(low)} of {len(questions)} questions had a confidence under "
        f"{THRESHOLD:g}" + (f"; {settings.model}" if client else ""),
    }
