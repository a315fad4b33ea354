"""Numbers in a question, in digits or in words, with the units that stand beside them.

>>> [(each.value, each.unit) for each in quantities("5,000 Euros for two and a half days at 2.5%")]
[(5000.0, 'euro'), (2.5, 'day'), (2.5, 'percent')]
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from shared.embedded.words import Span

ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL = {word: number for number, word in enumerate(ONES.split())} | {"twice": 2}
SMALL |= {word: 10 * i for i, word in enumerate(TENS.split(), 2)}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "lakh": 10**5}
SHORT_SCALES = {"k": 10**3, "m": 10**6, "bn": 10**9}  # behind digits only: 5k

# Spellings of the units that questions and descriptions use, by one name.
UNITS = {
    "metre": "m meter meters metre metres", "centimetre": "cm centimeter centimeters centimetre centimetres",
    "millimetre": "mm millimeter millimeters", "kilometre": "km kilometer kilometers kilometre kilometres",
    "foot": "ft foot feet", "inch": "inch inches", "mile": "mile miles mi", "yard": "yard yards",
    "kilogram": "kg kgs kilogram kilograms kilo kilos", "gram": "g gram grams",
    "pound": "lb lbs pound pounds",
    "second": "s sec secs second seconds", "minute": "min mins minute minutes", "hour": "h hr hrs hour hours",
    "day": "day days", "week": "week weeks", "month": "month months", "year": "year years yr yrs",
    "dollar": "$ dollar dollars usd", "euro": "€ euro euros eur", "percent": "% percent percentage",
    "degree": "° degree degrees", "kelvin": "k kelvin", "celsius": "°c celsius", "joule": "j joule joules",
    "newton": "n newton newtons", "volt": "v volt volts", "ampere": "a amp amps ampere amperes",
    "ohm": "ohm ohms", "coulomb": "c coulomb coulombs", "pascal": "pa pascal pascals", "hertz": "hz hertz",
    "millilitre": "ml milliliter milliliters millilitre millilitres",
    "litre": "l liter liters litre litres",
    "cup": "cup cups",
    "pint": "pint pints",
    "gallon": "gallon gallons gal",
    "ounce": "oz ounce ounces",
    "fahrenheit": "f °f fahrenheit",
    "watt": "w watt watts", "tesla": "t tesla teslas", "calorie": "kcal calorie calories",
}  # fmt: skip
FACTORS = {
    ("week", "day"): 7, ("day", "hour"): 24, ("hour", "minute"): 60, ("minute", "second"): 60,
    ("year", "month"): 12, ("litre", "millilitre"): 1000, ("kilogram", "gram"): 1000,
    ("kilometre", "metre"): 1000, ("metre", "centimetre"): 100, ("foot", "inch"): 12,
    ("thousand", "kelvin"): 1e-3,
}  # fmt: skip
UNIT_OF = {spelling: unit for unit, spellings in UNITS.items() for spelling in spellings.split()}

REST = "rest"  # the unit of a speed that is nil: "starts from rest"
THOUSAND = "thousand"  # of 300K without another unit: 300 kelvin where kelvin is wanted

NUMBER = re.compile(
    r"(?<![\w.,])(?:(?P<sign>[-−+])(?=[$€£¥₹\d.]))?(?P<money>[$€£¥₹])?\s?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)(?P<half>\sand a half\b)?"
    r"(?:\s?(?P<scale>[kK]|[bB]n|[mM]|thousand|million|billion|hundred|dozen|lakh)\b)?"
    r"(?P<percent>\s?(?:%|percent\b))?(?:st|nd|rd|th)?(?P<after>[\s-]?[A-Za-z°$€£%²/^]+)?"
)
FEET = re.compile(r"\s?(?:ft\.?|feet|foot|['’′])[\s-]?(?:and )?", re.I)
INCHES = re.compile(r"\s?-?(?:in\b|inch|[\"”″])", re.I)
COORDINATES = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)\s?°?\s?([NS])\b,?\s*(?:and )?(\d+(?:\.\d+)?)\s?°?\s?([EW])\b"
)


@dataclass(frozen=True)
class Quantity:
    """A number as written at `span`, with what stands beside it."""

    span: Span
    value: float
    unit: str | None = None

    @property
    def is_percent(self) -> bool:
        return self.unit == "percent"


def quantities(text: str) -> list[Quantity]:
    """All numbers, in digits or in words, in order; none that is too large for a float."""
    found = []
    for hit in NUMBER.finditer(text):
        value = float(hit["digits"].replace(",", "")) + 0.5 * bool(hit["half"])
        scale, after = (hit["scale"] or "").lower(), (hit["after"] or "").strip(" -").lower()
        unit = UNIT_OF.get(hit["money"] or "") or ("percent" if hit["percent"] else UNIT_OF.get(after))
        if unit not in ("percent", "dollar", "euro") and re.match(r"\s?(?:/|per\b)", text[hit.end() :]):
            unit = None  # "meters per second" is neither of the two
        if scale == "m" and not hit["money"]:
            unit = "metre"
        elif scale:
            value *= {**SCALES, **SHORT_SCALES}[scale]
            unit = unit or (THOUSAND if hit["scale"] == "K" else None)
        if hit["sign"] in ("-", "−"):
            value = -value
        found.append(Quantity(hit.span("digits"), value, unit))
    found = _coordinates(text, _heights(text, found))
    found += [
        Quantity(hit.span(2), 1.0, UNIT_OF[hit[2].lower()])
        for hit in re.finditer(
            r"\b(next|coming|upcoming|past|last|previous) (day|week|month|year)\b", text, re.I
        )
    ]
    found += [Quantity(hit.span(1), 0.0, REST) for hit in re.finditer(r"\b(?:from|at) (rest)\b", text, re.I)]
    finite = [each for each in (*_clock(text, found), *_in_words(text)) if math.isfinite(each.value)]
    return sorted(finite, key=lambda quantity: quantity.span)


def unit_spans(text: str) -> list[Span]:
    """Where units stand, "km/h" and "square feet" as one; a lone letter is one only behind a number."""
    words = re.finditer(r"(?:\b(?:square|cubic) )?(?P<unit>[A-Za-z°]+)(?:/[\w^/]+| per \w+|\^\d)*", text)
    return [
        hit.span()
        for hit in words
        if hit["unit"].lower() in UNIT_OF
        and (len(hit.group()) > 1 or re.search(r"\d\s?$", text[: hit.start()]))
    ]


def _heights(text: str, found: list[Quantity]) -> list[Quantity]:
    """5 ft 10 in is one length, in inches."""
    merged: list[Quantity] = []
    for each in found:
        last = merged[-1] if merged else None
        between = text[last.span[1] : each.span[0]] if last else ""
        after = text[each.span[1] : each.span[1] + 8]
        if last and FEET.fullmatch(between) and INCHES.match(after):
            merged[-1] = Quantity((last.span[0], each.span[1]), 12 * last.value + each.value, "inch")
        else:
            merged.append(each)
    return merged


def _coordinates(text: str, found: list[Quantity]) -> list[Quantity]:
    """33.4 N, 112.1 W are no newtons and watts; what lies in the south or west is below zero."""
    letters = {
        hit.span(number): hit[letter]
        for hit in COORDINATES.finditer(text)
        for number, letter in ((1, 2), (3, 4))
    }
    return [
        Quantity(each.span, each.value * (-1 if letters[each.span] in "SW" else 1), "degree")
        if each.span in letters
        else each
        for each in found
    ]


def _clock(text: str, found: list[Quantity]) -> list[Quantity]:
    """6:30 is six hours and thirty minutes; 6:30 pm and "at 6:30" are no quantities but a time of day."""
    units = {}
    pattern = r"\b(at |by |from |until |before |after )?(\d{1,2})(?::(\d{2}))?(\s?[ap]\.?m\b)?"
    for hit in re.finditer(pattern, text, re.I):
        if hit[4] or (hit[1] and hit[3]):
            units |= {hit.span(2): "clock", hit.span(3): "clock"}
        elif hit[3]:
            units |= {hit.span(2): "hour", hit.span(3): "minute"}
    return [Quantity(each.span, each.value, units.get(each.span, each.unit)) for each in found]


def _in_words(text: str) -> list[Quantity]:
    words = [(hit.start(), hit.end(), hit.group().lower()) for hit in re.finditer(r"[A-Za-z]+", text)]
    # Words with anything but a blank or a hyphen between them belong to different numbers.
    said: list[str] = []
    places: list[int] = []
    for i, (start, _, word) in enumerate(words):
        if i and not re.fullmatch(r"\s+|-", text[words[i - 1][1] : start]):
            said.append("")
            places.append(-1)
        said.append(word)
        places.append(i)
    found, i = [], 0
    while i < len(said):
        n, value = _number_at(said, i)
        if n:
            after = said[i + n] if i + n < len(said) else ""
            span = words[places[i]][0], words[places[i + n - 1]][1]
            found.append(Quantity(span, value, UNIT_OF.get(after)))
        i += n or 1
    return found


def _number_at(said: list[str], i: int) -> tuple[int, float]:
    """How many words from i on are a number, and which; (0, 0) if none.

    >>> _number_at("half a million".split(), 0), _number_at("two and a half cups".split(), 0)
    ((3, 500000.0), (4, 2.5))
    """
    start, whole, part, last = i, 0.0, 0.0, 1
    after = [*said[i + 1 :], "", ""]
    if said[i] == "half" and after[0] in ("a", "an"):
        return (
            (3, SCALES[after[1]] / 2) if after[1] in SCALES else (2, 0.5) if after[1] in UNIT_OF else (0, 0.0)
        )
    if said[i] in ("a", "an") and after[0] in SCALES:
        i += 1
    elif said[i] not in SMALL:
        return 0, 0.0
    while i < len(said) and (said[i] in SMALL or said[i] in SCALES):
        word = said[i]
        if word in SMALL:
            part += SMALL[word]
        elif word in ("hundred", "dozen"):
            part, last = max(part, 1) * SCALES[word], SCALES[word]
        else:
            whole, part, last = whole + max(part, 1) * SCALES[word], 0.0, SCALES[word]
        i += 1
        if word == "hundred" and said[i : i + 1] == ["and"] and i + 1 < len(said):
            i += said[i + 1] in SMALL  # two hundred and fifty
    if said[i : i + 3] == ["and", "a", "half"]:
        return i + 3 - start, whole + part + last / 2
    return i - start, whole + part


def runs(text: str, numbers: list[Quantity]) -> list[list[Quantity]]:
    """Numbers that are listed one after the other: `12, 15 and 18`."""
    groups: list[list[Quantity]] = []
    for number in numbers:
        between = text[groups[-1][-1].span[1] : number.span[0]] if groups else "new"
        if groups and re.fullmatch(
            r"(?:st|nd|rd|th)?[\s,;&%$€£°]*(?:[NSEW]\b)?[\s,]*(?:and|or|to|x|by)?[\s,;$€£\-−]*(?:[a-z]\s*=\s*[-−]?)?",
            between,
        ):
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
