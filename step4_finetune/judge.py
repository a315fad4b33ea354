"""A judge model's opinion: does a reply do what its message asks for? Optional; any chat model of the house.

    >>> judge = judge_of(settings, "claude-sonnet-5-5")
    >>> judge("My drill is broken.", "We have reviewed the charge for your drill.", intents["repair"])
    False

A judge reads what patterns can't: an explanation that explains nothing, an intent that nobody labelled. It
also errs, and a small model can't do it at all. So its verdicts stand beside those of the patterns, and its
agreement with people's labels is measured (Cohen's kappa) before anybody believes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from shared import prompts, stats
from shared.config import Settings
from step4_finetune.content import Intent

PROMPTS = Path(__file__).with_name("prompts")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["fits", "does not fit"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
FORMAT: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
Judge = Callable[[str, str, Intent | None], bool | None]


def judge_of(settings: Settings, model: str) -> Judge:
    """The judge as a function of message, reply and intent (or None); None where its verdict can't be read.

    Raises:
        UserError: the model can't be asked.
    """
    from shared.chat.client import chat_client
    from shared.chat.errors import one_line_errors, with_timeouts

    client = with_timeouts(chat_client(model, settings))
    system = prompts.render(prompts.load(PROMPTS, "judge", family=prompts.family_of(model)))["system"]

    def judge(message: str, reply: str, intent: Intent | None = None) -> bool | None:
        wanted = f"{intent.wants}\nA fitting reply: {intent.reply}\n\n" if intent else ""
        text = f"{wanted}<message>\n{message}\n</message>\n\n<reply>\n{reply}\n</reply>"
        with one_line_errors(model, settings):
            answer = client.messages.create(
                model=model,
                max_tokens=50,
                system=system,
                messages=[{"role": "user", "content": text}],
                output_config=FORMAT,
            )
        try:
            said = json.loads("".join(block.text for block in answer.content if block.type == "text"))
            return {"fits": True, "does not fit": False}.get(said["verdict"])
        except (ValueError, KeyError, TypeError):
            return None

    return judge


def kappa(pairs: Iterable[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond chance; 1 is full, 0 is what chance alone gives.

    None where there is nothing to agree on: no pairs, or both always say the same one thing.

    >>> kappa([(True, True), (True, False), (False, False), (False, False)])
    0.5
    """
    both = list(pairs)
    n = len(both)
    if not n:
        return None
    observed = sum(a == b for a, b in both) / n
    first, second = sum(a for a, _ in both) / n, sum(b for _, b in both) / n
    chance = first * second + (1 - first) * (1 - second)
    return (observed - chance) / (1 - chance) if chance < 1 else None


def agreement(verdicts: Sequence[bool | None], labels: Sequence[bool]) -> dict[str, Any]:
    """A judge's verdicts (or those of the patterns) against labels by hand, in figures for a report.

    `n` counts what could be read; `unreadable` is the rest.
    """
    read = [(said, label) for said, label in zip(verdicts, labels, strict=True) if said is not None]
    same = sum(said == label for said, label in read)
    return {
        "n": len(read),
        "unreadable": len(labels) - len(read),
        "agrees": same,
        "share": same / len(read) if read else None,
        "interval": list(stats.wilson(same, len(read))) if read else None,
        "kappa": kappa(read),
    }
