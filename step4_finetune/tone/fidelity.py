"""Does a reply say what the company decided, and nothing else? By program, against the row's notes.

    >>> notes = ["decision: refund of 79.50 approved", "paid back: within five working days"]
    >>> check("We have approved a refund of 79.50.", notes).missing
    ('paid back: within five working days', '5')
    >>> check("A refund of 97.50 is approved; it is paid back within five working days.", notes).added
    ('97.5',)
    >>> check("The refund of 79.50 is not approved; it is paid back within five working days.", notes).turned
    ('decision: refund of 79.50 approved',)

Three questions, none of which needs a label:

    missing   a number, date or name of the notes that the reply lacks, or a note of which it has less than
              four words in five
    added     a number, date or name that neither message nor notes have, or a sentence mostly of new words
    turned    a note that is denied (or a denial that is granted), something planned that is told as done or
              the reverse, or a fact of a note in a sentence that is about something else

Words are compared by their stems. It doesn't understand: a wrong claim made of the notes' own words passes
("the boiler pays for the technician"), and a note told in other words is missing. How often, on replies that
people labelled: `python -m step4_finetune evaluator`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import Stemmer

from step4_finetune.tone import text

TOLD = 0.8  # of a note's words, chosen on dev
ABOUT = 0.5  # of them: a clause with so many is about that note
NEW = 0.5  # of a sentence's words, and at least FEW of them
FEW = 3
COUNT = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
UNITS = COUNT.split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORDS = {
    **{word: str(number) for number, word in enumerate(UNITS, 2)},
    **{word: str(number) for word, number in zip(TENS, range(20, 100, 10), strict=True)},
    **{
        f"{ten}-{unit}": str(10 * at + number)
        for at, ten in enumerate(TENS, 2)
        for number, unit in enumerate(["one", *UNITS[:8]], 1)
    },
    "hundred": "100",
}
MONTHS = "january february march april may june july august september october november december"
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight yesterday"
DAYS = f"{MONTHS} {WEEKDAYS}".split()
NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.:]\d+)*")
NOT = re.compile(
    r"\b(?:not|no|never|cannot|neither|nor|without|unable|declin\w+|refus\w+|reject\w+|den(?:y|ied|ies))\b"
    r"|n[’']t\b",
    re.IGNORECASE,
)
WILL = re.compile(r"\b(?:will|shall|going to)\b|\bto be \w+ed\b", re.IGNORECASE)
PLAN = re.compile(r"plan(?:ned)?:", re.IGNORECASE)
DONE = re.compile(
    r"\b(?:has|have|was|were) (?:\w+ )?(?:been |now )?\w+(?:ed|en|nt|id|de|ne|ut)\b|\b(?:done|already)\b",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[,;:.!?]\s|\s(?:and|but|so|because|while)\s")
# Function words, and what a polite reply may say without asserting anything.
POLITE = """please thank thanks sorry regret apologise apology glad happy pleased welcome kind kindly
    hear know let tell write contact reply ask question message member dear regards sincerely understand
    thing matter now mr mrs ms mx dr"""
FUNCTION = """a an the and or but if so as at by for from in into of off on onto out over to up with
    within about after before until than then that this these those there here it its is are was were be
    been being has have had do does did will would shall should can could may must not no we us our you
    your they them their he she his her who which what when where how why all any both each some one once
    also only still just very much more most other"""
EMPTY = frozenset(f"{FUNCTION} {POLITE}".split())

KINDS = ("missing", "added", "turned")


@dataclass(frozen=True)
class Fidelity:
    """What is wrong with a reply, by kind; all empty: it is faithful."""

    missing: tuple[str, ...] = ()  # notes, and facts of the notes, that it doesn't say
    added: tuple[str, ...] = ()  # facts, and sentences, that stand nowhere
    turned: tuple[str, ...] = ()  # notes that it denies, or reports as done when they are planned

    @property
    def faithful(self) -> bool:
        return not (self.missing or self.added or self.turned)

    def findings(self) -> list[tuple[str, str]]:
        """Everything that is wrong, each with its kind."""
        return [(kind, each) for kind in KINDS for each in getattr(self, kind)]


def check(reply: str, notes: Sequence[str], message: str = "", company: str = "") -> Fidelity:
    """A reply against the notes and the message; the company's name may be said, too."""
    given = "\n".join([*notes, message, company])
    told_facts = facts(reply)
    said, known = told_facts | _words(reply), facts(given) | _words(given)  # names may begin a sentence
    stems_said, stems_known = stems(reply), stems(given)
    clauses = [each for each in CLAUSE.split(reply) if stems(each)]
    sentences = text.sentences(text.take_apart(reply).body)
    missing, turned = [], []
    for note in notes:
        if _share(_content(note), stems_said) < TOLD:
            missing.append(note)
        elif (clauses and _is_turned(note, clauses)) or _is_misplaced(note, sentences):
            turned.append(note)
    missing += sorted(facts("\n".join(notes)) - said)
    added = sorted(told_facts - known)
    for sentence in sentences:
        content = stems(sentence)
        new = content - stems_known
        if len(new) >= FEW and len(new) > NEW * len(content):
            added.append(sentence)
    return Fidelity(tuple(missing), tuple(added), tuple(turned))


