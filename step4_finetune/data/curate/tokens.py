"""What the model will see: how many tokens a conversation has, and whether the chat template keeps it whole.

Trainers cut what is too long, from the end: the sign-off goes first, and the model learns to leave it out.
And SFT finds the reply by rendering the prompt alone: where that is no beginning of the whole conversation,
it learns the wrong tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shared.errors import reason
from step4_finetune.data.curate.finding import ERROR, Case, Finding, of_cases, replies, short
from step4_finetune.data.rows import Message, Row

LIMIT = 512


def too_long(rows: Sequence[Row], tokenizer: Any, system: str = "", limit: int = LIMIT) -> Finding:
    """Rows of more than `limit` tokens: system message, prompt and the longer reply in the chat template."""
    longest, cases = 0, []
    for at, row in enumerate(rows):
        try:
            lengths = [len(_ids(tokenizer, row.with_system(system), reply)) for _, reply in replies(row)]
        except Exception:  # which `round_trip` names
            continue
        longest = max(longest, *lengths)
        if max(lengths) > limit:
            cases.append(Case(at, row.id, f"{max(lengths)} tokens: {short(row.message, 60)}"))
    advice = f"shorten them, or allow more than {limit}: what is longer is cut at its end"
    unit = f"rows (longest {longest} of {limit})"
    return of_cases("tokens over the limit", cases, len(rows), ERROR, advice, unit)


def round_trip(rows: Sequence[Row], tokenizer: Any, system: str = "") -> Finding:
    """Rows that the chat template changes, or whose prompt it renders otherwise without the reply."""
    cases = [
        Case(at, row.id, f"{name}: {what}")
        for at, row in enumerate(rows)
        for name, reply in replies(row)
        for what in _changed(tokenizer, row.with_system(system), reply)
    ]
    advice = "take out of the texts what the template changes, or choose a model with another template"
    return of_cases("chat template", cases, len(rows), ERROR, advice)


def _changed(tokenizer: Any, prompt: list[Message], reply: str) -> Iterator[str]:
    """What a rendered conversation has lost or mixed up."""
    try:
        ids = _ids(tokenizer, prompt, reply)
        begun = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    except Exception as error:  # templates are programs, and raise what they like; some models have none
        yield f"the template refuses it ({reason(error)})"
        return
    full = tokenizer.decode(ids)
    for message in [*prompt, {"role": "assistant", "content": reply}]:
        text = message["content"]
        if text not in full:
            yield f"the text of {message['role']} is changed: {short(text, 50)}"
        for marker in tokenizer.all_special_tokens:
            if marker in text:
                yield f"the text of {message['role']} holds the marker {marker}"
    if ids[: len(begun)] != begun:
        yield "the prompt alone is rendered differently from the prompt with its reply"


def _ids(tokenizer: Any, prompt: list[Message], reply: str) -> list[int]:
    """Token ids of the whole conversation."""
    turns = [*prompt, {"role": "assistant", "content": reply}]
    ids: list[int] = tokenizer.apply_chat_template(turns, return_dict=False)
    return ids
