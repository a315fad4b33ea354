"""Are the answers right? Runs the whole loop; every number in the reply must be in a tool's result.

    $ python -m step2_tools answers
    before the guard  97% (91-99) of 80 answers: numbers, and only those of a tool
    the guard         replaced 2 answers by the tools' own summaries
    median            3.4 s a question

The reply, which is what the model writes after the results, must have a number if a result has one, and must
not have a number that is in no result (agent/answer.py). Questions without a call are left out.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anthropic
from anthropic.types import MessageParam

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import Share, percent, share, subset
from step2_tools.agent import answer, loop
from step2_tools.evaluate.questions import Question


@dataclass(frozen=True)
class WrongAnswer:
    """A reply with a number that no tool gave, or without a number."""

    id: str
    question: str
    answer: str  # the reply, before the guard


@dataclass(frozen=True, kw_only=True)
class AnswersReport:
    """What `answers` measured."""

    command: str = "step2_tools answers"
    headline: str
    model: str
    n: int  # replies after at least one call
    right: Share  # replies, before the guard
    replaced: Share  # replies that the guard replaced by the tools' summaries
    seconds: float  # median for one question
    wrong: list[WrongAnswer]
    machine: str


def check_answers(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: loop.Tools,
    questions: Sequence[Question],
    system: str,
    limit: int | None = None,
) -> AnswersReport:
    """Answer each question that needs a call, and measure how often the reply's numbers are right.

    Raises:
        UserError: no question led to a call, or the limit is below 1.
    """
    questions = subset([question for question in questions if question.calls], limit, settings.seed)
    n = 0
    replaced = 0
    seconds: list[float] = []
    wrong: list[WrongAnswer] = []
    for question in track("answering questions", questions):
        start = time.perf_counter()
        messages: list[MessageParam] = [{"role": "user", "content": question.text}]
        done = loop.run(client, settings.model, tools, messages, system=system)
        seconds.append(time.perf_counter() - start)
        if not done.calls:
            continue
        n += 1
        results = [call.result for call in done.calls]
        successes = [call.result for call in done.calls if not call.is_error]
        _, is_replaced = answer.guard(done.text, results)
        if is_replaced:
            replaced += 1
        if not is_right(done.text, successes, results):
            wrong.append(WrongAnswer(question.id, question.text, done.text))
    if not n:
        raise UserError("no question led to a call: there are no answers to judge")
    right = share(n - len(wrong), n)
    return AnswersReport(
        headline=f"numbers right in {percent(right)} of {n} answers ({settings.model})",
        model=settings.model,
        n=n,
        right=right,
        replaced=share(replaced, n),
        seconds=round(statistics.median(seconds), 2),
        wrong=wrong,
        machine=hardware.describe(),
    )


def is_right(reply: str, successes: Sequence[str], all_results: Sequence[str]) -> bool:
    """Whether all numbers are in a result, and there is at least one if a successful result has any."""
    if not reply or answer.unsupported_numbers(reply, all_results):
        return False
    needs_number = any(answer.NUMBER.search(result) for result in successes)
    return not needs_number or answer.NUMBER.search(reply) is not None
