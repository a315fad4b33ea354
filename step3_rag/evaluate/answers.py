"""Measure the answers: are they right, do their sources support them, do they abstain when they should?

    $ python -m step3_rag evaluate --answers --split dev

Every question is answered once, whatever the confidence. Then the same answers are judged twice: as given,
and with abstaining if the confidence is below the threshold. The figures:

    right       the answer has a reference answer, word by word (the parts of "x and y" may stand apart)
    wrong       an answer was given and isn't right; to an unanswerable question, any answer is wrong
    grounded    share of the sentences that their sources support
    refused     share of the unanswerable questions that were not answered

By kind of question, `silent` counts those not answered, and `relevant cited` the answered ones that cite a
relevant document.
"""

import datetime
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared import hardware
from shared.catalog import lookup
from shared.chat.errors import one_line_errors
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import share, subset
from step3_rag import options
from step3_rag.evaluate import dataset, models_table
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.metrics import auroc
from step3_rag.pipeline import Outcome, ask
from step3_rag.reflect.reflect import THRESHOLD
from step3_rag.retrieve.search import Options

THRESHOLDS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8)  # of which a table shows the figures


@dataclass(frozen=True)
class Judged:
    """An answer with its judgement."""

    question: Question
    outcome: Outcome
    right: bool

    @property
    def answerable(self) -> bool:
        return bool(self.question.qrels)

    @property
    def is_silent(self) -> bool:
        """Whether it is not given: the reader found none, or the confidence is below the threshold."""
        return self.outcome.answer.is_unknown or self.outcome.reflection.verdict == "abstain"

    @property
    def found(self) -> bool:
        """Whether one of the sources is relevant."""
        return any(source.document in self.question.qrels for source in self.outcome.sources)

    @property
    def cites_relevant(self) -> bool:
        """Whether one of the sources that the answer cites is relevant."""
        numbers = {number for one in self.outcome.answer.cited for number in one.numbers}
        cited = {source.document for source in self.outcome.sources if source.number in numbers}
        return not cited.isdisjoint(self.question.qrels)


def run(
    settings: Settings,
    name: str,
    split: str | None,
    reader: str,
    limit: int | None = None,
    table: Path | None = None,
) -> dict[str, Any]:
    """Answer every question of a dataset that has reference answers, and measure the answers.

    The figures with abstaining also become a row of a Markdown `table` of models (models_table.py).

    Raises:
        UserError: no such dataset, it has no reference answers, or the file has no such table.
    """
    if table:
        models_table.check(table)
    data = dataset.read(name, split)
    if not any(each.answers for each in data.questions):
        raise UserError(f"{data.name} has no reference answers: leave out --answers, or use --dataset sample")
    retriever = dataset_retriever(settings, data)
    plan = replace(options.make_plan(settings, Options(), reader, None, THRESHOLD), abstain=False)
    client = options.make_client(settings) if plan.needs_chat else None
    judged = []
    questions = subset(data.questions, limit, settings.seed)
    for question in track(f"answering {data.name}", questions):
        asked = replace(plan, options=replace(plan.options, before=question.before))
        with one_line_errors(settings.model, settings):
            outcome = ask(retriever, question.text, asked, client, settings.model)
        judged.append(judge_words(question, outcome))
    always, abstaining = (figures(judged, abstain=abstain) for abstain in (False, True))
    before, after = (each["wrong answers given"].share for each in (always, abstaining))
    confidences = [each.outcome.confidence for each in judged]
    seconds = statistics.median(sum(each.outcome.seconds.values()) for each in judged)
    reader = f"{plan.reader} by {settings.model}" if client else plan.reader
    if table:
        row = models_table.Row(
            model=settings.model if client else "none",
            reader=plan.reader,
            questions=data.name,
            right=abstaining["right"],
            wrong=abstaining["wrong answers given"],
            refused=abstaining["questions without an answer refused"],
            tokens=count_tokens(judged, settings.model),
            seconds=seconds,
            machine=hardware.describe(),
            date=datetime.date.today(),
        )
        models_table.add(table, row)
    return {
        "headline": f"wrong answers given: {before:.0%}, {after:.0%} with abstaining",
        "n": len(judged),
        "tables": {
            "answers": {
                name: {"always answers": always[name], "may abstain": abstaining[name]} for name in always
            },
            "kind": by_kind(judged),
            "threshold": by_threshold(judged),
            "AUROC of the confidence": {
                "right against wrong": {"": auroc(confidences, [each.right for each in judged])},
                "answerable against not": {"": auroc(confidences, [each.answerable for each in judged])},
            },
        },
        "note": f"{data.name}: {len(judged)} questions, {sum(each.answerable for each in judged)} with an "
        f"answer; reader {reader}; silent under confidence {plan.threshold:g}; {seconds:.1f} s a question",
    }


