"""What the model will see: how many tokens a conversation has, and whether the chat template keeps it whole.

Trainers cut what is too long, from the end: the sign-off goes first, and the model learns to leave it out.
And SFT finds the reply by rendering the prompt alone: where that is no beginning of the whole conversation,
it learns the wrong tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shared.errors import reason
from step4_finetune.data.curate.finding import ERROR, OK, Case, Finding, of_cases, replies, short
from step4_finetune.data.rows import Message, Row

LIMIT = 512


def too_long(rows: Sequence[Row], tokenizer: Any, system: str = "", limit: int = LIMIT) -> Finding:
    """Rows of more than `limit` tokens: system message, prompt and the longer reply in the chat template."""
    lengths, cases = [], []
    for at, row in enumerate(rows):
        try:
            texts = [_full(tokenizer, row.with_system(system), reply) for _, reply in replies(row)]
        except Exception:  # which check of the template says why
            continue
        longest = max(len(ids) for ids in _ids(tokenizer, texts))
        lengths.append(longest)
        if longest > limit:
            cases.append(Case(at, row.id, f"{longest} tokens: {short(row.message, 60)}"))
    ordered = sorted(lengths)
    return of_cases(
        "tokens over the limit",
        cases,
        len(rows),
        ERROR,
        f"shorten them, or allow more than {limit}: what is longer is cut at its end",
        limit=limit,
        median=ordered[len(ordered) // 2] if ordered else None,
        longest=ordered[-1] if ordered else None,
    )


def round_trip(rows: Sequence[Row], tokenizer: Any, system: str = "") -> Finding:
    """Rows that the chat template or the tokenizer changes."""
    name = "chat template"
    if not getattr(tokenizer, "chat_template", None):
        advice = "choose a model with a chat template (an instruct model)"
        return Finding(name, len(rows), len(rows), "rows", ERROR if rows else OK, advice)
    cases = []
    for at, row in enumerate(rows):
        prompt = row.with_system(system)
        for reply_name, reply in replies(row):
            cases += [
                Case(at, row.id, f"{reply_name}: {what}") for what in _changed(tokenizer, prompt, reply)
            ]
    return of_cases(
        name, cases, len(rows), ERROR, "take out of the texts what the template changes or uses itself"
    )


def _changed(tokenizer: Any, prompt: list[Message], reply: str) -> Iterator[str]:
    """What a rendered conversation has lost or mixed up."""
    try:
        full = _full(tokenizer, prompt, reply)
        begun = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # templates are programs, and raise what they like
        yield f"the template refuses it ({reason(error)})"
        return
    for message in [*prompt, {"role": "assistant", "content": reply}]:
        text = message["content"]
        if text not in full:
            yield f"the text of {message['role']} is changed: {short(text, 50)}"
        for marker in tokenizer.all_special_tokens:
            if marker in text:
                yield f"the text of {message['role']} holds the marker {marker}"
    if not full.startswith(begun):
        yield "the prompt alone is rendered differently from the prompt with its reply"
    whole, start = _ids(tokenizer, [full, begun])
    if tokenizer.decode(whole, skip_special_tokens=False) != full:
        yield "the tokens give another text than they were made of"
    elif full.startswith(begun) and whole[: len(start)] != start:
        yield "the last token of the prompt runs into the reply"


def _full(tokenizer: Any, prompt: list[Message], reply: str) -> str:
    """The conversation as the template puts it."""
    text: str = tokenizer.apply_chat_template(
        [*prompt, {"role": "assistant", "content": reply}], tokenize=False
    )
    return text


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of rendered conversations: markers are in them already."""
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
