"""Fidelity: does a reply say what its notes say, and nothing else?

    >>> notes = ["decision: refund of 79.50 approved", "paid back: within five working days"]
    >>> check("We have approved a refund of 79.50.", notes).missing
    ('paid back: within five working days', '5')
    >>> check("A refund of 97.50 is approved; it is paid back within five working days.", notes).added
    ('97.5',)
    >>> check("The refund of 79.50 is not approved; it is paid back within five working days.", notes).turned
    ('decision: refund of 79.50 approved',)

Four kinds of faults:

    missing   a number, date or name of the notes that the reply lacks, or a note of which it has fewer than
              four words in five
    added     a number, date or name that neither message nor notes have, or a sentence mostly of new words
    turned    a note that is denied (or a denial that is granted), a plan told as done or the reverse, or a
              fact of a note in a sentence about something else
    leaked    a note for staff only that the reply tells

Notes in shorthand are compared as their row's `facts` have them, written out. Words are compared by their
stems, and those of one line of same_words.txt count as one. The check doesn't understand: a wrong claim in
the notes' own words passes ("the boiler pays for the technician"), and other words than those of the list
count as missing. How often, on replies
labelled by hand: `python -m step4_finetune evaluator`.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import Stemmer

from step4_finetune.tone import text

TOLD = 0.8  # share of a note's words that a reply needs, chosen on dev
ABOUT = 0.5  # share of a note's words from which on a clause is about it
NEW = 0.5  # a sentence with a larger share of new words, and at least FEW of them, is added
FEW = 3
COUNT = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
UNITS = COUNT.split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# As text, since digits are compared as text; without "one" and the ordinals, which replies use in other
# senses ("this one", "in a second"). Step 3's answer/claims.py, for documents, has both.
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
    r"\b(?:not|(?<!at )no|never|cannot|neither|nor|without|unable|declin\w+|refus\w+"
    r"|reject\w+|den(?:y|ied|ies))\b"
    r"|n[’']t\b",
    re.IGNORECASE,
)
WILL = re.compile(r"\b(?:will|shall|going to)\b|\bto be \w+ed\b", re.IGNORECASE)
PLAN = re.compile(r"plan(?:ned)?:", re.IGNORECASE)
DONE = re.compile(
    r"\b(?:has|have|was|were) (?:\w+ )?(?:been |now )?\w+(?:ed|en|nt|id|de|ne|ut)\b|\b(?:done|already)\b",
    re.IGNORECASE,
)
SPEAKER = re.compile(r"i(?:[’'](?:m|d|ve|ll))?")
CLAUSE = re.compile(r"[,;:.!?]\s|\s(?:and|but|so|because|while)\s")
# Words that assert nothing: function words, and those of a polite reply.
POLITE = """please thank thanks sorry regret apologise apology glad happy pleased welcome kind kindly
    hear know let tell write contact reply ask question message member dear regards sincerely understand
    thing matter now mr mrs ms mx dr"""
FUNCTION = """a an the and or but if so as at by for from in into of off on onto out over to up with
    within about after before until than then that this these those there here it its is are was were be
    been being has have had do does did will would shall should can could may must not no we us our you
    your they them their he she his her who which what when where how why all any both each some one once
    also only still just very much more most other"""
EMPTY = frozenset(f"{FUNCTION} {POLITE}".split())

KINDS = ("missing", "added", "turned", "leaked")
SAME_WORDS = Path(__file__).with_name("same_words.txt")
LEAKED = 0.6  # share of an internal note's words, and at least two of them, in one sentence
_stem_of_word = cache(Stemmer.Stemmer("english").stemWord)


@cache
def _same_words() -> dict[str, str]:
    """For each stem of same_words.txt, the first stem of its line."""
    first = {}
    for line in SAME_WORDS.read_text(encoding="utf-8").splitlines():
        words = [_stem_of_word(word) for word in line.split()]
        first.update(dict.fromkeys(words, words[0]))
    return first


def _stem(word: str) -> str:
    stem = _stem_of_word(word)
    return _same_words().get(stem, stem)


@dataclass(frozen=True)
class Fidelity:
    """The faults of a reply, by kind; it is faithful if there are none."""

    missing: tuple[str, ...] = ()  # notes, and facts of the notes, that it doesn't say
    added: tuple[str, ...] = ()  # facts and sentences that neither message nor notes have
    turned: tuple[str, ...] = ()  # notes that it denies, or reports as done when they are planned
    leaked: tuple[str, ...] = ()  # notes for staff only that it tells

    @property
    def faithful(self) -> bool:
        return not self.findings()

    def findings(self) -> list[tuple[str, str]]:
        """Every fault with its kind."""
        return [(kind, each) for kind in KINDS for each in getattr(self, kind)]


def check(
    reply: str, notes: Sequence[str], message: str = "", own: str = "", internal: Sequence[str] = ()
) -> Fidelity:
    """Check a reply against notes, message and what is the company's own: its name, greetings, sign-offs.

    `internal` are notes for staff only, which it must not tell.
    """
    given = "\n".join([*notes, message, own])
    reply_facts = facts(reply)
    said, known = reply_facts | _words(reply), facts(given) | _words(given)  # names may begin a sentence
    stems_said, stems_known = stems(reply), stems(given)
    clauses = [each for each in CLAUSE.split(reply) if stems(each)]
    sentences = text.sentences(text.take_apart(reply).body)
    missing, turned = [], []
    for note in notes:
        if _share(_content(note), stems_said) < TOLD:
            missing.append(note)
        elif _is_misplaced(note, sentences) or (
            # "rule: held, not paid" has a denial in one clause only, so the note alone doesn't show it.
            _is_turned(note, clauses) and any(_is_turned(each, clauses) for each in _clauses(note))
        ):
            turned.append(note)
    missing += sorted(facts("\n".join(notes)) - said)
    added = sorted(reply_facts - known)
    for sentence in sentences:
        content = stems(sentence)
        new = content - stems_known
        if len(new) >= FEW and len(new) > NEW * len(content):
            added.append(sentence)
    leaked = [note for note in internal if is_told(note, sentences, stems_known)]
    return Fidelity(tuple(missing), tuple(added), tuple(turned), tuple(leaked))


def is_told(note: str, sentences: Sequence[str], known: Set[str] = frozenset()) -> bool:
    """Whether one of the sentences has most of a note's words, apart from those that are `known` anyway."""
    words = stems(note) - known
    enough = max(min(2, len(words)), LEAKED * len(words))
    return bool(words) and any(len(words & stems(sentence)) >= enough for sentence in sentences)


