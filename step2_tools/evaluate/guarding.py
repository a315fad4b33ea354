"""How good is the guard? It judges replies that a reader has labelled, and answers that are made wrong.

    $ python -m step2_tools guard
    answers that are right before the guard  63  57% (45-69)
    answers that are right after the guard   63  92% (83-97)
    ...

data/replies.jsonl has the replies of SmolLM2 with its adapter to the split `several` (bfloat16), as
`answers --split several --save` writes them, and a label: right, if a reader who didn't know the guard found
that the reply says of each result only what it says, and tells each result. From the same calls come

    summaries   the tools' own summaries, last call first: right by construction
    swapped     the same summaries, with the names of the first two results exchanged: wrong by construction
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.stats import Share, percent, share
from step2_tools.agent import grounding
from step2_tools.agent.answer import guard, summary
from step2_tools.agent.loop import Call, Tools
from step2_tools.evaluate.questions import DATA


@dataclass(frozen=True)
class LabelledReply:
    """A model's reply after its calls, and whether a reader found it right."""

    question: str
    calls: list[Call]
    reply: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class GuardReport:
    """What `guard` measured."""

    command: str = "step2_tools guard"
    headline: str
    before: Share  # right replies, by the reader's labels
    after: Share  # answers after the guard that are right: right replies and the tools' summaries
    caught: Share  # of the wrong replies: those that the guard replaced
    false_alarms: Share  # of the right replies: those that the guard replaced
    swapped: Share  # of the swapped answers: those that the guard replaced
    summaries: Share  # of the tools' own summaries: those that the guard kept


def read() -> list[LabelledReply]:
    """The labelled replies."""
    replies = []
    for line in (DATA / "replies.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        calls = [Call(**call) for call in row["calls"]]
        replies.append(LabelledReply(row["question"], calls, row["reply"], row["right"]))
    return replies


def measure(replies: Sequence[LabelledReply], tools: Tools) -> GuardReport:
    """Let the guard judge the replies, and what is made from their calls."""
    caught = 0
    false_alarms = 0
    summaries: list[bool] = []  # whether the guard kept them
    swapped: list[bool] = []  # whether the guard replaced them
    for reply in replies:
        is_replaced = bool(guard(reply.reply, reply.calls, tools).problems)
        if is_replaced and reply.right:
            false_alarms += 1
        elif is_replaced:
            caught += 1
        results = [call for call in reply.calls if not call.is_error]
        if len(results) < 2:
            continue
        true = "\n".join(summary(call.result) for call in reversed(results))
        summaries.append(not guard(true, results, tools).problems)
        wrong = swapped_summaries(results[0], results[1])
        if wrong:
            swapped.append(bool(guard(wrong, results[:2], tools).problems))
    right = sum(reply.right for reply in replies)
    before = share(right, len(replies))
    after = share(right + caught, len(replies))
    return GuardReport(
        headline=f"right before the guard {percent(before)} of {len(replies)}, after it {percent(after)}",
        before=before,
        after=after,
        caught=share(caught, len(replies) - right),
        false_alarms=share(false_alarms, right),
        swapped=share(sum(swapped), len(swapped)),
        summaries=share(sum(summaries), len(summaries)),
    )


def swapped_summaries(first: Call, second: Call) -> str:
    """The summaries of two results with their names exchanged; empty if they have no names to exchange."""
    names = {}  # of the first result -> of the second one
    of_first = grounding.fields(first.result)
    of_second = grounding.fields(second.result)
    for key in (of_first.keys() & of_second.keys()) - {"summary"}:
        name = of_first[key]
        other = of_second[key]
        if is_name(name, of_first) and is_name(other, of_second) and name != other:
            names[name] = other
    if not names:
        return ""
    one = of_first["summary"]
    two = of_second["summary"]
    for name, other in sorted(names.items(), key=lambda pair: -len(pair[0])):  # "Apple Inc." before "Apple"
        one = one.replace(name, other)
        two = two.replace(other, name)
    return f"{one}\n{two}"


def is_name(value: Any, result: dict[str, Any]) -> bool:
    """Whether a value is a capitalized text in the result's summary, before its note on sample data."""
    text = result.get("summary", "").split("(sample")[0]
    return isinstance(value, str) and value[:1].isupper() and value in text
