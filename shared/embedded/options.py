"""Options and flags: values that a schema lists, found in a question by name; yes or no by mention.

    >>> choose(form, slot)          # {"enum": ["celsius", "fahrenheit"]}, "how hot in °F"
    ('fahrenheit', 8.0)

An enum of the schema counts, and values that a description lists: "one of 'asc', 'desc'". Values that nobody
named are left out, unless there must be one: then the model's log-likelihood chooses.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Any

from shared.embedded import words
from shared.embedded.fields import Form
from shared.embedded.quantities import UNIT_OF
from shared.embedded.slots import Slot, mentions
from shared.embedded.standards import conform
from shared.embedded.words import as_words, stem

SURE, UNSURE = 8.0, -4.0  # margins (nats over "not given") of what is named, and of what had to be guessed
NEGATION = re.compile(
    r"\b(?:not|no|without|exclude|excluding|never|except|skip|don't|dont|disable|off|few|lacks?|isn't|doesn't)\b",
    re.I,
)
GENERAL = (
    "any",
    "all",
    "none",
    "other",
    "default",
    "both",
    "auto",
    "normal",
)  # count only if nothing else is named
AFTER_TARGET = (["to"], ["into"], ["in"], ["as"], ["many"], ["much"])
# Words of a flag's name that say nothing about when to set it.
FLAG_WORDS = "include is get show return whether flag option enable has use with only info data should be"
LISTED_OPTIONS = re.compile(
    r"(?:options?|values?|one of|following|choose from|choices)[^\[:.]*[:\[]"
    r"\s*([\w%+/ -]+(?:[|,][\w%+/ -]+)+)",
    re.I,
)
# Values without quotation marks: "(walk, bike or drive)", "could be breakfast or lunch", "either a or b"
UNQUOTED = re.compile(
    r"(?:\((?!e\.?g|such|like|for|default)|\beither |\b(?:can|could|may|must) be (?:either )?)"
    r"([\w-]+(?:, [\w-]+)*,? or [\w-]+|[\w-]+(?:, [\w-]+){2,}(?=\)))"
)
CODED = re.compile(r"['\"`]([^'\"`]{1,10})['\"`] (?:for|means|is|=) ([A-Z]\w*(?: [A-Z]\w+)+|[A-Z]?\w{3,})")
# "Default is 'Standard'." is no list of options, but one may follow.
DEFAULT = re.compile(r"[,.;]?\s*\(?\bdefault[^.'\"`]*(?:['\"`][^'\"`]*['\"`][^.'\"`]*)*", re.I)
EXAMPLES = re.compile(r"e\.g|such as|for (?:example|instance)|like (?=['\"`])", re.I)
LIKE = 5  # letters that a word and an example have in common at least
CLOSED = re.compile(
    r"['\"`],? or ['\"`]"
    r"|(?:either|can be|could be|must be|one of|options?(?: are|:)|choose|values?(?: include| are)?:?)"
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


def choose(form: Form, slot: Slot, taken: Collection[Any] = ()) -> tuple[Any, float] | None:
    """An option with its margin: one that is named, or the most probable if there must be one.

    `taken`: what another slot with the same options has; two slots rarely want the same.
    """
    named = [(at, option) for at, option in named_options(form, slot) if option not in taken]
    if slot.is_source or slot.is_target:  # "350 F in Celsius": what stands behind "in" is the target
        named = [each for each in named if _is_target(form.corrected, each[0]) == slot.is_target]
    if named:
        return max(named, key=lambda each: len(str(each[1])))[1], SURE
    example = _example(form, slot)
    if example:
        return example, SURE
    options, closed = options_of(slot.schema)
    options = [option for option in options if option not in taken]
    if not (slot.required and closed and options):
        return None
    scores = form.choose(slot.label, [str(option) for option in options])
    return options[max(range(len(options)), key=scores.__getitem__)], UNSURE


def _example(form: Form, slot: Slot) -> str | None:
    """An example of the description that the question names in another form: "cardiologist" for 'Cardiology'.

    What it names letter by letter needs no help.
    """
    examples = "".join(EXAMPLES.split(slot.description, maxsplit=1)[1:])
    said = words.plain_words(form.corrected)
    for hit in re.finditer(r"(?<!\w)['\"`]([^'\"`]{1,40})['\"`](?!\w)", examples):
        parts = words.plain_words(hit[1])
        is_named = all(any(_is_like(part, word) for word in said) for part in parts)
        is_long = any(len(part) > LIKE for part in parts)
        if is_named and is_long and hit[1].lower() not in form.corrected.lower():
            return hit[1]
    return None


def _is_like(a: str, b: str) -> bool:
    """Whether two words differ in their endings at most."""
    return b.startswith(a[: max(len(a) - 2, LIKE)])


def _is_target(text: str, at: int) -> bool:
    """Whether what stands there is what something becomes: "in Celsius", "how many kilometres"."""
    before = text[:at].lower().split()[-1:]
    return before in AFTER_TARGET and not re.search(r"\d\s*$", text[:at])


def named_options(form: Form, slot: Slot, several: bool = False) -> list[tuple[int, Any]]:
    """The options that the question names, each with the place, in order; by full name before all else.

    `several`: a list of them is wanted, so that those named in another form count, too.
    """
    options, _ = options_of(slot.schema)
    said = re.sub(r"[_.\-]", " ", form.corrected.lower())
    by_text = {as_words(str(option)): option for option in options}
    # "'fr' for French": the code is named by what it stands for.
    by_text |= {
        meaning.lower(): code
        for code, meaning in CODED.findall(slot.description)
        if not slot.schema.get("enum") or code in options
    }
    # The longest first, so that "tomorrow" is not found within "day after tomorrow".
    names = "|".join(re.escape(text) for text in sorted(by_text, key=len, reverse=True) if text)
    whole = [
        (hit.start(), by_text[hit[1]])
        for hit in re.finditer(rf"(?<!\w)({names})s?(?!\w)", said)
        # "a" is no option A, "us" is not the US
        if names and (hit[1] not in words.FUNCTION_WORDS or str(by_text[hit[1]]) in form.corrected)
    ]
    if several:
        return _several(whole, by_text, said)
    if any(as_words(str(option)) not in GENERAL for _, option in whole):
        return [each for each in whole if as_words(str(each[1])) not in GENERAL]
    found = [
        (at, option) for text, option in by_text.items() if (at := _otherwise_named(text, said)) is not None
    ]
    if not found and slot.description:
        standard = {conform(form.question[start:end], slot.standard): start for start, end in form.words}
        found = [(standard[option], option) for option in options if option in standard]
    return sorted(found, key=lambda each: -len(str(each[1])))[:1] or whole


def _several(whole: list[tuple[int, Any]], by_text: dict[str, Any], said: str) -> list[tuple[int, Any]]:
    """Those named in full, and those that are named by less elsewhere."""
    taken = [(at, at + len(as_words(str(option)))) for at, option in whole]
    known = {option for _, option in whole}
    for text, option in by_text.items():
        at = _otherwise_named(text, said)
        if at is not None and option not in known and not any(start <= at < end for start, end in taken):
            whole = [*whole, (at, option)]
    special = [each for each in whole if as_words(str(each[1])) not in GENERAL]
    return sorted(special or whole, key=lambda each: each[0])


def enumerated(form: Form, slot: Slot) -> list[Any]:
    """Options that are listed one after the other: "Saturday and Sunday"."""
    named, text = named_options(form, slot), form.corrected.lower()
    listed: list[Any] = []
    for (at, option), (after, following) in pairwise(named):
        between = text[at + len(as_words(str(option))) : after]
        if (
            re.fullmatch(
                r"s?,?\s*(?:(?:and|or|versus|vs\.?|&|than)\s+)?(?:(?:on|in|for|by|the)\s+)?", between
            )
            and option != following
        ):
            listed += [option, following] if option not in listed else [following]
    return listed


def _otherwise_named(option: str, said: str) -> int | None:
    """Where an option stands by less than its name: "ascending" for asc, "on fri", "350 f", "°F"."""
    if option in GENERAL or option in words.FUNCTION_WORDS or not option:
        return None
    is_word = " " not in option  # only single words are shortened
    begun = len(option) > 2 and re.search(rf"\b{re.escape(option)}", said)
    parts = {stem(part) for part in words.plain_words(option)}
    present = {stem(hit.group()): hit.start() for hit in re.finditer(r"[^\W\d_]+|\d+", said)}
    cut = "|".join(re.escape(option[:n]) for n in (4, 3) if n < len(option)) or re.escape(option)
    longer = "|".join(re.escape(option[:n]) for n in (5, 4, 3) if n < len(option) - 1) or re.escape(option)
    short = is_word and re.search(
        rf"\b(?:on|this|next|by|for|until) (?:{cut})\b|\b(?:{longer})s?\b(?<=\w{{4}})"
        rf"|(?:°|\bdegrees? ){option[0]}\b",
        said,
    )
    spelled = UNIT_OF.get(option) and next(
        (hit for hit in re.finditer(r"[a-z°]+", said) if UNIT_OF.get(hit.group()) == UNIT_OF[option]), None
    )
    hit = begun or short or spelled
    if hit:
        return hit.start()
    return min(present[part] for part in parts) if parts and parts <= present.keys() else None


def options_of(schema: dict[str, Any]) -> tuple[list[Any], bool]:
    """The enum, or the values that the description lists; and whether there can be no others."""
    if schema.get("enum"):
        return [option for option in schema["enum"] if option is not None], True
    text = schema.get("description") or ""
    listed = LISTED_OPTIONS.search(text)
    if listed:
        return [option.strip() for option in re.split(r"[|,]", listed[1]) if option.strip()], True
    listing = DEFAULT.sub("", text)
    quoted = re.findall(r"(?<!\w)['\"`]([^'\"`]{1,30})['\"`](?!\w)", listing)
    open_ended = EXAMPLES.search(text)
    unquoted = UNQUOTED.search(listing)
    if unquoted and not quoted and not open_ended:
        return re.split(r",? or |, ", unquoted[1]), False
    return (quoted, bool(CLOSED.search(text))) if len(quoted) > 1 and not open_ended else ([], False)
