"""Two versions of a prompt on the same questions: step 3's evaluation of answers, in pairs.

    $ python -m step5_serving compare 1 2 --split dev

Each question is searched once, and both versions answer from the same passages; so a difference is the
prompt's. Which version goes first changes from question to question: an engine that keeps the beginning of a
prompt in its cache would else make the second one look fast. Differences are means of pairs with a 95 %
interval (bootstrap): one that reaches over zero shows nothing. Judged by words as in step 3; `--judge` asks a
chat model as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.cli import plain_table
from shared.errors import UserError
from shared.prompts import Prompt, diff
from shared.stats import subset
from step5_serving.telemetry.call import prompt_name
from step5_serving.telemetry.prices import cost_of

if TYPE_CHECKING:
    import anthropic
    from rich.console import Console

    from step3_rag.evaluate.answers import Judged
    from step3_rag.retrieve.search import Retriever

MEASURES = {
    "right": "right answers",
    "judge": "right, by the judge",
    "f1": "F1",
    "grounded": "grounded sentences",
    "citation_precision": "citation precision",
    "unknown": "answers: I don't know",
    "output_tokens": "output tokens",
    "input_tokens": "input tokens",
    "milliseconds": "time, ms",
    "cost_usd": "cost, USD",
}


@dataclass(frozen=True)
class Pair:
    """One question answered by both versions; None for a measure that the question doesn't have."""

    judged: tuple[Judged, Judged]
    values: tuple[dict[str, float | None], dict[str, float | None]]


def answer_pairs(
    retriever: Retriever,
    questions: Sequence[Any],
    versions: tuple[Prompt, Prompt],
    client: anthropic.Anthropic,
    model: str,
    judge: Callable[[Any, str], bool | None] | None = None,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Pair]:
    """Search, then let both versions answer. The SDK's errors pass through as step 3's ChatError."""
    import anthropic
    import httpx2

    from step3_rag.answer import read
    from step3_rag.answer.context import BUDGET
    from step3_rag.evaluate import answers as generation
    from step3_rag.pipeline import ChatError, Plan, ask

    pairs = []
    for done, question in enumerate(questions):
        progress(done, len(questions))
        order = (0, 1) if done % 2 == 0 else (1, 0)
        plan = Plan(abstain=False, reader="chat", prompt=versions[order[0]], budget=budget or BUDGET)
        first = ask(retriever, question.text, plan, client, model)
        began = time.perf_counter()
        try:
            second = first.answer
            if first.sources:
                second = read.chat(client, model, question.text, first.sources, prompt=versions[order[1]])
        except (anthropic.AnthropicError, httpx2.TransportError) as error:
            raise ChatError(error, first.reflection, first.sources) from None
        other = replace(first, answer=second, seconds={"answer": time.perf_counter() - began})
        outcomes = (first, other) if order == (0, 1) else (other, first)
        judged = tuple(generation.judge_words(question, each) for each in outcomes)
        values = tuple(_values(each, model, judge) for each in judged)
        pairs.append(Pair(judged, values))  # type: ignore[arg-type]
    progress(len(questions), len(questions))
    return pairs


def _values(judged: Judged, model: str, judge: Any) -> dict[str, float | None]:
    """Everything that is measured of one answer."""
    answer, answerable = judged.outcome.answer, judged.answerable
    cited = {number for one in answer.cited for number in one.numbers}
    documents = {each.document for each in judged.outcome.sources if each.number in cited}
    relevant = judged.question.qrels.keys()
    said = judge(judged.question, answer.text) if judge and answerable else None
    return {
        "right": float(judged.right) if answerable else None,
        "judge": None if said is None else float(said),
        "f1": judged.f1 if answerable else None,
        "grounded": _share([one.is_supported for one in answer.cited]),
        "citation_precision": _share([each in relevant for each in documents]) if answerable else None,
        "unknown": float(judged.says_unknown),
        "output_tokens": answer.output_tokens,
        "input_tokens": answer.input_tokens,
        "milliseconds": 1000 * judged.outcome.seconds["answer"],
        "cost_usd": cost_of(model, answer.input_tokens, answer.output_tokens),
    }


