"""Two versions of a prompt on the same questions, in pairs.

    $ python -m step5_serving compare 1 2 --split dev

Each question is searched once, and both versions answer from the same passages; so a difference is the
prompt's. Which version goes first changes from question to question: an engine that keeps the beginning of a
prompt in its cache would else make the second one look fast. Differences are means of pairs with a 95 %
interval (bootstrap): one that reaches over zero shows nothing. Judged by words as in step 3, whose
`evaluate --answers` has more figures of a prompt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import prompts
from shared.cli import plain_table
from shared.errors import UserError
from shared.prompts import Prompt
from shared.stats import sign_test, subset
from step5_serving.telemetry.call import prompt_name
from step5_serving.telemetry.prices import cost_of

if TYPE_CHECKING:
    import anthropic
    from rich.console import Console

    from step3_rag.evaluate.answers import Judged
    from step3_rag.retrieve.search import Retriever

PROMPT = "answer"
PATIENCE = 600.0  # seconds for an answer
MEASURES = {
    "right": "right answers",
    "unknown": "answers: I don't know",
    "output_tokens": "output tokens",
    "input_tokens": "input tokens",
    "milliseconds": "time, ms",
    "cost_usd": "cost, USD",
}


@dataclass(frozen=True)
class Pair:
    """One question answered by both versions; None for a measure that it doesn't have."""

    question: Any  # step 3's Question
    texts: tuple[str, str]
    values: tuple[dict[str, float | None], dict[str, float | None]]

    @property
    def gained(self) -> float:
        """1 where only the second answer is right, -1 where only the first one is."""
        first, second = (each["right"] or 0 for each in self.values)
        return second - first


def pair_of(a: int, b: int, folder: Path | None = None) -> tuple[Prompt, Prompt]:
    """Two versions of the answer's prompt, of step 3 or of a folder.

    Raises:
        UserError: one of them does not exist, or both say the same.
    """
    from step5_serving.rag.loading import prompts_folder

    folder = folder or prompts_folder()
    pair = prompts.load(folder, PROMPT, a), prompts.load(folder, PROMPT, b)
    if pair[0].sha256 == pair[1].sha256:
        raise UserError(f"versions {a} and {b} of {PROMPT} say the same: choose two that differ")
    return pair


def answer_pairs(
    retriever: Retriever,
    questions: Sequence[Any],
    versions: tuple[Prompt, Prompt],
    client: anthropic.Anthropic,
    model: str,
    budget: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Pair]:
    """Search, then let both versions answer. Errors of the SDK and step 3's ChatError pass through."""
    from step3_rag.answer import read
    from step3_rag.answer.context import BUDGET
    from step3_rag.evaluate.answers import judge_words
    from step3_rag.pipeline import Plan, ask

    pairs = []
    for done, question in enumerate(questions):
        progress(done, len(questions))
        order = 1 if done % 2 == 0 else -1
        one, other = versions[::order]
        plan = Plan(abstain=False, reader="chat", prompt=one, budget=budget or BUDGET)
        first = ask(retriever, question.text, plan, client, model)
        began = time.perf_counter()
        answer = first.answer
        if first.sources:
            answer = read.chat(client, model, question.text, first.sources, prompt=other)
        second = replace(first, answer=answer, seconds={"answer": time.perf_counter() - began})
        a, b = (judge_words(question, each) for each in (first, second)[::order])
        texts = (a.outcome.answer.text, b.outcome.answer.text)
        pairs.append(Pair(question, texts, (_values(a, model), _values(b, model))))
    progress(len(questions), len(questions))
    return pairs


def _values(judged: Judged, model: str) -> dict[str, float | None]:
    answer = judged.outcome.answer
    return {
        "right": float(judged.right) if judged.answerable else None,
        "unknown": float(judged.says_unknown),
        "output_tokens": answer.output_tokens,
        "input_tokens": answer.input_tokens,
        "milliseconds": 1000 * judged.outcome.seconds["answer"],
        "cost_usd": cost_of(model, answer.input_tokens, answer.output_tokens),
    }


def figures(pairs: Sequence[Pair], versions: tuple[Prompt, Prompt]) -> dict[str, Any]:
    """The table: means of both versions over the pairs that have both, and the difference."""
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
    gained, lost = (sum(each.gained == sign for each in pairs) for sign in (1, -1))
    a, b = (prompt_name(each.id, each.version, each.sha256) for each in versions)
    changed = [
        {
            "id": each.question.id,
            "question": each.question.text,
            "right": "b" if each.gained > 0 else "a",
            **dict(zip("ab", each.texts, strict=True)),
            "reference": each.question.answers[0],
        }
        for each in pairs
        if each.gained
    ]
    counts = {"n": len(pairs), "gained": gained, "lost": lost, "p": sign_test(gained, lost)}
    return {"a": a, "b": b, **counts, "measures": measures, "changed": changed[:10]}


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


def run(
    serving: Any,
    versions: tuple[Prompt, Prompt],
    *,
    dataset: str = "sample",
    split: str | None = "dev",
    limit: int | None = None,
    budget: int | None = None,
) -> dict[str, Any]:
    """Compare on a dataset with reference answers; `serving` is an engine (engines.resolve).

    Args:
        budget: tokens of the passages, where a model reads less than usual.

    Raises:
        UserError: no such dataset, or the model can't be asked.
    """
    from shared import hardware
    from shared.chat.errors import one_line_errors, with_timeouts
    from shared.progress import count_bar
    from step3_rag import options
    from step3_rag.evaluate import dataset as datasets

    settings = serving.settings
    data = datasets.read(dataset, split)
    if not any(each.answers for each in data.questions):
        raise UserError(f"{data.name} has no reference answers to compare with: use --dataset sample")
    questions = subset(data.questions, limit, settings.seed)
    retriever = datasets.dataset_service(settings, data).retriever
    client = with_timeouts(serving.client(), PATIENCE)
    with (
        count_bar(f"answering {data.name} twice", len(questions)) as progress,
        options.one_line_errors(settings),
        one_line_errors(settings.model, settings),
    ):
        pairs = answer_pairs(retriever, questions, versions, client, settings.model, budget, progress)
    found = figures(pairs, versions)
    return {
        "command": "step5_serving compare",
        "headline": f"{found['a']} against {found['b']}: {verdict(found)}",
        **found,
        "dataset": data.name,
        "model": settings.model,
        "engine": serving.name,
        "machine": hardware.describe(),
    }


def show(facts: Mapping[str, Any], console: Console) -> None:
    """The measures with their differences, and answers that changed sides."""
    names = ["n", *(facts[side].split("@")[0] for side in "ab"), "difference", "95 % interval"]
    table = plain_table("", *names, right=names)
    for name, row in facts["measures"].items():
        change, interval = row["difference"], row["difference"]["interval_95"]
        shown = "-" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
        cells = (_number(row["a"]), _number(row["b"]), _number(change["mean"], sign="+"), shown)
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


def _number(value: float, sign: str = "") -> str:
    digits = 0 if abs(value) >= 100 else 2 if abs(value) >= 0.01 or value == 0 else 5
    return f"{value:{sign}.{digits}f}"
