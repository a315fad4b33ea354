"""Contractions: `don't` and `it's` by how they are written, the 's of a noun by what follows it.

    >>> contractions("The deck's locked while the cook's asleep; the cook's asleep cat isn't.")
    ["deck's", "cook's", "isn't"]
    >>> contractions("The member's booked visit, the driver's waiting room.")
    []
    >>> contractions("Our scanner's old and squints."), possible("Our scanner's old and squints.")
    ([], ["scanner's"])

After a noun, 's is short for `is` or `has`, or says whose something is. A possessive goes on to a noun: *the
cook's taken photos*. So words are looked at that can't begin such a phrase (*a*, *been*, *aboard*), or that
can, but end it too early (*locked*, *asleep*, *looking* before *at*, *while* or a full stop). Where this is
not enough, a contraction is `possible`: a rule that forbids them counts those that are sure, and a rule that
wants some counts the possible ones, too.

It knows words, not grammar. `A kayak's luggage` (is luggage) it takes for a possessive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from step4_finetune.tone.contraction_words import (
    ADJECTIVES,
    ADVERBS,
    ALONE,
    COMPOUNDS,
    DETERMINERS,
    FINITE,
    FIRM,
    GOVERNING,
    JOINTS,
    MODIFIERS,
    NEVER_BEFORE_A_NOUN,
    NOUNS,
    NOUNS_TOO,
    OBJECTS,
    OPENERS,
    PARTICIPLES,
    PERHAPS,
    POINTING,
    PREPOSITIONS,
    STARTERS,
    TOO_EARLY,
)
from step4_finetune.tone.text import APOSTROPHE

PRONOUNS = "it|that|this|there|here|what|who|where|when|how|why|he|she|let|everything|something|nothing"
WRITTEN = re.compile(
    rf"\b\w+n{APOSTROPHE}t\b|\b\w+{APOSTROPHE}(?:re|ve|ll|d|m)\b|\b(?:{PRONOUNS}){APOSTROPHE}s\b"
    rf"|\by{APOSTROPHE}all\b|{APOSTROPHE}(?:tis|twas)\b"
    r"|\b(?:dont|doesnt|didnt|isnt|arent|wasnt|werent|wont|cant|couldnt|wouldnt|shouldnt|havent|hasnt|hadnt"
    r"|im|ive|youre|youve|youll|theyre|theyve|weve|thats|whats|theres|heres|itll|cannae)\b",
    re.IGNORECASE,
)
OF_A_NOUN = re.compile(rf"\b[^\W_]+{APOSTROPHE}s\b", re.IGNORECASE)
TOKEN = re.compile(rf"(?:St|Mr|Mrs|Ms|Dr)\.|\d+(?:[.,:]\d+)*|[^\W_]+(?:(?:{APOSTROPHE}|-)[^\W_]+)*|[^\w\s]")
ED = re.compile("(?<!e)ed$|(?:agre|fre|guarante)ed$")
ENDS = re.compile(r"[.!?…:;()\"“”]|[–—-]")  # of a clause; a comma may stand inside of a noun's adjectives


SURE, POSSIBLE, NONE = 2, 1, 0


def contractions(text: str) -> list[str]:
    """`don't`, `we'll`, `it's`, also where the apostrophe is missing or another; `the deck's locked`."""
    return [found for found, level in _all(text) if level == SURE]


def possible(text: str) -> list[str]:
    """The same, and those that may be possessives."""
    return [found for found, level in _all(text) if level]


def _all(text: str) -> Iterator[tuple[str, int]]:
    """What may be a contraction, in its order, and how sure it is."""
    found = [(each.start(), each[0], SURE) for each in WRITTEN.finditer(text)]
    taken = {start for start, _, _ in found}
    for noun in OF_A_NOUN.finditer(text):
        if noun.start() not in taken and text[noun.end() : noun.end() + 1].isspace():
            found.append((noun.start(), noun[0], _level(text[: noun.start()], text[noun.end() :])))
    yield from ((each, level) for _, each, level in sorted(found))


def _level(before: str, after: str) -> int:
    """How sure it is that 's stands for a verb between the two texts."""
    rest = TOKEN.findall(re.split(r"\n\s*\n", after[:120])[0])
    level, steady = _follows(rest)
    if not level or steady == "firm":
        return level
    place = _place(TOKEN.findall(re.split(r"\n\s*\n", before[-80:])[-1]))
    if place == "governed" or (place == "unclear" and steady == "loose"):
        return level - 1
    return level


