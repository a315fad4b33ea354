"""What a stronger model is asked for, and what of its answers is let through.

    >>> faults("Hi! We'll trace it.", "end_turn", row, guide)
    ['greeting', 'sign_off', 'no_contractions', ...]

A chosen reply must be whole, keep every rule, and say what the notes say and nothing else, where there are
notes. A rejected one must break a rule, be as faithful and about as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import prompts
from shared.config import Settings
from step4_finetune.data.curate.finding import prompt_text
from step4_finetune.data.rows import Row, with_notes
from step4_finetune.tone import fidelity, rules
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import problems

if TYPE_CHECKING:
    import anthropic

PROMPTS = Path(__file__).parents[1] / "prompts"
MAX_TOKENS = 500
LENGTH = (0.6, 1.6)  # of a rejected reply, in words of the chosen one: DPO would learn a difference


@dataclass
class Tally:
    """What was asked and what became of it."""

    budget: int
    requests: int = 0
    kept: int = 0
    pairs: int = 0
    filtered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    why: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)


class SpentError(Exception):
    """The budget of requests is used up."""


Ask = Callable[[str, list[dict[str, str]]], tuple[str, str]]  # system, turns -> text, stop_reason


def asker(client: anthropic.Anthropic, settings: Settings, tally: Tally) -> Ask:
    """The chat model as a function that counts what it costs."""
    from shared.chat.errors import one_line_errors

    def ask(system: str, turns: list[dict[str, str]]) -> tuple[str, str]:
        if tally.requests >= tally.budget:
            raise SpentError
        tally.requests += 1
        given: Any = turns
        with one_line_errors(settings.model, settings):
            message = client.messages.create(
                model=settings.model, max_tokens=MAX_TOKENS, system=system, messages=given
            )
        tally.input_tokens += message.usage.input_tokens
        tally.output_tokens += message.usage.output_tokens
        text = "".join(block.text for block in message.content if block.type == "text")
        return text.strip(), str(message.stop_reason)

    return ask


def on_tone(ask: Ask, row: Row, guide: Guide, attempts: int) -> tuple[str, list[str]]:
    """A reply to the row's message, and what is wrong with it: nothing, if it can be used."""
    prompt = prompts.render(prompts.load(PROMPTS, "distill"), guide=guide.as_prompt())
    turns = [{"role": "user", "content": f"<message>\n{with_notes(prompt_text(row), row.notes)}\n</message>"}]
    reply, wrong = "", ["not asked"]
    for _ in range(attempts):
        reply, stop = ask(prompt["system"], turns)
        wrong = faults(reply, stop, row, guide)
        if not wrong or not reply:
            break
        told = _told(reply, guide, wrong)
        turns = [turns[0], {"role": "assistant", "content": reply}, {"role": "user", "content": told}]
    return reply, wrong


def faults(reply: str, stop: str, row: Row, guide: Guide) -> list[str]:
    """Why a reply can't be used as a chosen one, from the worst on."""
    if stop == "refusal" or not reply:
        return ["refused" if stop == "refusal" else "empty"]
    if stop == "max_tokens":
        return ["cut"]
    return [*problems(guide.parts(reply)), *rules.broken(reply, guide), *untrue(reply, row, guide)]


def untrue(reply: str, row: Row, guide: Guide) -> list[str]:
    """What a reply leaves out of the notes, adds to them or turns around; nothing without notes."""
    if not row.notes:
        return []
    found = fidelity.check(reply, row.notes, row.message, guide.company)
    return [f"{kind}: {each}" for kind, each in found.findings()]


def _told(reply: str, guide: Guide, wrong: Sequence[str]) -> str:
    """What the model hears of its reply."""
    said, why = {rule.id: rule.say for rule in guide.rules}, rules.reasons(reply, guide)
    lines = [
        f"- {said[each]} (found: {why.get(each) or 'broken'})" if each in said else f"- {each}"
        for each in wrong
    ]
    return "Not yet. What is wrong:\n" + "\n".join(lines) + "\nWrite the whole reply again, and nothing else."


def off_tone(ask: Ask, row: Row, guide: Guide, rule_id: str) -> tuple[str, list[str]]:
    """The row's chosen reply with a rule broken, and what is wrong with it as a rejected one."""
    say = next(rule.say for rule in guide.rules if rule.id == rule_id)
    prompt = prompts.render(prompts.load(PROMPTS, "distill_off"), rule=say)
    reply, stop = ask(prompt["system"], [{"role": "user", "content": f"<reply>\n{row.chosen}\n</reply>"}])
    if stop == "refusal" or not reply:
        return reply, ["rejected: refused" if stop == "refusal" else "rejected: empty"]
    found = ["rejected: cut"] if stop == "max_tokens" else []
    if not rules.broken(reply, guide):
        found.append("rejected: breaks no rule")
    ratio = len(reply.split()) / max(1, len(row.chosen.split()))
    if not LENGTH[0] <= ratio <= LENGTH[1]:
        found.append("rejected: another length")
    return reply, found + [f"rejected: {each}" for each in untrue(reply, row, guide)]
