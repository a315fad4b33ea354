"""Are the answers right? Runs the whole loop; every number in an answer must be in a tool's result.

    $ python -m step2_tools answers
    before the guard  97% (91-99) of 80 answers: numbers, and only those of a tool
    the guard         replaced 2 answers by the tools' own summaries
    median            3.4 s a question

The text that the model writes after the results must have a number if a result has one, and must not have a
number that is in no result (agent/answer.py). Questions without a call are left out.
"""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import anthropic

from shared import hardware
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import percent, share, subset
from step2_tools.agent import answer, loop


def run(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: loop.Tools,
    questions: Sequence[dict[str, Any]],
    system: str,
    limit: int | None = None,
) -> dict[str, Any]:
    """Answer each question that needs a call, and measure how often the answer's numbers are right.

    Raises:
        UserError: no question led to a call, or the limit is below 1.
    """
    rows = subset([row for row in questions if row["calls"]], limit, settings.seed)
    right = replaced = n = 0
    seconds, wrong = list[float](), list[dict[str, Any]]()
    for row in track("answering questions", rows):
        start = time.perf_counter()
        messages = [{"role": "user", "content": row["question"]}]
        done = loop.run(client, settings.model, tools, messages, system=system)
        seconds.append(time.perf_counter() - start)
        tool_results = [call.result for call in done.calls]
        if not tool_results:
            continue
        n += 1
        replaced += answer.guard(done.text, tool_results)[1]
        if is_right(done.text, [call.result for call in done.calls if not call.is_error], tool_results):
            right += 1
        else:
            wrong.append({"id": row["id"], "question": row["question"], "answer": done.text})
    if not n:
        raise UserError("no question led to a call: there are no answers to judge")
    shares = {"right": share(right, n), "replaced": share(replaced, n)}
    return {
        "command": "step2_tools answers",
        "headline": f"numbers right in {percent(shares['right'])} of {n} answers ({settings.model})",
        "model": settings.model,
        "n": n,
        **shares,
        "seconds": round(statistics.median(seconds), 2),
        "wrong": wrong,
        "machine": hardware.describe(),
    }


def is_right(text: str, successes: Sequence[str], all_results: Sequence[str]) -> bool:
    """Whether all numbers are in a result, and there is at least one if a successful result has any."""
    expected = any(answer.NUMBER.search(each) for each in successes)
    has_number = answer.NUMBER.search(text) is not None
    return bool(text) and not answer.unsupported_numbers(text, all_results) and (has_number or not expected)