def _place(before: list[str]) -> str:
    """Where the noun stands: it begins a clause; a preposition governs it (`at my gran's`); or unclear."""
    named = False
    for number, word in enumerate(reversed(before[-6:])):
        low = word.lower()
        plain = named or number == 0  # a name alone, or a phrase with its article
        if not word[0].isalnum():
            return "subject" if plain else "unclear"
        if low in GOVERNING:
            return "governed"
        if low in STARTERS:
            return "subject" if plain or low == "that" else "unclear"
        if named and low not in ("all", "half", "both"):
            return "unclear"
        named = named or low in OPENERS
    return "subject" if named or not before else "unclear"


def _follows(rest: list[str]) -> tuple[int, str]:
    """By the words behind it: how sure, and whether that holds wherever the noun stands.

    *firm*: anywhere. *part*: but not behind a preposition. *loose*: only at the beginning of a clause.
    """
    skipped = 0
    while skipped < len(rest) and _is_adverb(rest[skipped]):
        skipped += 1
    word, after = (*rest[skipped : skipped + 1], "")[0], rest[skipped + 1 :]
    low = word.lower()
    if low == "too" and after and after[0].isalpha():  # too strong: of no phrase that goes on to a noun
        return SURE, "loose"
    if _ends(word):
        return (POSSIBLE if skipped else NONE), "loose"
    if low in FIRM:
        return SURE, "firm"
    if word in DETERMINERS or (low in DETERMINERS and rest[0].isupper() and len(word) > 1):
        return SURE, "part"
    if low in POINTING or low in NEVER_BEFORE_A_NOUN:
        return SURE, "loose"
    if low in PREPOSITIONS:
        compound = after[:1] and after[0].lower() in COMPOUNDS and not _closes(after[1:])
        return (NONE if compound else SURE), "loose"
    if low in MODIFIERS:
        level = SURE if _closes(after) or _is_name(after) else POSSIBLE if low in ALONE else NONE
        return level, "loose"
    if low in NOUNS or "-" in low or (low.endswith("ing") and after[:1] == ["of"]):
        return NONE, "loose"
    if low in NOUNS_TOO or low in PERHAPS or low[:1].isdigit():
        verbal = FINITE.intersection(each.lower() for each in rest[:skipped])
        level = SURE if verbal or (skipped and low in PERHAPS) else POSSIBLE
        if low.endswith("ing") and after and after[0].lower() in DETERMINERS | OBJECTS:
            return SURE, "loose"
        return min(level, _closes(after) or (POSSIBLE if skipped and _is_name(after) else NONE)), "loose"
    if low in ADJECTIVES:
        return _closes(after), "loose"
    if low in PARTICIPLES or (len(low) > 3 and ED.search(low)):
        return (_closes(after) or (POSSIBLE if _is_name(after) else NONE)), "part"
    if low.endswith("ing") and len(low) > 4:
        if not after or _ends(after[0]):
            return (SURE if skipped else POSSIBLE), "loose"
        return (_closes(after) or (POSSIBLE if _is_name(after) else NONE)), "loose"
    return NONE, "loose"


def _is_adverb(word: str) -> bool:
    low = word.lower()
    return low in ADVERBS or (low.endswith("ly") and len(low) > 4 and low not in TOO_EARLY)


def _closes(after: list[str]) -> int:
    """How sure it is that no noun follows to which the word before belongs."""
    if not after or _ends(after[0]):
        return SURE
    low = after[0].lower()
    if low == ",":  # worn, rusty chain: a phrase may go on; worn, so we ...: not so
        told = len(after) > 2 and not after[2][0].isalnum()
        return SURE if told or _opens(after[1:]) else POSSIBLE
    if low == "and":
        return SURE if after[1:] and after[1].lower() in DETERMINERS else POSSIBLE
    if low in MODIFIERS and not (_closes(after[1:]) or _is_name(after[1:])):  # locked off switches
        return POSSIBLE
    return SURE if _opens(after) or _is_adverb(low) else NONE


def _opens(words: list[str]) -> bool:
    """Whether the first word begins a phrase or clause of its own."""
    low = words[0].lower() if words else ""
    known = (DETERMINERS, POINTING, PREPOSITIONS, MODIFIERS, JOINTS, STARTERS)
    return any(low in each for each in known)


def _ends(word: str) -> bool:
    return not word or bool(ENDS.match(word))


def _is_name(after: list[str]) -> bool:
    return bool(after) and (after[0][0].isupper() or after[0][0].isdigit())
