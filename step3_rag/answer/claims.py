"""Check a sentence against its source: numbers, dates, names and negations that the source doesn't have.

    >>> conflicts("Notice is 90 days.", "Either party may end it with sixty days' notice.")
    ['90']
    >>> conflicts("It does not renew.", "The agreement renews every year.")
    ['not']

Comparing words is not enough: an answer with one wrong number has all the words of a right one. So numbers
are compared as numbers (sixty is 60), dates as dates (2026-03-12 is 12 March 2026), and names as names. If
the sentence has a negation, the nearest sentence of the source must have one, too. It works for English only,
and not by meaning: it can't tell that "twice a year" is "every six months".
"""

import re
from calendar import month_name
from dataclasses import dataclass
from typing import NamedTuple

from shared.sentences import sentences
from step3_rag.ingest.stems import stems

SAME_SUBJECT = 0.5  # share of its words from which on a sentence is about the same as one of the source

# --- what is looked for, each with examples ---------------------------------------------------------------

MONTHS = [month.lower() for month in month_name[1:]]
_MONTH = "|".join(f"{month}|{month[:3]}" for month in MONTHS)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
DATE_FORMS = (  # the first one that fits counts
    re.compile(rf"\b{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)\b"),  # 2026-03-12
    # 12 March 2026; 12th of March, 2026; 12 Mar.
    re.compile(rf"\b{_DAY} (?:of )?(?P<month>{_MONTH})\b\.?,?(?: {_YEAR})?", re.IGNORECASE),
    # March 12, 2026; March 12th; Mar. 12
    re.compile(rf"\b(?P<month>{_MONTH})\b\.? {_DAY}\b(?:,? {_YEAR})?", re.IGNORECASE),
    re.compile(rf"\b(?P<month>{_MONTH})\b,? {_YEAR}\b", re.IGNORECASE),  # March 2026
)

# 60; 1,200.50; 21st; but not the digits of AB-12, 4-stage or 3b
NUMBER = re.compile(r"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)(?:st|nd|rd|th)?(?![\w-]*[A-Za-z])")
# With ordinals and "twice", unlike the words of step 4's tone/fidelity.py, whose measured figures depend on
# its own list: a contract's "third year" is a number, but a reply uses such words in other senses, too.
# fmt: off
SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
ORDINALS = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
NUMBER_WORDS = {"twice": 2, "dozen": 12}
NUMBER_WORDS |= {word: number for number, word in enumerate(SMALL)}
NUMBER_WORDS |= {word: number for number, word in enumerate(ORDINALS, 1)}
NUMBER_WORDS |= {word: 10 * number for number, word in enumerate(TENS, 2)}
NUMBER_WORDS |= {word.replace("ty", "tieth"): 10 * number for number, word in enumerate(TENS, 2)}
NUMBER_WORDS |= {"hundred": 100, "hundredth": 100, "thousand": 1000, "thousandth": 1000}
FACTORS = (100, 1000)

NAME = re.compile(
    r"""
    (?<! [.!?:][ ] ) (?<! ^ ) \b     # any sentence begins with a capital: its first word is no name
    (?: [A-Z] [\w&'’-]*              # Brightwell, O'Neill, AB-2024-07
      | (?! \d+ (?:st|nd|rd|th) \b)  # 21st is a number
        \w* \d \w* [A-Za-z] [\w-]*   # digits with letters behind them: 3b, x86a-2
    )""",
    re.VERBOSE,
)

NEGATIONS = (
    r"not|never|none|nobody|nothing|neither|nor|cannot|without|unless|except",
    r"\w+n['’]t",  # isn't
    r"no(?! (?:later|earlier|fewer|less|more) than)",  # "no fee"; but "no later than" is a limit
    r"fails?|lacks?",
    r"(?:forbid|prohibit|exclu|refus)\w*|forbade|den(?:y|ies|ied)",
    r"free of|rather than|instead of",
)
NEGATION = re.compile(rf"\b(?:{'|'.join(NEGATIONS)})\b", re.IGNORECASE)


# --- the comparison ---------------------------------------------------------------------------------------


class Date(NamedTuple):
    """A date as digits; "" for what a text leaves out: `("", "03", "12")` for 12 March."""

    year: str
    month: str
    day: str

    def agrees_with(self, other: "Date") -> bool:
        """Whether they are equal in the parts that both have."""
        for part, other_part in zip(self, other, strict=True):
            if part and other_part and part != other_part:
                return False
        return True