def facts(said: str) -> set[str]:
    """Numbers (`five`, `5` and `5.00` are one), days, months and names, in lower case."""
    found = {_number(each) for each in NUMBER.findall(said)}
    starts = True
    for word in re.findall(r"[^\W\d_][\w’'-]*|[.!?:\n]", said):
        if not word[0].isalpha():
            starts = True
            continue
        low = re.sub(r"[’']s?$", "", word.lower())
        if low in NUMBER_WORDS:
            found.add(NUMBER_WORDS[low])
        elif (low in DAYS and (low != "may" or (word[0].isupper() and not starts))) or (
            word[0].isupper() and not starts and low not in EMPTY and low not in DAYS and low != "i"
        ):
            found.add(low)
        starts = False
    return found


def _words(said: str) -> set[str]:
    """All words, those with a hyphen or apostrophe also in parts."""
    low = said.lower()
    return set(re.findall(r"[^\W\d_]\w*", low)) | set(re.findall(r"[^\W\d_][\w-]*", low))


def _number(written: str) -> str:
    """One way of writing each: 1,200.00 is 1200; a time keeps its colon."""
    plain = written.replace(",", "")
    if ":" in plain or plain.count(".") != 1:
        return plain
    return plain.rstrip("0").rstrip(".")


def stems(said: str) -> set[str]:
    """The stems of the words that carry content: no function words, no polite ones, no numbers."""
    low = (word.lower() for word in re.findall(r"[^\W\d_][\w’'-]*", said))
    return {_stem(word) for word in low if len(word) > 2 and word not in EMPTY and word not in NUMBER_WORDS}


@cache
def _stem(word: str) -> str:
    return _stemmer().stemWord(word)


@cache
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


def _content(note: str) -> set[str]:
    """A note's words, without its key where others stand behind it: `ask: take the battery out`."""
    key, colon, value = note.partition(": ")  # 10:30 has no space after its colon
    return stems(value) if colon and stems(value) else stems(key)


def _share(part: set[str], whole: set[str]) -> float:
    return len(part & whole) / len(part) if part else 1.0


def _is_turned(note: str, clauses: Sequence[str]) -> bool:
    """Whether the clause that tells a note has a negation or a tense that the note hasn't."""
    words = _content(note)
    best = max(clauses, key=lambda clause: _share(words, stems(clause)))
    if _share(words, stems(best)) < ABOUT:
        return False
    if bool(NOT.search(note)) != bool(NOT.search(best)):
        return True
    planned, done = bool(WILL.search(note) or PLAN.match(note)), bool(DONE.search(note))
    return (planned and not done and bool(DONE.search(best)) and not WILL.search(best)) or (
        done and not planned and bool(WILL.search(best)) and not DONE.search(best)
    )


def _is_misplaced(note: str, sentences: Sequence[str]) -> bool:
    """Whether a fact of a note stands in no sentence that has a word of that note, too."""
    named = facts(note)
    words = {each for each in _content(note) if each not in named and each not in map(_stem, named)}
    for fact in named if words else ():
        about = [stems(each) for each in sentences if fact in facts(each)]
        if about and not any(words & each for each in about):
            return True
    return False