def is_said(fact: str, sentence: str) -> bool:
    """Whether a sentence says a note: its numbers, days and names, and most of its words."""
    has_words = _share(_content(fact), stems(sentence)) >= TOLD
    return has_words and facts(fact) <= facts(sentence) | _words(sentence)


def facts(passage: str) -> set[str]:
    """Numbers (`five`, `5` and `5.00` are one), days, months and names, in lower case."""
    found = {_number(each) for each in NUMBER.findall(passage)}
    starts = True
    for word in re.findall(r"[^\W\d_][\w’'-]*|[.!?:\n]", passage):
        if not word[0].isalpha():
            starts = True
            continue
        low = re.sub(r"[’']s?$", "", word.lower())
        if low in NUMBER_WORDS:
            found.add(NUMBER_WORDS[low])
        elif (low in DAYS and (low != "may" or (word[0].isupper() and not starts))) or (
            word[0].isupper()
            and not starts
            and low not in EMPTY
            and low not in DAYS
            and not SPEAKER.fullmatch(low)
        ):
            found.add(low)
        starts = False
    return found


def _words(passage: str) -> set[str]:
    """All words; those with a hyphen or apostrophe also in parts."""
    low = passage.lower()
    return set(re.findall(r"[^\W\d_]\w*", low)) | set(re.findall(r"[^\W\d_][\w-]*", low))


def _number(written: str) -> str:
    """A number in its normal form: 1,200.00 is 1200; a time keeps its colon."""
    plain = written.replace(",", "")
    if ":" in plain or plain.count(".") != 1:
        return plain
    return plain.rstrip("0").rstrip(".")


def stems(passage: str) -> set[str]:
    """The stems of the content words: no function words, no polite ones, no numbers."""
    low = (word.lower() for word in re.findall(r"[^\W\d_][\w’'-]*", passage))
    return {_stem(word) for word in low if len(word) > 2 and word not in EMPTY and word not in NUMBER_WORDS}


def _content(note: str) -> set[str]:
    """The stems of a note, without its key, such as `ask:`, unless there is nothing else."""
    key, colon, value = note.partition(": ")  # 10:30 has no space after its colon
    return stems(value) if colon and stems(value) else stems(key)


def _share(part: set[str], whole: set[str]) -> float:
    return len(part & whole) / len(part) if part else 1.0


def _clauses(note: str) -> list[str]:
    """The clauses of a note, each with its key: `rule: held` and `rule: not paid`."""
    key, colon, value = note.rpartition(": ")
    return [f"{key}{colon}{each}" for each in CLAUSE.split(value)]


def _is_turned(note: str, clauses: Sequence[str]) -> bool:
    """Whether the clause about (a clause of) a note differs from it by a negation or by its tense."""
    words = _content(note)
    best = max(clauses, key=lambda clause: _share(words, stems(clause)), default="")
    if _share(words, stems(best)) < ABOUT:
        return False
    if bool(NOT.search(note)) != bool(NOT.search(best)):
        return True
    planned, done = bool(WILL.search(note) or PLAN.match(note)), bool(DONE.search(note))
    return (planned and not done and bool(DONE.search(best)) and not WILL.search(best)) or (
        done and not planned and bool(WILL.search(best)) and not DONE.search(best)
    )


def _is_misplaced(note: str, sentences: Sequence[str]) -> bool:
    """Whether a fact of a note occurs only in sentences without any other word of that note."""
    named = facts(note)
    words = {each for each in _content(note) if each not in named and each not in map(_stem, named)}
    for fact in named if words else ():
        about = [stems(each) for each in sentences if fact in facts(each)]
        if about and not any(words & each for each in about):
            return True
    return False
