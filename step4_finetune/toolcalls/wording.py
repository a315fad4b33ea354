"""Questions as people type them: without capitals, with spelling mistakes; and checks of their words."""

from __future__ import annotations

import random
from typing import Any

from step4_finetune.toolcalls.domains import Tool


def repeats(call: dict[str, Any]) -> bool:
    """Whether a call has the same text twice: from euros to euros."""
    texts = [value for value in call.values() if isinstance(value, str)]
    return len(set(texts)) < len(texts)


def in_lower_case(tool: Tool, text: str, calls: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The question in lower case, and so are the values that the calls copy from it."""

    def lower(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [lower(name, each) for each in value]
        copied = isinstance(value, str) and not tool.parameters[name].enum and value in text
        return value.lower() if copied else value

    return text.lower(), [{name: lower(name, value) for name, value in call.items()} for call in calls]


def misspelt(text: str, chance: random.Random) -> str:
    """The wording with one word misspelt, outside its slots: two letters swapped, one dropped or doubled."""
    words = text.split(" ")
    able = [at for at, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not able:
        return text
    at = chance.choice(able)
    word, i = words[at], chance.randrange(1, len(words[at]) - 2)
    words[at] = chance.choice(
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[: i + 1] + word[i:],
        )
    )
    return " ".join(words)
