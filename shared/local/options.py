"""Options and flags: values that a schema lists, found in a question by name; yes or no by mention.

    >>> choose(form, slot)          # {"enum": ["celsius", "fahrenheit"]}, "how hot in °F"
    ('fahrenheit', 8.0)

An enum of the schema counts, and values that a description lists: "one of 'asc', 'desc'". Values that nobody
named are left out, unless there must be one: then the model's log-likelihood chooses.
"""

from __future__ import annotations

import re
from typing import Any

from shared.local import words
from shared.local.fields import Form
from shared.local.slots import Slot, mentions
from shared.local.standards import conform
from shared.local.words import as_words, stem

SURE, UNSURE = 8.0, -4.0  # margins (nats over "not given") of what is named, and of what had to be guessed
NEGATION = re.compile(
    r"\b(?:not|no|without|exclude|excluding|never|except|skip|don't|dont|disable|off|few|lacks?|isn't|doesn't)\b",
    re.I,
)
# Words of a flag's name that say nothing about when to set it.
FLAG_WORDS = "include is get show return whether flag option enable has use with only info data should be"
LISTED_OPTIONS = re.compile(
    r"(?:options?|values?|one of|following|choose from|choices)[^\[:.]*[:\[]\s*([\w%+/ -]+(?:[|,][\w%+/ -]+)+)",
    re.I,
)
CLOSED = re.compile(
    r"['\"`],? or ['\"`]|(?:either|can be|could be|must be|one of|options?:|choose|values?(?: include| are)?:?)"
    r"\b[^.]*['\"`]",
    re.I,
)


def flag(form: Form, slot: Slot) -> tuple[bool, float] | None:
    """Yes where its name is mentioned, no where a negation stands before it; None: nothing is said of it."""
    empty = {stem(word) for word in FLAG_WORDS.split()}
    places = mentions(form.question, set(words.stems(as_words(slot.name))) - empty)
    if not places:
        return (True, UNSURE) if slot.required else None
    return not any(NEGATION.search(form.question[max(0, start - 25) : start]) for start, _ in places), SURE


def choose(form: Form, slot: Slot) -> tuple[Any, float] | None:
    """An option with its margin: one that is named, or the most probable if there must be one."""
    named = named_options(form, slot)
    if named:
        return named[0], SURE
    options, closed = options_of(slot.schema)
    if not (slot.required and closed and options):
        return None
    scores = form.choose(slot.label, [str(option) for option in options])
    return options[max(range(len(options)), key=scores.__getitem__)], UNSURE


def named_options(form: Form, slot: Slot) -> list[Any]:
    """The options that the question names: what is said most fully first, else in their order in the text."""
    options, _ = options_of(slot.schema)
    said = form.corrected.lower()
    present = {stem(word) for word in words.plain_words(said)}
    found: list[tuple[float, int, Any]] = []  # how fully, where
    for option in options:
        text = as_words(str(option))
        if not text:
            continue
        whole = re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)
        begun = len(text) > 2 and re.search(rf"\b{re.escape(text)}", said)  # asc, ascending
        parts = words.plain_words(text)
        if whole:
            found.append((10.0 + len(text), whole.start(), option))
        elif begun:
            found.append((1.0, begun.start(), option))
        elif parts and all(stem(part) in present for part in parts):
            found.append((float(len(parts)), 0, option))
        elif short := _shortened(text, said):
            found.append((1.0, short.start(), option))
    if not found and slot.description:
        standard = {conform(form.question[start:end], slot.description) for start, end in form.words}
        found = [(1.0, 0, option) for option in options if option in standard]
    best = max((fullness for fullness, *_ in found), default=0.0)
    if best >= 10.0:
        found = [each for each in found if each[0] >= 10.0]
        inside = {
            str(a[2])
            for a in found
            for b in found
            if a is not b and as_words(str(a[2])) in as_words(str(b[2]))
        }
        found = [each for each in found if str(each[2]) not in inside or _alone(str(each[2]), found, form)]
        return [option for _, _, option in sorted(found, key=lambda each: each[1])]
    return [option for _, _, option in sorted(found, key=lambda each: -each[0])][:1]


def _alone(option: str, found: list[tuple[float, int, Any]], form: Form) -> bool:
    """Whether an option that is part of another ("tomorrow" of "day after tomorrow") is also said by itself."""
    text = form.corrected.lower()
    for _, _, other in found:
        if as_words(option) != as_words(str(other)) and as_words(option) in as_words(str(other)):
            text = text.replace(as_words(str(other)), " ")
    return re.search(rf"(?<!\w){re.escape(as_words(option))}(?!\w)", text) is not None


def _shortened(option: str, said: str) -> re.Match[str] | None:
    """ "on fri" for friday, "°F" for fahrenheit."""
    cut = "|".join(re.escape(option[:n]) for n in (4, 3) if n < len(option))
    by_letter = rf"(?:°|\bdegrees? ?){re.escape(option[0])}\b"
    return re.search(rf"\b(?:on|this|next|by|for|until) (?:{cut or option})\b|{by_letter}", said)


def options_of(schema: dict[str, Any]) -> tuple[list[Any], bool]:
    """The enum, or the values that the description lists; and whether there can be no others."""
    if schema.get("enum"):
        return [option for option in schema["enum"] if option is not None], True
    text = schema.get("description") or ""
    listed = LISTED_OPTIONS.search(text)
    if listed:
        return [option.strip() for option in re.split(r"[|,]", listed[1]) if option.strip()], True
    before_default = re.split(r"[,.]?\s*\(?\b[Dd]efault", text)[0]
    quoted = re.findall(r"(?<!\w)['\"`]([^'\"`]{1,30})['\"`](?!\w)", before_default)
    open_ended = re.search(r"e\.g|such as|for (?:example|instance)|like ['\"`]", text, re.I)
    return (quoted, bool(CLOSED.search(text))) if len(quoted) > 1 and not open_ended else ([], False)
