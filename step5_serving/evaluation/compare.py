"""Two versions of a prompt on the same questions, in pairs.

    $ python -m step5_serving compare 1 2 --split dev

The search is deterministic: both versions answer from the same passages, so a difference is the prompt's.
They take turns in going first, because an engine with a prefix cache answers the second one faster.
Differences are means of pairs with a 95 % interval (bootstrap); an interval that includes zero shows nothing.
Answers are judged by their words as in step 3, whose `evaluate --answers` has more figures of one prompt.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import anthropic

from shared import hardware, prompts
from shared.chat.errors import one_line_errors, with_timeouts
from shared.errors import UserError
from shared.progress import track
from shared.prompts import Prompt
from shared.stats import sign_test, subset
from step3_rag import PROMPTS
from step3_rag.answer.context import BUDGET
from step3_rag.evaluate import dataset as datasets
from step3_rag.evaluate.answers import Judged, judge_words
from step3_rag.evaluate.dataset import Question
from step3_rag.evaluate.measurement import difference
from step3_rag.pipeline import Plan, ask
from step3_rag.retrieve.search import Retriever
from step5_serving.engines.choice import Engine
from step5_serving.telemetry.call import prompt_name
from step5_serving.telemetry.prices import cost_of

PROMPT = "answer"
TIMEOUT_S = 600.0
MEASURES = {  # title and decimals
    "right": ("right answers", 2),
    "unknown": ("answers: I don't know", 2),
    "output_tokens": ("output tokens", 1),
    "input_tokens": ("input tokens", 1),
    "milliseconds": ("time, ms", 0),
    "cost_usd": ("cost, USD", 6),
}


def pair_of(a: int, b: int, folder: Path | None = None) -> tuple[Prompt, Prompt]:
    """Two versions of the answer's prompt; raises UserError if one does not exist, or both say the same."""
    folder = folder or PROMPTS
    pair = prompts.load(folder, PROMPT, a), prompts.load(folder, PROMPT, b)
    if pair[0].sha256 == pair[1].sha256:
        raise UserError(f"versions {a} and {b} of {PROMPT} say the same: choose two that differ")
    return pair


def answer_pairs(
    retriever: Retriever,
    questions: Iterable[Question],
    versions: tuple[Prompt, Prompt],
    client: anthropic.Anthropic,
    model: str,
    budget: int = BUDGET,
) -> list[tuple[Judged, Judged]]:
    """Answer with both versions. Step 3's ChatError passes through."""
    plans = [Plan(abstain=False, reader="chat", prompt=prompt, budget=budget) for prompt in versions]
    pairs = []
    for number, question in enumerate(questions):
        order = 1 if number % 2 == 0 else -1
        outcomes = [ask(retriever, question.text, plan, client, model) for plan in plans[::order]]
        a, b = (judge_words(question, each) for each in outcomes[::order])
        pairs.append((a, b))
    return pairs


def measures_of(judged: Judged, model: str) -> dict[str, float | None]:
    """The MEASURES of one answer; None where it has none."""
    answer = judged.outcome.answer
    return {
        "right": float(judged.right) if judged.answerable else None,
        "unknown": float(answer.is_unknown),
        "output_tokens": answer.output_tokens,
        "input_tokens": answer.input_tokens,
        "milliseconds": 1000 * judged.outcome.seconds["answer"],
        "cost_usd": cost_of(model, answer.input_tokens, answer.output_tokens),
    }


def figures(
    pairs: Sequence[tuple[Judged, Judged]], versions: tuple[Prompt, Prompt], model: str
) -> dict[str, Any]:
    """Means of both versions over pairs that have both, the differences, and answers that changed sides."""
    values = [(measures_of(a, model), measures_of(b, model)) for a, b in pairs]
    measures: dict[str, Any] = {}
    for name in MEASURES:
        both = [(a[name], b[name]) for a, b in values]
        known = [(a, b) for a, b in both if a is not None and b is not None]
        if known:
            firsts, seconds = [a for a, _ in known], [b for _, b in known]
            means = {"a": fmean(firsts), "b": fmean(seconds)}
            measures[name] = {"n": len(known), **means, "difference": difference(seconds, firsts)}
    changed = [
        {
            "id": a.question.id,
            "question": a.question.text,
            "right": "b" if b.right else "a",
            "a": a.outcome.answer.text,
            "b": b.outcome.answer.text,
            "reference": a.question.answers[0],
        }
        for a, b in pairs
        if a.right != b.right
    ]
    gained = sum(each["right"] == "b" for each in changed)
    lost = len(changed) - gained
    a, b = (prompt_name(each.id, each.version, each.sha256) for each in versions)
    counts = {"n": len(pairs), "gained": gained, "lost": lost, "p": sign_test(gained, lost)}
    return {"a": a, "b": b, **counts, "measures": measures, "changed": changed[:10]}


def verdict(facts: Mapping[str, Any]) -> str:
    """What the right answers say, in words."""
    row = facts["measures"].get("right")
    interval = row and row["difference"].interval_95
    if not interval:
        return "too few questions to tell"
    low, high = interval
    if low > 0 or high < 0:
        return f"{facts['b'] if low > 0 else facts['a']} is better"
    return "no difference is shown"


def run(
    engine: Engine,
    versions: tuple[Prompt, Prompt],
    *,
    dataset: str = "sample",
    split: str | None = "dev",
    limit: int | None = None,
    budget: int = BUDGET,
) -> dict[str, Any]:
    """Compare on a dataset with reference answers.

    Args:
        budget: tokens of the passages, where a model reads less than usual.

    Raises:
        UserError: no such dataset, or the model can't be asked.
    """
    settings = engine.settings
    data = datasets.read(dataset, split)
    if not any(each.answers for each in data.questions):
        raise UserError(f"{data.name} has no reference answers to compare with: use --dataset sample")
    questions = subset(data.questions, limit, settings.seed)
    retriever = datasets.dataset_retriever(settings, data)
    client = with_timeouts(engine.client(), TIMEOUT_S)
    with one_line_errors(settings.model, settings):
        asked = track(f"answering {data.name} twice", questions)
        pairs = answer_pairs(retriever, asked, versions, client, settings.model, budget)
    found = figures(pairs, versions, settings.model)
    return {
        "command": "step5_serving compare",
        "headline": f"{found['a']} against {found['b']}: {verdict(found)}",
        **found,
        "dataset": data.name,
        "model": settings.model,
        "engine": engine.name,
        "machine": hardware.describe(),
    }
