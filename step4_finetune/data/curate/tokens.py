"""How many tokens a conversation has.

Trainers cut what is too long, from the end: the sign-off goes first, and the model learns to leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.errors import reason
from step4_finetune.data.curate.finding import ERROR, Case, Finding, of_cases, replies, short
from step4_finetune.data.rows import Row

LIMIT = 512


def too_long(rows: Sequence[Row], tokenizer: Any, system: str = "", limit: int = LIMIT) -> Finding:
    """Rows of more than `limit` tokens: system message, prompt and the longer reply in the chat template."""
    longest, cases = 0, []
    for at, row in enumerate(rows):
        asked = row.with_system(system)
        turns = [[*asked, {"role": "assistant", "content": reply}] for _, reply in replies(row)]
        try:
            most = max(len(tokenizer.apply_chat_template(each, return_dict=False)) for each in turns)
        except Exception as error:  # templates are programs, and raise what they like; some models have none
            cases.append(Case(at, row.id, f"the chat template refuses it ({reason(error)})"))
            continue
        longest = max(longest, most)
        if most > limit:
            cases.append(Case(at, row.id, f"{most} tokens: {short(row.message, 60)}"))
    advice = f"shorten them, or allow more than {limit}: what is longer is cut at its end"
    unit = f"rows (longest {longest} of {limit})"
    return of_cases("tokens over the limit", cases, len(rows), ERROR, advice, unit)
