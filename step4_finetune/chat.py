"""Replies of the base and tuned models to the same message, one below the other.

$ python -m step4_finetune chat "my kettle leaks" --note "plan: technician calls on Monday"
base
I'm sorry to hear that your kettle ...
tone
Dear member, ...
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.config import Settings
from shared.models import load_causal_lm, load_tokenizer
from step4_finetune.data.rows import Message, with_notes
from step4_finetune.models.generate import replies
from step4_finetune.models.merge import load_tuned, named
from step4_finetune.tone.rules import Guide, broken

AGAIN = 0.7  # temperature of further attempts


def run(
    settings: Settings,
    guide: Guide,
    message: str,
    notes: Sequence[str],
    adapters: Sequence[Path],
) -> dict[str, Any]:
    """Answer a message by the base and every adapter.

    Raises:
        UserError: an adapter doesn't fit.
    """
    tokenizer = load_tokenizer(settings=settings)
    models: dict[str, Any] = {"base": load_causal_lm(settings=settings)}
    models |= {name: load_tuned(settings, each) for name, each in named(adapters, ["base"]).items()}
    prompt: list[Message] = [
        {"role": "system", "content": guide.system},
        {"role": "user", "content": with_notes(message, notes)},
    ]
    answers = {}
    for name, model in models.items():
        (reply,) = replies(model, tokenizer, [prompt])
        breaks = list(broken(reply.text, guide))
        answers[name] = {"reply": reply.text, "tokens": reply.tokens, "breaks": breaks}
    return {
        "command": "step4_finetune chat",
        "headline": f"replies of {', '.join(models)}",
        "model": settings.model,
        "message": message,
        "replies": answers,
    }


def generator(settings: Settings, adapter: Path, guide: Guide) -> Callable[[list[Message]], str]:
    """A function from messages to the tuned model's reply, for the guardrails.

    The model always gets the system message that it was trained under. Where the request has another one (the
    guard's reminder after a bad reply), the reply is sampled: the greedy one would be the same again.
    """
    tokenizer, model = load_tokenizer(settings=settings), load_tuned(settings, adapter)

    def generate(messages: list[Message]) -> str:
        system = {"role": "system", "content": guide.system}
        again = any(each["role"] == "system" and each != system for each in messages)
        prompt = [system, *(each for each in messages if each["role"] != "system")]
        return replies(model, tokenizer, [prompt], temperature=AGAIN if again else 0.0)[0].text

    return generate