def count_tokens(judged: Sequence[Judged], model: str) -> models_table.Tokens:
    """Tokens and dollars of all answers, those below the threshold, too."""
    calls = [each.outcome.answer for each in judged if each.outcome.answer.input_tokens is not None]
    price = lookup(model).price
    dollars = None
    if price:
        dollars = sum(price.cost(call.input_tokens or 0, call.output_tokens or 0) for call in calls)
    return models_table.Tokens(
        read=sum(call.input_tokens or 0 for call in calls),
        written=sum(call.output_tokens or 0 for call in calls),
        dollars=dollars,
    )


def judge_words(question: Question, outcome: Outcome) -> Judged:
    """Compare an answer with the reference answers, word by word."""
    answer = re.sub(r"\[[\d, ]+\]", "", outcome.answer.text)
    return Judged(question, outcome, any(has_reference(answer, each) for each in question.answers))


def has_reference(answer: str, reference: str) -> bool:
    """Whether an answer has a reference word by word; the parts of "x and y" may stand apart.

    >>> has_reference("Notice is 60 days, and liability ends at EUR 40,000.", "60 days and EUR 40,000")
    True
    """

    def words(text: str) -> str:
        """Words and numbers in lower case, without articles, as in SQuAD's evaluation."""
        found = re.findall(r"\w+(?:[.,]\d+)*", text.lower())
        return f" {' '.join(word for word in found if word not in ('a', 'an', 'the'))} "

    text = words(answer)
    return words(reference) in text or all(words(part) in text for part in reference.split(" and "))


def figures(judged: Sequence[Judged], *, abstain: bool) -> dict[str, Any]:
    """The figures of all answers, with or without abstaining."""
    given = [each for each in judged if not (each.is_silent if abstain else each.outcome.answer.is_unknown)]
    sentences = [one for each in given for one in each.outcome.answer.cited]
    right = sum(each.right for each in given)
    answerable, answered = (sum(each.answerable for each in those) for those in (judged, given))
    unanswerable = len(judged) - answerable
    refused = unanswerable - (len(given) - answered)
    return {
        "right": share(right, answerable),
        "wrong answers given": share(len(given) - right, len(judged)),
        "grounded sentences": share(sum(one.is_supported for one in sentences), len(sentences)),
        "questions without an answer refused": share(refused, unanswerable),
    }


def by_threshold(judged: Sequence[Judged]) -> dict[str, Any]:
    """What other thresholds would give: answered questions, right and wrong ones, refused near misses."""
    rows = {}
    for threshold in THRESHOLDS:
        given = [each for each in judged if each.outcome.confidence >= threshold]
        right = sum(each.right for each in given)
        rows[f"{threshold:g}"] = {
            "answered": len(given),
            "right": right,
            "wrong": len(given) - right,
            "refused": sum(not each.answerable and each not in given for each in judged),
        }
    return rows


def by_kind(judged: Sequence[Judged]) -> dict[str, Any]:
    """Counts of the questions of each kind."""
    groups: dict[str, list[Judged]] = {}
    for each in judged:
        groups.setdefault(each.question.kind, []).append(each)
    return {
        kind: {
            "n": len(group),
            "relevant found": sum(each.found for each in group),
            "right": sum(each.right for each in group),
            "silent": sum(each.is_silent for each in group),
            "relevant cited": sum(each.cites_relevant and not each.is_silent for each in group),
        }
        for kind, group in groups.items()
    }
