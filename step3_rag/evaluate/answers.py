"""The answers measured: right or not, borne out by what they cite, and silent where there is nothing to say.

    $ python -m step3_rag evaluate --answers --split dev

Every question is answered once, whatever the confidence, and the confidence is noted. So the same answers are
judged twice: as they would be without abstaining, and with it. The figures, all shares of questions:

    right          the answer holds a reference answer, word by word (a part joined by "and" may stand apart)
    F1             words in common with the nearest reference (Rajpurkar et al. 2016); long answers score low
    wrong          an answer was given and isn't right; to a question without an answer, any is wrong. Part of
                   them is the reader's fault; the rest is answers from passages of which none is relevant
    citations      precision: cited sources that are relevant; recall: relevant documents that are cited
    grounded       sentences whose words stand in what they cite
    abstention     precision: silent where there is no answer or none was found; recall: of those without an
                   answer, silent
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import count_bar
from shared.report.record import writable
from shared.stats import wilson
from step3_rag import options
from step3_rag.evaluate import dataset, retrieval
from step3_rag.evaluate.dataset import Question, dataset_service
from step3_rag.evaluate.scoring import f1, holds
from step3_rag.pipeline import Outcome, ask
from step3_rag.reflect.reflect import THRESHOLD
from step3_rag.retrieve.search import Options

if TYPE_CHECKING:
    from rich.console import Console

Judge = Callable[[Question, str], bool | None]  # whether an answer is right, by another model


@dataclass(frozen=True)
class Judged:
    """One answer, and what is true of it."""

    question: Question
    outcome: Outcome
    right: bool
    f1: float
    says_unknown: bool  # the reader itself
    low: bool  # confidence under the threshold: silent, where abstaining is on

    @property
    def answerable(self) -> bool:
        return bool(self.question.qrels)


def run(
    settings: Settings,
    name: str,
    split: str | None,
    reader: str,
    limit: int | None = None,
    judge: str | None = None,
    out: Path | None = None,
    ragas: Path | None = None,
) -> dict[str, Any]:
    """Answer every question of a collection that has reference answers, and measure the answers.

    Args:
        judge: a chat model that says whether an answer is right, beside the words.
        out: a folder for answers.jsonl, which other tools of evaluation read.
        ragas: another Python, which has Ragas (ragas_scores.py).

    Raises:
        UserError: no such collection, or one without reference answers.
    """
    if ragas and not out:
        raise UserError("--ragas reads the answers from a folder: name one with --out")
    from step3_rag.evaluate import judging

    if out:
        writable(out / judging.ANSWERS)
    data = dataset.read(name, split, settings)
    if not any(each.answers for each in data.questions):
        raise UserError(f"{data.name} has no reference answers: leave out --answers, or use --dataset sample")
    retriever = dataset_service(settings, data).retriever
    plan = options.plan_of(settings, Options(), reader, None, THRESHOLD, 1024)
    client = options.client_of(settings) if options.needs_chat(plan) else None
    judges = judging.judge_of(settings, judge) if judge else None
    judged = []
    questions = retrieval.draw(data.questions, limit, settings.seed)
    with count_bar(f"answering {data.name}", len(questions)) as progress:
        for done, question in enumerate(questions):
            progress(done, len(questions))
            asked = replace(plan.options, before=question.before)
            always = replace(plan, options=asked, abstain=False)
            with options.one_line_errors(settings):
                outcome = ask(retriever, question.text, always, client, settings.model)
            judged.append(judge_words(question, outcome))
    facts: dict[str, Any] = {
        "command": "step3_rag evaluate",
        "dataset": data.name,
        "n": len(judged),
        "answerable": sum(each.answerable for each in judged),
        "reader": plan.reader,
        "model": settings.model if client else None,
        "threshold": plan.threshold,
        "always": figures(judged, abstain=False),
        "abstaining": figures(judged, abstain=True),
        "by_kind": _by_kind(judged),
        "wrong": _wrong(judged),
        "seconds": statistics.median(sum(each.outcome.seconds.values()) for each in judged),
        "machine": hardware.describe(),
    }
    before, after = (facts[name]["misled"]["share"] for name in ("always", "abstaining"))
    facts["headline"] = (
        f"answers from nothing relevant: {before:.0%} of questions, {after:.0%} with abstaining"
    )
    if judge and judges:
        rows = [(each.question, each.outcome.answer.text, each.right) for each in judged if each.answerable]
        facts["judge"] = judging.agreement(judge, rows, judges)
    if out:
        answers = judging.write_answers(out, [(each.question, each.outcome) for each in judged])
        facts["answers"] = str(answers)
        if ragas:
            facts["ragas"] = judging.ragas_scores(ragas, answers)
    return facts


def judge_words(question: Question, outcome: Outcome) -> Judged:
    """One answer against the reference answers, by its words."""
    text = outcome.answer.text
    said = re.sub(r"\[[\d, ]+\]", "", text)
    low = outcome.reflection.verdict == "abstain"
    return Judged(
        question,
        outcome,
        any(holds(said, each) for each in question.answers),
        max((f1(said, each) for each in question.answers), default=0.0),
        outcome.answer.is_unknown,
        low,
    )


def figures(judged: Sequence[Judged], *, abstain: bool) -> dict[str, Any]:
    """The table's row, with or without abstaining."""
    silent = [each.says_unknown or (abstain and each.low) for each in judged]
    given = [each for each, quiet in zip(judged, silent, strict=True) if not quiet]
    quiet = [each for each, is_quiet in zip(judged, silent, strict=True) if is_quiet]
    answerable = [each for each in judged if each.answerable]
    cited = [each for each in given if each.answerable]
    sentences = [one for each in given for one in each.outcome.answer.cited]
    none = [each for each in judged if not each.answerable]
    right = sum(each.right for each in given if each.answerable)
    return {
        "right": _share(right, len(answerable)),
        "f1": statistics.mean(each.f1 if each in given else 0.0 for each in answerable)
        if answerable
        else None,
        "wrong": _share(len(given) - right, len(judged)),
        "misled": _share(sum(not each.right and not _found(each) for each in given), len(judged)),
        "citation_precision": _mean([_precision(each) for each in cited]),
        "citation_recall": _mean([_recall(each) for each in cited]),
        "grounded": _share(sum(one.is_supported for one in sentences), len(sentences)),
        "silent": len(quiet),
        "abstention_precision": _share(
            sum(not each.answerable or not _found(each) for each in quiet), len(quiet)
        ),
        "abstention_recall": _share(sum(not each.answerable for each in quiet), len(none)),
    }