def figures(pairs: Sequence[Pair], versions: tuple[Prompt, Prompt]) -> dict[str, Any]:
    """The table: means of both versions over the pairs that have both, and the difference."""
    from shared.stats import sign_test
    from step3_rag.evaluate.retrieval import difference

    measures: dict[str, Any] = {}
    for name in MEASURES:
        both = [(one[name], other[name]) for one, other in (each.values for each in pairs)]
        known = [(one, other) for one, other in both if one is not None and other is not None]
        if known:
            firsts, seconds = (list(side) for side in zip(*known, strict=True))
            measures[name] = {
                "n": len(known),
                "a": sum(firsts) / len(known),
                "b": sum(seconds) / len(known),
                "difference": difference(seconds, firsts),
            }
    gained = sum(not a.right and b.right for a, b in (each.judged for each in pairs) if a.answerable)
    lost = sum(a.right and not b.right for a, b in (each.judged for each in pairs) if a.answerable)
    names = [prompt_name(each.id, each.version, each.sha256) for each in versions]
    return {
        "a": names[0],
        "b": names[1],
        "n": len(pairs),
        "measures": measures,
        "gained": gained,
        "lost": lost,
        "p": sign_test(gained, lost),
        "changed": _changed(pairs),
        "prompt_diff": diff(*versions),
    }


def verdict(facts: Mapping[str, Any]) -> str:
    """What the right answers say, in words."""
    row = facts["measures"].get("right")
    interval = row and row["difference"]["interval_95"]
    if not interval:
        return "too few questions to tell"
    low, high = interval
    if low > 0 or high < 0:
        return f"{facts['b'] if low > 0 else facts['a']} is better"
    return "no difference is shown"


def _changed(pairs: Sequence[Pair], most: int = 10) -> list[dict[str, Any]]:
    """Questions that one version got right and the other didn't."""
    rows = []
    for one, other in (each.judged for each in pairs):
        if one.answerable and one.right != other.right:
            rows.append(
                {
                    "id": one.question.id,
                    "question": one.question.text,
                    "right": "b" if other.right else "a",
                    "a": one.outcome.answer.text,
                    "b": other.outcome.answer.text,
                    "reference": one.question.answers[0] if one.question.answers else None,
                }
            )
    return rows[:most]


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def run(
    serving: Any,
    versions: tuple[Prompt, Prompt],
    *,
    dataset: str = "sample",
    split: str | None = "dev",
    limit: int | None = None,
    judge: str | None = None,
    budget: int | None = None,
    patience: float = 600.0,
) -> dict[str, Any]:
    """Compare on a dataset with reference answers; `serving` is an engine (engines.resolve).

    Args:
        budget: tokens of the passages, where a model reads less than usual.

    Raises:
        UserError: no such dataset, or the model can't be asked.
    """
    from shared import hardware
    from shared.chat.errors import with_timeouts
    from shared.progress import count_bar
    from step3_rag import options
    from step3_rag.evaluate import dataset as datasets
    from step3_rag.evaluate import judging
    from step3_rag.evaluate.dataset import dataset_service

    settings = serving.settings
    data = datasets.read(dataset, split, settings)
    if not any(each.answers for each in data.questions):
        raise UserError(f"{data.name} has no reference answers to compare with: use --dataset sample")
    questions = subset(data.questions, limit, settings.seed)
    judges = judging.judge_of(settings, judge) if judge else None
    retriever = dataset_service(settings, data).retriever
    client = with_timeouts(serving.client(), patience)
    with (
        count_bar(f"answering {data.name} twice", len(questions)) as progress,
        options.one_line_errors(settings),
    ):
        pairs = answer_pairs(retriever, questions, versions, client, settings.model, judges, budget, progress)
    facts: dict[str, Any] = {"command": "step5_serving compare", **figures(pairs, versions)}
    facts |= {"headline": f"{facts['a']} against {facts['b']}: {verdict(facts)}"}
    facts |= {"dataset": data.name, "model": settings.model, "engine": serving.name, "judge": judge}
    facts["machine"] = hardware.describe()
    return facts


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The measures with their differences, and answers that changed sides."""
    names = ["n", *(facts[side].split("@")[0] for side in "ab"), "difference", "95 % interval"]
    table = plain_table("", *names, right=names)
    for name, row in facts["measures"].items():
        change, interval = row["difference"], row["difference"]["interval_95"]
        shown = "-" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
        cells = (_number(row["a"]), _number(row["b"]), _number(change["mean"], sign=True), shown)
        table.add_row(MEASURES[name], str(row["n"]), *cells)
    console.print(table)
    for row in facts["changed"][:4]:
        console.print(f"\n{row['question']} (only {row['right']} is right: {row['reference']})", style="bold")
        console.print(f"    a: {row['a'][:200]}\n    b: {row['b'][:200]}", soft_wrap=True)
    console.print(
        f"\n{facts['headline']}; {facts['gained']} right answers gained, {facts['lost']} lost "
        f"(p = {facts['p']:.2f})\n{facts['dataset']}: {facts['n']} questions; {facts['model']} on "
        f"{facts['engine']}; {facts['machine']}",
        soft_wrap=True,
    )


def _number(value: float, *, sign: bool = False) -> str:
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 0.01 or value == 0 else 5
    return f"{value:{'+' if sign else ''}.{digits}f}"
