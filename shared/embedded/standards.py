"""Values that a schema wants in a standard form: dates, ISO codes of currencies and countries.

    >>> conform("August 11, 2024", "Check-in date in the format MM-DD-YYYY")
    '08-11-2024'
    >>> conform("Euros", "The ISO currency code")
    'EUR'

Only where the description says so; what can't be read stays as it was said.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache

from shared.embedded.currencies import codes
from shared.embedded.words import overlaps

DATE = re.compile(
    r"\b(YYYY|YY|MM|DD|year|month|day)([-/. ])(YYYY|MM|DD|month|day)\2(YYYY|YY|DD|MM|year|month|day)\b", re.I
)
STRFTIME = {"YYYY": "%Y", "YEAR": "%Y", "YY": "%y", "MM": "%m", "MONTH": "%m", "DD": "%d", "DAY": "%d"}
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
NTH = r"\d\d?(?:st|nd|rd|th)?"
WRITTEN = re.compile(
    rf"\b(?:\d{{4}}([-/.])\d\d?\1\d\d?|\d\d?[/.-]\d\d?[/.-]\d{{2,4}}|\d{{4}},? {MONTH} {NTH}"
    rf"|{MONTH} {NTH},?\s?\d{{4}}|{NTH}(?: of)? {MONTH},?\s?\d{{4}})\b",
    re.I,
)
# "from April 3rd [to April 5th, 2023]": the year stands at one end only.
DAY = rf"\b(?:{MONTH} {NTH}|{NTH}(?: of)? {MONTH})(?!\w)"
UNTIL = r"\s*(?:to|until|till|through|and|[-–])\s*(?:the )?"


CLOCK = re.compile(
    r"\b(?<!\d\.)(?:(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?!\.?\d)(?:\s?(?P<half>[ap]\.?m\b\.?))?|(?P<h>\d{1,2})\s?(?P<half2>[ap]\.?m\b\.?)"
    r"|(?P<word>noon|midday|midnight))",
    re.I,
)


def conform(value: str, description: str) -> str:
    """The value in the form that the description asks for."""
    wanted = DATE.search(description)
    if wanted:
        return _date(value, wanted)
    if asks_time(description):
        return _time(value)
    if asks_currency(description):
        return currency(value) or value
    if re.search(r"\bcountr", description, re.I) and re.search(
        r"ISO|\bcode\b|\b(?:US|GB|FR|DE)\b(?=[,|])", description
    ):
        return countries().get(_key(value), value)
    return value


def asks_date(description: str) -> bool:
    """Whether the description asks for a date in figures, as YYYY-MM-DD."""
    return DATE.search(description) is not None


def asks_time(description: str) -> bool:
    """Whether the description asks for a time of day as HH:MM."""
    return re.search(r"\bHH:MM\b", description, re.I) is not None


def time_spans(text: str) -> list[tuple[int, int]]:
    """Where times of day stand: 15:30, 3:30 pm, 8pm, noon."""
    return [found.span() for found in CLOCK.finditer(text)]


def _time(value: str) -> str:
    found = CLOCK.fullmatch(value.strip())
    if not found:
        return value
    if found["word"]:
        return {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}[found["word"].lower()]
    hour, minute = int(found["hour"] or found["h"]), int(found["minute"] or 0)
    half = (found["half"] or found["half2"] or "").lower().replace(".", "")
    hour = hour % 12 + 12 * (half == "pm") if half else hour
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else value


def asks_currency(description: str) -> bool:
    """Whether the description asks for the code of a currency."""
    by_code = re.search(r"\bcode\b|ISO|\b[A-Z]{3}\b", description)
    return bool(by_code and re.search(r"\bcurrenc", description, re.I))


def currency(text: str) -> str | None:
    """The ISO code that a name, a sign or a code stands for; words such as "try" and "all" are none.

    >>> currency("Swiss francs")
    'CHF'
    """
    word = text.lower()
    is_word = not text.isupper() and not {word, word.removesuffix("s")}.isdisjoint(WORDS_LIKE_CODES)
    found = set() if is_word else codes(text)
    return next(iter(found)) if len(found) == 1 else None


def currency_spans(text: str) -> list[tuple[tuple[int, int], str]]:
    """Where currencies stand, the longest name at each place, with their codes: signs, codes, names."""
    words = list(re.finditer(r"[^\W\d]+(?:[$'’-][^\W\d]+)*|(?:[A-Z]{1,2})?[$€£¥₹]", text))
    found = []
    i = 0
    while i < len(words):
        for n in (4, 3, 2, 1):
            last = words[i : i + n][-1]
            name = text[words[i].start() : last.end()]
            fits = len(words[i : i + n]) == n and not re.search(r"[,.;:?!\d]", name)
            code = currency(name) if fits and (n == 1 or not re.search(r"\b[A-Z]{3}\b", name)) else None
            if code:
                found.append(((words[i].start(), last.end()), code))
                i += n - 1
                break
        i += 1
    return found


def dates(text: str) -> list[tuple[tuple[int, int], str]]:
    """Where complete dates stand, and what they say; those at the ends of a period share its year.

    >>> dates("from May 2 to May 5, 2024")
    [((5, 10), 'May 2, 2024'), ((14, 25), 'May 5, 2024')]
    """
    complete = date_spans(text)
    found = {span: text[slice(*span)] for span in complete}
    for start, end in complete:
        year = re.search(r"\d{4}", text[start:end])
        before = re.search(rf"({DAY}){UNTIL}$", text[:start], re.I)
        after = re.compile(rf"{UNTIL}({DAY})", re.I).match(text, end)
        for part in (before, after):
            if year and part and not any(overlaps(part.span(1), each) for each in complete):
                found[part.span(1)] = f"{part[1]}, {year[0]}"
    return sorted(found.items())


def date_spans(text: str) -> list[tuple[int, int]]:
    """Where complete dates stand: 2024-08-11, 8/11/2024, August 11(th), 2024, 11 August 2024."""
    return [found.span() for found in WRITTEN.finditer(text)]


def _date(value: str, wanted: re.Match[str]) -> str:
    from dateutil import parser

    text = re.sub(r"\b(?:of|the)\b", " ", value)
    # 5/6/2024 is read as it is to be written; 2024-06-05 says by itself which is which.
    day_first = wanted[1].upper() in ("DD", "DAY") and not re.match(r"\s*\d{4}", text)
    try:
        date, other = (
            parser.parse(text, default=datetime(*day), dayfirst=day_first)
            for day in ((2000, 1, 1), (2004, 2, 2))
        )
    except (ValueError, OverflowError):
        return value
    if date != other:  # a part of it was not said
        return value
    order, between = (wanted[1], wanted[3], wanted[4]), wanted[2]
    return date.strftime(between.join(STRFTIME[part.upper()] for part in order))


# Codes that are words of English when they are not in capitals.
WORDS_LIKE_CODES = frozenset(
    ["all", "top", "try", "mad", "pen", "cup", "bam", "cop", "lak", "mop", "php", "sos", "ron", "us"]
)


def _key(text: str) -> str:
    return re.sub(r"[^\w$€£¥]+", " ", text.lower()).strip().removeprefix("the ")


@cache
def countries() -> dict[str, str]:
    """Names -> ISO 3166 code, by Unicode CLDR."""
    from babel import Locale

    names = {
        _key(name): code for code, name in Locale("en").territories.items() if re.fullmatch("[A-Z]{2}", code)
    }
    return names | {
        "usa": "US",
        "us": "US",
        "uk": "GB",
        "great britain": "GB",
        "america": "US",
        "england": "GB",
    }
