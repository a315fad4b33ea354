"""Whether rows are complete, short enough, and free of personal data.

Trainers cut long rows at the end: the sign-off goes first, and the model learns to leave it out.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from shared.errors import UserError, reason
from shared.personal import personal
from step4_finetune.data.curate.finding import ERROR, WARNING, Case, Finding, of_cases, replies, short
from step4_finetune.data.rows import Row
from step4_finetune.tone.text import tidy

LIMIT = 512  # tokens of a conversation
# Ofcom reserves these telephone numbers for films and books, so rows may hold them.
INVENTED = re.compile(r"(?:07700\W?900|03069\W?990)\W?\d{3}")
BROKEN_TEXT = "\ufffd"  # stands where bytes were no UTF-8


def schema(rows: Sequence[Row]) -> Finding:
    """Rows with empty or broken texts, equal replies or a repeated id."""
    ids: dict[str, int] = {}
    cases = []
    for at, row in enumerate(rows):
        cases += [Case(at, row.id, what) for what in _wrong(row)]
        if row.id in ids:
            cases.append(Case(at, row.id, f"row {ids[row.id] + 1} has the same id"))
        ids.setdefault(row.id, at)
    return of_cases("schema", cases, len(rows), ERROR, "write what is missing, or leave the row out")


def _wrong(row: Row) -> Iterator[str]:
    for name, text in [("the message", row.message), *replies(row)]:
        if not text.strip():
            yield f"{name} is empty"
        if BROKEN_TEXT in text:
            yield f"{name} has letters that were lost ({BROKEN_TEXT}): read it in its own encoding"
    if row.rejected is not None and tidy(row.chosen) == tidy(row.rejected):
        yield f"chosen and rejected are the same: {short(row.chosen, 60)}"


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


def personal_data(rows: Sequence[Row]) -> Finding:
    """Rows with personal data in the prompt or in a reply."""
    cases = []
    try:
        for at, row in enumerate(rows):
            prompt = "\n".join([*(each["content"] for each in row.prompt), *row.notes])
            for name, text in (("message or notes", prompt), *replies(row)):
                cases += [
                    Case(at, row.id, f"{each.kind} in {name}: {each.masked}")
                    for each in personal(text)
                    if not INVENTED.fullmatch(text[each.start : each.end].strip())
                ]
    except UserError as missing:
        return Finding("personal data", None, len(rows), "rows", WARNING, str(missing))
    advice = "replace it by an invented one, or by a placeholder"
    return of_cases("personal data", cases, len(rows), ERROR, advice)
