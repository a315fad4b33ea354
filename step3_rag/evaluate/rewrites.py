"""Does another search help? Measure every strategy on the questions whose first search looked bad.

    $ python -m step3_rag reflect --dataset sample --split dev

Each strategy has two figures beside the first search's: *replaced* always takes the new search, *kept* the
one that `reflect` keeps. The first measures the rewriting, the second reflection with it. The interval is
over all questions, including those without a second search.
"""

import statistics
from collections.abc import Sequence
from typing import Any

from shared.chat.errors import one_line_errors
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import subset
from step3_rag import options
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.metrics import ndcg
from step3_rag.evaluate.retrieval import difference
from step3_rag.pipeline import chat_function
from step3_rag.reflect.reflect import THRESHOLD, Reflection, reflect
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.search import Options


def run(
    settings: Settings, name: str, split: str | None, strategies: Sequence[str], limit: int | None = None
) -> dict[str, Any]:
    """Ask every question once with each strategy.

    Raises:
        UserError: no such dataset, or no strategy.
    """
    if not strategies:
        raise UserError("--strategies none leaves nothing to measure: name at least one")
    data = dataset.read(name, split)
    retriever = dataset_retriever(settings, data)
    client = options.make_client(settings) if set(strategies) & set(WITH_CHAT) else None
    chat = chat_function(client, settings.model, []) if client else None
    questions = subset([each for each in data.questions if each.qrels], limit, settings.seed)
    done: dict[str, list[Reflection]] = {strategy: [] for strategy in strategies}
    for question in track(f"asking {data.name}", questions):
        how = Options(before=question.before)
        for strategy in strategies:  # the first search is the same: its judgements are cached
            with one_line_errors(settings.model, settings):
                done[strategy].append(reflect(retriever, question.text, how, (strategy,), chat=chat))
    first = [each.attempts[0] for each in done[strategies[0]]]
    low = [i for i, each in enumerate(first) if each.confidence < THRESHOLD]
    return {
        "headline": f"{len(low)} of {len(questions)} questions asked again",
        "n": len(questions),
        "tables": {"strategy": {name: _figures(questions, each, low) for name, each in done.items()}},
        "note": f"nDCG@10; {data.name}: {len(low)} of {len(questions)} questions had a confidence under "
        f"{THRESHOLD:g}" + (f"; {settings.model}" if client else ""),
    }


def _figures(questions: Sequence[Question], done: Sequence[Reflection], low: Sequence[int]) -> dict[str, Any]:
    """One strategy's nDCG@10: the means over the `low` questions, and the change over all."""
    attempts = {
        "before": [each.attempts[0] for each in done],
        "replaced": [each.attempts[-1] for each in done],
        "kept": [each.best for each in done],
    }
    scores = {
        name: [ndcg(one.found.ranking(), asked.qrels) for asked, one in zip(questions, each, strict=True)]
        for name, each in attempts.items()
    }
    return {
        "new query": sum(len(each.attempts) > 1 for each in done),
        **{name: statistics.mean(each[i] for i in low) if low else None for name, each in scores.items()},
        "kept, over all questions": difference(scores["kept"], scores["before"]),
    }
