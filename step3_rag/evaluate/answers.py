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

from shared import hardware
from shared.catalog import lookup
from shared.chat.errors import one_line_errors
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import Share, share, subset
from step3_rag import from_flags
from step3_rag.answer.read import Cited
from step3_rag.evaluate import dataset, models_table
from step3_rag.evaluate.dataset import Question, dataset_retriever
from step3_rag.evaluate.measurement import QuestionMeasurement, Table
from step3_rag.evaluate.metrics import auroc
from step3_rag.pipeline import Outcome, ask
from step3_rag.reflect.loop import THRESHOLD
from step3_rag.retrieve.search import SearchOptions

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
    def has_relevant(self) -> bool:
        """Whether one of the sources is relevant."""
        return any(source.document in self.question.qrels for source in self.outcome.sources)

    @property
    def cites_relevant(self) -> bool:
        """Whether one of the sources that the answer cites is relevant."""
        numbers: set[int] = set()
        for sentence in self.outcome.answer.cited:
            numbers.update(sentence.numbers)
        cited = {source.document for source in self.outcome.sources if source.number in numbers}
        return not cited.isdisjoint(self.question.qrels)


def run(
    settings: Settings,
    name: str,
    split: str | None,
    reader: str,
    limit: int | None = None,
    table: Path | None = None,
) -> QuestionMeasurement:
    """Answer every question of a dataset that has reference answers, and measure the answers.

    The figures with abstaining also become a row of a Markdown `table` of models (models_table.py).

    Raises:
        UserError: no such dataset, it has no reference answers, or the file has no such table.
    """
    if table:
        models_table.check(table)
    data = dataset.read(name, split)
    if not any(question.answers for question in data.questions):
        raise UserError(f"{data.name} has no reference answers: leave out --answers, or use --dataset sample")
    retriever = dataset_retriever(settings, data)
    plan = replace(from_flags.make_plan(settings, SearchOptions(), reader, None, THRESHOLD), abstain=False)
    client = from_flags.make_client(settings) if plan.needs_chat else None
    judged: list[Judged] = []
    questions = subset(data.questions, limit, settings.seed)
    for question in track(f"answering {data.name}", questions):
        asked = replace(plan, options=replace(plan.options, before=question.before))
        with one_line_errors(settings.model, settings):
            outcome = ask(retriever, question.text, asked, client, settings.model)
        judged.append(judge_words(question, outcome))
    always = figures(judged, abstain=False)
    abstaining = figures(judged, abstain=True)
    before = always["wrong answers given"].share
    after = abstaining["wrong answers given"].share
    with_answer = sum(item.answerable for item in judged)
    seconds = statistics.median(sum(item.outcome.seconds.values()) for item in judged)
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
    return QuestionMeasurement(
        command="step3_rag evaluate",
        headline=f"wrong answers given: {before:.0%}, {after:.0%} with abstaining",
        n=len(judged),
        tables={
            "answers": {
                name: {"always answers": always[name], "may abstain": abstaining[name]} for name in always
            },
            "kind": by_kind(judged),
            "threshold": by_threshold(judged),
            "AUROC of the confidence": confidence_aurocs(judged),
        },
        note=f"{data.name}: {len(judged)} questions, {with_answer} with an answer; reader {reader}; silent "
        f"under confidence {plan.threshold:g}; {seconds:.1f} s a question",
    )


def count_tokens(judged: Sequence[Judged], model: str) -> models_table.Tokens:
    """Tokens and dollars of all answers, those below the threshold, too."""
    price = lookup(model).price
    read = 0
    written = 0
    dollars = 0.0
    for item in judged:
        answer = item.outcome.answer
        of_answer = (answer.input_tokens or 0, answer.output_tokens or 0)
        read += of_answer[0]
        written += of_answer[1]
        dollars += price.cost(*of_answer) if price else 0.0
    return models_table.Tokens(read, written, dollars if price else None)


def judge_words(question: Question, outcome: Outcome) -> Judged:
    """Compare an answer with the reference answers, word by word."""
    answer = re.sub(r"\[[\d, ]+\]", "", outcome.answer.text)
    is_right = any(has_reference(answer, reference) for reference in question.answers)
    return Judged(question, outcome, is_right)


def has_reference(answer: str, reference: str) -> bool:
    """Whether an answer has a reference word by word; the parts of "x and y" may stand apart.

    >>> has_reference("Notice is 60 days, and liability ends at EUR 40,000.", "60 days and EUR 40,000")
    True
    """

    def words(text: str) -> str:
        """Words and numbers in lower case, without articles, as in SQuAD's evaluation."""
        all_words = re.findall(r"\w+(?:[.,]\d+)*", text.lower())
        return f" {' '.join(word for word in all_words if word not in ('a', 'an', 'the'))} "

    text = words(answer)
    return words(reference) in text or all(words(part) in text for part in reference.split(" and "))


def figures(judged: Sequence[Judged], *, abstain: bool) -> dict[str, Share]:
    """The figures of all answers, with or without abstaining."""
    given = []
    for item in judged:
        is_silent = item.is_silent if abstain else item.outcome.answer.is_unknown
        if not is_silent:
            given.append(item)
    sentences: list[Cited] = []
    for item in given:
        sentences += item.outcome.answer.cited

    right = sum(item.right for item in given)
    answerable = sum(item.answerable for item in judged)
    answered = sum(item.answerable for item in given)  # of the answerable questions
    unanswerable = len(judged) - answerable
    refused = unanswerable - (len(given) - answered)
    supported = sum(sentence.is_supported for sentence in sentences)
    return {
        "right": share(right, answerable),
        "wrong answers given": share(len(given) - right, len(judged)),
        "grounded sentences": share(supported, len(sentences)),
        "questions without an answer refused": share(refused, unanswerable),
    }


def by_threshold(judged: Sequence[Judged]) -> Table:
    """What other thresholds would give: answered questions, right and wrong ones, refused near misses."""
    rows = {}
    for threshold in THRESHOLDS:
        given = [item for item in judged if item.outcome.confidence >= threshold]
        right = sum(item.right for item in given)
        rows[f"{threshold:g}"] = {
            "answered": len(given),
            "right": right,
            "wrong": len(given) - right,
            "refused": sum(not item.answerable and item not in given for item in judged),
        }
    return rows


def by_kind(judged: Sequence[Judged]) -> Table:
    """Counts of the questions of each kind."""
    groups: dict[str, list[Judged]] = {}
    for item in judged:
        groups.setdefault(item.question.kind, []).append(item)
    rows = {}
    for kind, group in groups.items():
        rows[kind] = {
            "n": len(group),
            "relevant found": sum(item.has_relevant for item in group),
            "right": sum(item.right for item in group),
            "silent": sum(item.is_silent for item in group),
            "relevant cited": sum(item.cites_relevant and not item.is_silent for item in group),
        }
    return rows


def confidence_aurocs(judged: Sequence[Judged]) -> Table:
    """How well the confidence tells right answers from wrong ones, and answerable questions from others."""
    confidences = [item.outcome.confidence for item in judged]
    return {
        "right against wrong": {"": auroc(confidences, [item.right for item in judged])},
        "answerable against not": {"": auroc(confidences, [item.answerable for item in judged])},
    }