@dataclass(frozen=True)
class Nearest:
    """The sentences of a source that are nearest to a sentence, the best first."""

    sentences: list[str]
    overlap: float  # share of the sentence's words that the first of them has

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def conflicts(sentence: str, source: str) -> list[str]:
    """The numbers, dates, names and negations of a sentence that the nearest sentences of its source lack."""
    nearest = nearest_sentences(sentence, source)
    dates = missing_dates(sentence, nearest.text)
    numbers = missing_numbers(sentence, nearest.text)
    missing = sorted(dates + numbers) + missing_names(sentence, nearest.text)
    if negation_differs(sentence, nearest):
        missing.append("not")
    return missing


def nearest_sentences(sentence: str, source: str) -> Nearest:
    """The sentence of the source with the most common words, and up to two with the most of the others."""
    own = frozenset(stems(sentence))
    stems_of: dict[str, frozenset[str]] = {}
    for start, end in sentences(source):
        text = source[start:end]
        stems_of[text] = frozenset(stems(text))

    nearest: list[str] = []
    uncovered = own
    for least in (1, 2, 2):  # common words that a first, second and third sentence must have
        best = max(stems_of, key=lambda text: len(uncovered & stems_of[text]), default="")
        if not best or len(uncovered & stems_of[best]) < least:
            break
        nearest.append(best)
        uncovered -= stems_of[best]
    overlap = len(own & stems_of[nearest[0]]) / len(own) if nearest else 0.0
    return Nearest(nearest, overlap)


def missing_dates(sentence: str, passage: str) -> list[str]:
    """The dates of a sentence that agree with none of a passage, like `2026-03-12`."""
    known, _ = take_dates(passage)
    stated, _ = take_dates(sentence)
    missing = []
    for date in stated:
        if not any(date.agrees_with(other) for other in known):
            missing.append("-".join(date))
    return missing


def missing_numbers(sentence: str, passage: str) -> list[str]:
    """The numbers of a sentence that a passage doesn't have, in digits; those of dates don't count."""
    return list(numbers_in(sentence) - numbers_in(passage))


def missing_names(sentence: str, passage: str) -> list[str]:
    """The names of a sentence that a passage has in no form; the names of months are dates."""
    missing = []
    for match in NAME.finditer(sentence):
        name = match[0].strip("'’")
        if name.lower() not in MONTHS and not mentions(passage, name):
            missing.append(name)
    return missing


def negation_differs(sentence: str, nearest: Nearest) -> bool:
    """Whether only one has a negation, if both are about the same."""
    if nearest.overlap < SAME_SUBJECT:
        return False
    if NEGATION.search(sentence):
        return not NEGATION.search(nearest.text)
    return NEGATION.search(nearest.sentences[0]) is not None


# --- reading a text ---------------------------------------------------------------------------------------


def take_dates(text: str) -> tuple[set[Date], str]:
    """The dates of a text, and the text without them."""
    dates: set[Date] = set()
    for form in DATE_FORMS:
        for match in form.finditer(text):
            part = match.groupdict(default="")
            day = part.get("day", "")
            dates.add(Date(part["year"], month_number(part["month"]), day.zfill(2) if day else ""))
        text = form.sub(" ", text)
    return dates, text


def month_number(month: str) -> str:
    """Two digits: `03` for `03`, `March` and `mar`."""
    if month.isdigit():
        return month
    short = [name[:3] for name in MONTHS]
    return f"{short.index(month[:3].lower()) + 1:02}"


def numbers_in(text: str) -> set[str]:
    """The numbers of a text except those of its dates, in digits: `60` for 60, 60.0 and sixty."""
    _, rest = take_dates(text)
    numbers = [float(match[1].replace(",", "")) for match in NUMBER.finditer(rest)]
    numbers += numbers_in_words(rest)
    return {f"{number:g}" for number in numbers}


def numbers_in_words(text: str) -> list[float]:
    """The numbers that a text has as words; several words may be one number.

    >>> numbers_in_words("twenty-five thousand sensors in two years")
    [25000, 2]
    """
    numbers: list[float] = []
    number: float | None = None  # the words before this one, if they are a number
    for word in re.findall("[a-z]+", text.lower()):
        value = NUMBER_WORDS.get(word)
        if number is not None and value is not None:
            if value in FACTORS:
                number *= value  # two hundred
                continue
            if number % 100 > 19 and value < 10:
                number += value  # twenty-five
                continue
        if number is not None:
            numbers.append(number)
        number = None if word == "one" else value  # "one" is mostly no number
    if number is not None:
        numbers.append(number)
    return numbers


def mentions(passage: str, name: str) -> bool:
    """Whether a passage has a name, in this form or another."""
    bare = re.sub(r"['’]s?$", "", name.lower())  # without a genitive
    return bare in passage.lower() or set(stems(bare)) <= set(stems(passage))
