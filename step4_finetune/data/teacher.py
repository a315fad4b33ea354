"""What a stronger model is asked for, and what of its answers is let through.

    >>> faults("Hi! We'll trace it.", "end_turn", row, guide)
    ['greeting', 'sign_off', 'no_contractions', ...]

A reply must be whole, keep every rule, and say what the notes say and nothing else, where there are notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared import prompts
from shared.catalog import lookup
from shared.config import Settings
from step4_finetune.data.curate.finding import prompt_text
from step4_finetune.data.rows import Row, with_notes
from step4_finetune.tone import fidelity, rules
from step4_finetune.tone.rules import Guide
from step4_finetune.tone.scores import problems

PROMPTS = Path(__file__).parents[1] / "prompts"
MAX_TOKENS = 500


class SpentError(Exception):
    """The budget of requests is used up."""


class Teacher:
    """The chat model of the settings, with a budget of requests; counts what it costs."""

    def __init__(self, settings: Settings, guide: Guide, budget: int) -> None:
        from shared.chat.client import chat_client
        from shared.chat.errors import with_timeouts

        self.client = with_timeouts(chat_client(settings=settings))
        self.settings, self.guide, self.budget = settings, guide, budget
        self.system = prompts.render(prompts.load(PROMPTS, "distill"), guide=guide.as_prompt())["system"]
        self.requests = self.input_tokens = self.output_tokens = 0

    def reply(self, row: Row, attempts: int) -> tuple[str, list[str]]:
        """A reply to the row's message, and what is wrong with it: nothing, if it can be used.

        Raises:
            SpentError: no request is left.
        """
        asked = f"<message>\n{with_notes(prompt_text(row), row.notes)}\n</message>"
        turns = [{"role": "user", "content": asked}]
        reply, wrong = "", ["not asked"]
        for _ in range(attempts):
            reply, stop = self._ask(turns)
            wrong = faults(reply, stop, row, self.guide)
            if not wrong or not reply:
                break
            told = _told(reply, self.guide, wrong)
            turns = [turns[0], {"role": "assistant", "content": reply}, {"role": "user", "content": told}]
        return reply, wrong

    def _ask(self, turns: list[dict[str, str]]) -> tuple[str, str]:
        """The model's text, and why it stopped."""
        from shared.chat.errors import one_line_errors

        if self.requests >= self.budget:
            raise SpentError
        self.requests += 1
        given: Any = turns
        with one_line_errors(self.settings.model, self.settings):
            message = self.client.messages.create(
                model=self.settings.model, max_tokens=MAX_TOKENS, system=self.system, messages=given
            )
        self.input_tokens += message.usage.input_tokens
        self.output_tokens += message.usage.output_tokens
        text = "".join(block.text for block in message.content if block.type == "text")
        return text.strip(), str(message.stop_reason)

    def dollars(self) -> float | None:
        """What it cost so far; None where the price is not known."""
        price = None if self.settings.base_url else lookup(self.settings.model).price
        return price.cost(self.input_tokens, self.output_tokens) if price else None


def faults(reply: str, stop: str, row: Row, guide: Guide) -> list[str]:
    """Why a reply can't be used as a chosen one, from the worst on."""
    if stop == "refusal" or not reply:
        return ["refused" if stop == "refusal" else "empty"]
    if stop == "max_tokens":
        return ["cut"]
    untrue = fidelity.check(reply, row.notes, row.message, guide.company).findings() if row.notes else []
    return [
        *problems(guide.parts(reply)),
        *rules.broken(reply, guide),
        *(f"{kind}: {each}" for kind, each in untrue),
    ]


def _told(reply: str, guide: Guide, wrong: Sequence[str]) -> str:
    """What the model hears of its reply."""
    said, why = {rule.id: rule.say for rule in guide.rules}, rules.reasons(reply, guide)
    lines = [
        f"- {said[each]} (found: {why.get(each) or 'broken'})" if each in said else f"- {each}"
        for each in wrong
    ]
    return "Not yet. What is wrong:\n" + "\n".join(lines) + "\nWrite the whole reply again, and nothing else."
