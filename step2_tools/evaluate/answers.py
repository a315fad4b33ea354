"""Are the answers right? Runs the whole loop; a reply must say what the results of its calls say.

    $ python -m step2_tools answers --split several
    before the guard  65% (53-76) of 63 replies say what the results say
    the guard         replaced 22 replies by the tools' own summaries
    median            7.1 s a question

The reply is what the model writes after the results. agent/grounding.py holds each of its sentences against
the result that it speaks of; beyond that, it must have a number if a successful result has one. How often
this check itself errs is measured in guarding.py. Questions without a call are left out.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anthropic
from anthropic.types import MessageParam

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import Share, percent, share, subset
from step2_tools.agent import answer, grounding, loop
from step2_tools.evaluate.questions import Question


@dataclass(frozen=True)
class WrongReply:
    """A reply that isn't what the results say, or has no number."""

    id: str
    question: str
    answer: str  # the reply, before the guard
    problems: list[str]


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
    wrong: list[WrongReply]
    machine: str


def check_answers(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: loop.Tools,
    questions: Sequence[Question],
    system: str,
    limit: int | None = None,
    save: Path | None = None,
) -> AnswersReport:
    """Answer each question that needs a call, and measure how often the reply says what the results say.

    With `save`, each question with its calls and its reply is added to this JSONL file.

    Raises:
        UserError: no question led to a call, or the limit is below 1.
    """
    questions = subset([question for question in questions if question.calls], limit, settings.seed)
    n = 0
    replaced = 0
    seconds: list[float] = []
    wrong: list[WrongReply] = []
    for question in track("answering questions", questions):
        start = time.perf_counter()
        messages: list[MessageParam] = [{"role": "user", "content": question.text}]
        done = loop.run(client, settings.model, tools, messages, system=system)
        seconds.append(time.perf_counter() - start)
        calls = done.calls
        if not calls:
            continue
        n += 1
        if save:
            append(save, question, calls, done.text)
        guarded = answer.guard(done.text, calls, tools)
        if guarded.problems:
            replaced += 1
        problems = guarded.problems or lacks_numbers(done.text, calls)
        if problems:
            wrong.append(WrongReply(question.id, question.text, done.text, problems))
    if not n:
        raise UserError("no question led to a call: there are no answers to judge")
    right = share(n - len(wrong), n)
    return AnswersReport(
        headline=f"{percent(right)} of {n} replies say what the results say ({settings.model})",
        model=settings.model,
        n=n,
        right=right,
        replaced=share(replaced, n),
        seconds=round(statistics.median(seconds), 2),
        wrong=wrong,
        machine=hardware.describe(),
    )


def lacks_numbers(reply: str, calls: Sequence[loop.Call]) -> list[str]:
    """A problem if a successful result has a number and the reply has none."""
    needs_number = any(grounding.has_number(call.result) for call in calls if not call.is_error)
    if needs_number and not grounding.has_number(reply):
        return ["no number of a result is told"]
    return []


def append(file: Path, question: Question, calls: Sequence[loop.Call], reply: str) -> None:
    """Add a question with its calls and its reply to a JSONL file."""
    row = {
        "id": question.id,
        "question": question.text,
        "calls": [asdict(call) for call in calls],
        "reply": reply,
    }
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row, ensure_ascii=False) + "\n")
