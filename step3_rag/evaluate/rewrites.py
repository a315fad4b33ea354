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
from step3_rag import from_flags
from step3_rag.evaluate import dataset
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.measurement import QuestionMeasurement, Row, difference
from step3_rag.evaluate.metrics import ndcg
from step3_rag.pipeline import chat_function
from step3_rag.reflect.loop import THRESHOLD, Attempt, Reflection, reflect
from step3_rag.reflect.rewrite import WITH_CHAT
from step3_rag.retrieve.search import SearchOptions


def run(
    settings: Settings, name: str, split: str | None, strategies: Sequence[str], limit: int | None = None
) -> QuestionMeasurement:
    """Ask every question once with each strategy.

    Raises:
        UserError: no such dataset, or no strategy.
    """
    if not strategies:
        raise UserError("--strategies none leaves nothing to measure: name at least one")
    data = dataset.read(name, split)
    retriever = dataset_retriever(settings, data)
    client = from_flags.make_client(settings) if set(strategies) & set(WITH_CHAT) else None
    chat = chat_function(client, settings.model, []) if client else None
    questions = subset(dataset.with_answer(data.questions), limit, settings.seed)
    reflections: dict[str, list[Reflection]] = {strategy: [] for strategy in strategies}
    for question in track(f"asking {data.name}", questions):
        options = SearchOptions(before=question.before)
        for strategy in strategies:  # the first search is the same: its judgements are cached
            with one_line_errors(settings.model, settings):
                reflection = reflect(retriever, question.text, options, (strategy,), chat=chat)
            reflections[strategy].append(reflection)
    first = [reflection.attempts[0] for reflection in reflections[strategies[0]]]
    low = [i for i, attempt in enumerate(first) if attempt.confidence < THRESHOLD]
    asked_again = f"{len(low)} of {len(questions)} questions"
    note = f"nDCG@10; {data.name}: {asked_again} had a confidence under {THRESHOLD:g}"
    if client:
        note += f"; {settings.model}"
    rows = {name: _figures(questions, reflections[name], low) for name in strategies}
    return QuestionMeasurement(
        command="step3_rag reflect",
        headline=f"{asked_again} asked again",
        n=len(questions),
        tables={"strategy": rows},
        note=note,
    )


def _figures(questions: Sequence[Question], reflections: Sequence[Reflection], low: Sequence[int]) -> Row:
    """One strategy's nDCG@10: the means over the `low` questions, and the change over all."""
    scores = {
        "before": _ndcgs(questions, [reflection.attempts[0] for reflection in reflections]),
        "replaced": _ndcgs(questions, [reflection.attempts[-1] for reflection in reflections]),
        "kept": _ndcgs(questions, [reflection.best for reflection in reflections]),
    }
    row: dict[str, Any] = {"new query": sum(len(reflection.attempts) > 1 for reflection in reflections)}
    for name, values in scores.items():
        row[name] = statistics.mean(values[i] for i in low) if low else None
    row["kept, over all questions"] = difference(scores["kept"], scores["before"])
    return row


def _ndcgs(questions: Sequence[Question], attempts: Sequence[Attempt]) -> list[float]:
    """The nDCG@10 of each question's attempt."""
    values = []
    for question, attempt in zip(questions, attempts, strict=True):
        values.append(ndcg(attempt.found.ranking(), question.qrels))
    return values