def _found(each: Judged) -> bool:
    """Whether one of the sources is relevant."""
    return any(source.document in each.question.qrels for source in each.outcome.sources)


def _cited_documents(each: Judged) -> set[str]:
    numbers = {number for one in each.outcome.answer.cited for number in one.numbers}
    return {source.document for source in each.outcome.sources if source.number in numbers}


def _precision(each: Judged) -> float:
    cited = _cited_documents(each)
    return len(cited & each.question.qrels.keys()) / len(cited) if cited else 0.0


def _recall(each: Judged) -> float:
    return len(_cited_documents(each) & each.question.qrels.keys()) / len(each.question.qrels)


def _share(hits: int, n: int) -> dict[str, Any]:
    low, high = wilson(hits, n)
    return {"hits": hits, "n": n, "share": hits / n if n else None, "interval_95": [low, high]}


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _by_kind(judged: Sequence[Judged]) -> dict[str, Any]:
    kinds = dict.fromkeys(each.question.kind for each in judged)
    return {
        kind: {
            "n": len(group),
            "found": sum(_found(each) for each in group),
            "right": sum(each.right for each in group),
            "silent": sum(each.low or each.says_unknown for each in group),
        }
        for kind in kinds
        for group in [[each for each in judged if each.question.kind == kind]]
    }


def _wrong(judged: Sequence[Judged], most: int = 8) -> list[dict[str, Any]]:
    """Answers that were given in spite of everything, and are wrong."""
    rows = [each for each in judged if not each.low and not each.says_unknown and not each.right]
    rows.sort(key=lambda each: -(each.outcome.confidence or 0.0))
    return [
        {
            "id": each.question.id,
            "question": each.question.text,
            "answer": each.outcome.answer.text,
            "reference": each.question.answers[0] if each.question.answers else None,
            "confidence": each.outcome.confidence,
        }
        for each in rows[:most]
    ]


# --- the screen ---------------------------------------------------------------------------------------

ROWS = {
    "right": "right",
    "f1": "F1",
    "wrong": "wrong answers given",
    "misled": "of these, nothing relevant was found",
    "citation_precision": "citation precision",
    "citation_recall": "citation recall",
    "grounded": "grounded sentences",
    "abstention_precision": "abstention precision",
    "abstention_recall": "abstention recall",
}


def show(facts: Mapping[str, Any], console: Console) -> None:
    """Both rows of figures, the kinds of questions, and answers that are wrong and sound sure."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for name in ("", "always answers", "may abstain"):
        table.add_column(name, no_wrap=True)
    for key, name in ROWS.items():
        table.add_row(name, _cell(facts["always"][key]), _cell(facts["abstaining"][key]))
    console.print(table)
    kinds = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("kind", "n", "relevant found", "right", "silent"):
        kinds.add_column(name, justify="left" if name == "kind" else "right")
    for kind, row in facts["by_kind"].items():
        kinds.add_row(kind, *(str(row[each]) for each in ("n", "found", "right", "silent")))
    console.print()
    console.print(kinds)
    if facts["wrong"]:
        console.print("\nwrong, and sure", style="bold")
    for row in facts["wrong"][:4]:
        reference = row["reference"] or "no answer"
        console.print(
            f"{row['question']}\n    {row['answer'][:150]}\n"
            f"    reference: {reference}; confidence {row['confidence']:.2f}",
            soft_wrap=True,
        )
    if "judge" in facts:
        console.print(f"\n{facts['judge']['line']}", soft_wrap=True)
    if "ragas" in facts:
        scores = ", ".join(f"{name} {value:g}" for name, value in facts["ragas"].items())
        console.print(f"\nRagas: {scores}", soft_wrap=True)
    if "answers" in facts:
        console.print(f"\nevery answer with its passages: {facts['answers']}", soft_wrap=True)
    model = f" by {facts['model']}" if facts["model"] else ""
    console.print(
        f"\n{facts['dataset']}: {facts['n']} questions, {facts['answerable']} with an answer; reader "
        f"{facts['reader']}{model}; silent under confidence {facts['threshold']:g}; "
        f"{facts['seconds']:.1f} s a question; {facts['machine']}",
        soft_wrap=True,
    )


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, dict) and value["share"] is None):
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    low, high = value["interval_95"]
    return f"{value['hits']}/{value['n']} {value['share']:.0%} ({100 * low:.0f}-{100 * high:.0f})"
