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

from shared.sentences import sentences
from step3_rag.ingest.stems import stems

MONTHS = [month.lower() for month in month_name[1:]]
# fmt: off
SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
# With ordinals and "twice", unlike the words of step 4's tone/fidelity.py, whose measured figures depend on
# its own list: a contract's "third year" is a number, but a reply uses such words in other senses, too.
WORDS = {word: number for number, word in enumerate(SMALL)}
WORDS |= {word: 10 * number for number, word in enumerate(TENS, 2)}
WORDS |= {"twice": 2, "dozen": 12, "hundred": 100, "thousand": 1000}
WORDS |= {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
WORDS |= {f"{word}th": number for word, number in WORDS.items() if number > 3}
WORDS |= {f"{word[:-1]}ieth": number for word, number in WORDS.items() if word in TENS}
SHORT = [month[:3] for month in MONTHS]

_MONTH = "|".join(f"{month}|{month[:3]}" for month in MONTHS)
DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})\b"),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m>{_MONTH})\b\.?,?(?: (?P<y>\d{{4}}))?",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?P<m>{_MONTH})\b\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y>\d{{4}}))?", re.IGNORECASE
    ),
    re.compile(rf"\b(?P<m>{_MONTH})\b,? (?P<y>\d{{4}})\b", re.IGNORECASE),
)
NUMBER = re.compile(r"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)(?:st|nd|rd|th)?(?![\w-]*[A-Za-z])")
NAME = re.compile(r"(?<![.!?:] )(?<!^)\b(?:[A-Z][\w&'’-]*|(?!\d+(?:st|nd|rd|th)\b)\w*\d\w*[A-Za-z][\w-]*)")
NOT = re.compile(
    r"\b(?:not|never|none|nobody|nothing|neither|nor|cannot|without|unless|except|forbade|\w+n['’]t"
    r"|no(?! (?:later|earlier|fewer|less|more) than)|fails?|lacks?|(?:forbid|prohibit|exclu|refus)\w*"
    r"|den(?:y|ies|ied)|free of|rather than|instead of)\b",
    re.IGNORECASE,
)


def conflicts(sentence: str, source: str) -> list[str]:
    """The numbers, dates, names and negations of a sentence that the nearest sentences of its source lack."""
    near, shared = _nearest_sentences(sentence, source)
    passage = " ".join(near)
    facts = _facts(passage)
    found = sorted(each for each in _facts(sentence) if not any(_is_compatible(each, fact) for fact in facts))
    names = (match[0].strip("'’") for match in NAME.finditer(sentence))
    found += [name for name in names if name.lower() not in MONTHS and not _mentions(passage, name)]
    if shared >= 0.5:
        negated = bool(NOT.search(sentence))
        found += ["not"] * (not NOT.search(passage) if negated else bool(NOT.search(near[0])))
    return found


def _nearest_sentences(sentence: str, source: str) -> tuple[list[str], float]:
    """The sentence of the source with the most common words, and up to two with the most of the others.

    Also the share of the sentence's words that the first of them has.
    """
    left = own = frozenset(stems(sentence))
    words = {source[start:end]: frozenset(stems(source[start:end])) for start, end in sentences(source)}
    near: list[str] = []
    for least in (1, 2, 2):
        best = max(words, key=lambda text: len(left & words[text]), default="")
        if not best or len(left & words[best]) < least:
            break
        near.append(best)
        left -= words[best]
    return near, len(own & words[near[0]]) / len(own) if near else 0.0


def _facts(text: str) -> set[str]:
    """Dates as `2026-03-12` (a missing part is empty) and numbers as `60`."""
    found: set[str] = set()
    for pattern in DATES:
        for match in pattern.finditer(text):
            year, month, day = (match.groupdict().get(part) or "" for part in ("y", "m", "d"))
            number = int(month) if month.isdigit() else SHORT.index(month[:3].lower()) + 1
            found.add(f"{year}-{number:02}-{day.zfill(2) if day else ''}")
        text = pattern.sub(" ", text)
    found |= {f"{float(match[1].replace(',', '')):g}" for match in NUMBER.finditer(text)}
    words = [(WORDS.get(word), word) for word in re.findall(r"[a-z]+", text.lower())]
    total: float | None = None
    for value, word in [*words, (None, "")]:  # "twenty five thousand" is one number
        if (
            value is not None
            and total is not None
            and (value in (100, 1000) or (total % 100 > 19 and value < 10))
        ):
            total = total * value if value in (100, 1000) else total + value
            continue
        if total is not None:
            found.add(f"{total:g}")
        total = None if word == "one" else value  # "one" is mostly no number
    return found


def _is_compatible(one: str, other: str) -> bool:
    """Whether two facts are equal; dates only in the parts that both have."""
    if "-" not in one or "-" not in other:
        return one == other
    return all(a == b or not a or not b for a, b in zip(one.split("-"), other.split("-"), strict=True))


def _mentions(passage: str, name: str) -> bool:
    """Whether a passage has a name, in this form or another."""
    bare = re.sub(r"['’]s?$", "", name.lower())
    return bare in passage.lower() or set(stems(bare)) <= set(stems(passage))
