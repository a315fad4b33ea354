"""What can be seen in a question without a model: words, quotations, numbers with their units, lists.

    >>> [q.value for q in quantities("5,000 Euros for thirty days at 2.5%")]
    [5000.0, 30.0, 2.5]

Spans are (start, end) offsets of characters, so that what is taken from a question is taken letter by letter.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int]

OPENING, CLOSING = "\"'“”‘’([{,;:!?¿¡*`<>", "\"'“”‘’)]},;:!?.*`<>"

# Words that carry grammar, not content: no name begins or ends with one.
FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "for",
        "to",
        "in",
        "on",
        "at",
        "by",
        "with",
        "from",
        "and",
        "or",
        "is",
        "are",
        "am",
        "be",
        "was",
        "were",
        "will",
        "what",
        "how",
        "when",
        "where",
        "which",
        "who",
        "whose",
        "why",
        "can",
        "could",
        "would",
        "should",
        "may",
        "might",
        "you",
        "i",
        "me",
        "my",
        "we",
        "us",
        "our",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "there",
        "as",
        "do",
        "does",
        "did",
        "please",
        "if",
        "then",
        "than",
        "into",
        "between",
        "about",
        "up",
        "using",
        "use",
        "given",
        "also",
    ]
)
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
)
ONES += "seventeen eighteen nineteen"
SMALL = {word: number for number, word in enumerate(ONES.split())}
SMALL |= {"twice": 2}
SMALL |= {
    w: 10 * i
    for i, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "k": 10**3,
    "bn": 10**9,
    "m": 10**6,
}

# Spellings of the units that questions and descriptions use, by one name.
UNITS = {
    "metre": "m meter meters metre metres", "centimetre": "cm centimeter centimeters centimetre centimetres",
    "millimetre": "mm millimeter millimeters", "kilometre": "km kilometer kilometers kilometre kilometres",
    "foot": "ft foot feet", "inch": "inch inches", "mile": "mile miles mi", "yard": "yard yards",
    "kilogram": "kg kgs kilogram kilograms kilo kilos", "gram": "g gram grams", "pound": "lb lbs pound pounds",
    "second": "s sec secs second seconds", "minute": "min mins minute minutes", "hour": "h hr hrs hour hours",
    "day": "day days", "week": "week weeks", "month": "month months", "year": "year years yr yrs",
    "dollar": "$ dollar dollars usd", "euro": "€ euro euros eur", "percent": "% percent percentage",
    "degree": "° degree degrees", "kelvin": "k kelvin", "celsius": "°c celsius", "joule": "j joule joules",
    "newton": "n newton newtons", "volt": "v volt volts", "ampere": "a amp amps ampere amperes",
    "ohm": "ohm ohms", "coulomb": "c coulomb coulombs", "pascal": "pa pascal pascals", "hertz": "hz hertz",
    "watt": "w watt watts", "tesla": "t tesla teslas", "calorie": "kcal calorie calories",
}  # fmt: skip
UNIT_OF = {spelling: unit for unit, spellings in UNITS.items() for spelling in spellings.split()}

NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-−+])?(?P<money>[$€£¥₹])?\s?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)"
    r"(?:\s?(?P<scale>[kK]|[bB]n|[mM]|thousand|million|billion|hundred)\b)?(?P<percent>\s?(?:%|percent\b))?"
    r"(?:st|nd|rd|th)?(?P<after>[\s-]?[A-Za-z°$€£%²/^]+)?"
)


def stem(word: str) -> str:
    """Cut the commonest endings of English: enough to bring `prices` and `price` together."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def plain_words(text: str) -> list[str]:
    """Lower-case words and numbers; camelCase, snake_case and dotted names come apart."""
    return re.findall(r"[^\W\d_]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())


def stems(text: str) -> list[str]:
    """Stems of the content words, in order."""
    return [stem(word) for word in plain_words(text) if word not in FUNCTION_WORDS]


def as_words(name: str) -> str:
    """`getStockPrice` and `get_stock_price` as a person would say them."""
    return re.sub(r"[_.\-]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", name)).lower().strip()


def word_spans(text: str) -> list[Span]:
    """Words without the punctuation around them; dotted abbreviations keep their last dot."""
    spans = []
    for found in re.finditer(r"\S+", text):
        start, end = found.span()
        while start < end and text[start] in OPENING:
            start += 1
        while end > start and text[end - 1] in CLOSING:
            if re.fullmatch(r"(?:[A-Za-z]\.)+", text[start:end]):
                break
            end -= 1
        if end - 2 > start and text[end - 2 : end] in ("'s", "’s") and text[end:].strip():
            spans.append((start, end - 2))
        elif end > start:
            spans.append((start, end))
    return spans


def quotations(text: str) -> list[Span]:
    """What stands in quotation marks, without them."""
    marks = r"(?<!\w)(?:\"([^\"]+)\"|“([^”]+)”|‘([^’]+)’|`([^`]+)`|'((?:[^']|(?<=\w)'(?=\w))+)')(?!\w)"
    return [found.span(found.lastindex or 0) for found in re.finditer(marks, text)]


def overlaps(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


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
    """All numbers, in digits or in words, in order."""
    found = []
    for hit in NUMBER.finditer(text):
        value = float(hit["digits"].replace(",", ""))
        scale, after = (hit["scale"] or "").lower(), (hit["after"] or "").strip(" -").lower()
        unit = UNIT_OF.get(hit["money"] or "") or ("percent" if hit["percent"] else UNIT_OF.get(after))
        if scale == "m" and not hit["money"]:
            unit = "metre"
        elif scale:
            value *= SCALES[scale]
        if hit["sign"] in ("-", "−"):
            value = -value
        found.append(Quantity(hit.span("digits"), value, unit))
    found += [
        Quantity(hit.span(2), 1.0, UNIT_OF[hit[2].lower()])
        for hit in re.finditer(
            r"\b(next|coming|upcoming|past|last|previous) (day|week|month|year)\b", text, re.I
        )
    ]
    return sorted([*_clock(text, found), *_in_words(text)], key=lambda quantity: quantity.span)


def _clock(text: str, found: list[Quantity]) -> list[Quantity]:
    """6:30 is six hours and thirty minutes."""
    units = {}
    for hit in re.finditer(r"\b(\d{1,2}):(\d{2})\b", text):
        units |= {hit.span(1): "hour", hit.span(2): "minute"}
    return [Quantity(each.span, each.value, units.get(each.span, each.unit)) for each in found]


def _in_words(text: str) -> list[Quantity]:
    words = [(hit.start(), hit.end(), hit.group().lower()) for hit in re.finditer(r"[A-Za-z]+", text)]
    found, i = [], 0
    while i < len(words):
        if words[i][2] not in SMALL:
            i += 1
            continue
        first, whole, part = i, 0, 0
        while i < len(words) and (words[i][2] in SMALL or words[i][2] in SCALES):
            if i > first and not re.fullmatch(r"\s+|-", text[words[i - 1][1] : words[i][0]]):
                break
            word = words[i][2]
            if word in SMALL:
                part += SMALL[word]
            elif word == "hundred":
                part = max(part, 1) * 100
            else:
                whole, part = whole + max(part, 1) * SCALES[word], 0
            i += 1
            if word == "hundred" and [w[2] for w in words[i : i + 1]] == ["and"] and words[i + 1 : i + 2]:
                i += words[i + 1][2] in SMALL  # two hundred and fifty
        after = words[i][2] if i < len(words) else ""
        found.append(Quantity((words[first][0], words[i - 1][1]), float(whole + part), UNIT_OF.get(after)))
    return found


def literals(text: str) -> list[tuple[Span, Any]]:
    """Lists written as such: [1, 2], [[1, 2], [3, 4]], and runs of pairs: (1,2), (3,4)."""
    found = []
    for hit in re.finditer(
        r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|\([^()]*,[^()]*\)(?:\s*,?\s*(?:and\s+)?\([^()]*,[^()]*\))+|\([^()]*,[^()]*\)",
        text,
    ):
        source = re.sub(r"\)\s*,?\s*(?:and\s+)?\(", "), (", hit.group())
        try:
            value = ast.literal_eval(source)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        found.append((hit.span(), _lists(value)))
    return found


def _lists(value: Any) -> Any:
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value


def runs_of(text: str, spans: list[Span]) -> list[list[Span]]:
    """Quotations that are listed one after the other."""
    groups: list[list[Span]] = []
    for span in spans:
        between = text[groups[-1][-1][1] : span[0]] if groups else "new"
        if groups and re.fullmatch(r"[\s,;'\"“”‘’`]*(?:and|or)?[\s'\"“”‘’`]*", between):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def runs(text: str, numbers: list[Quantity]) -> list[list[Quantity]]:
    """Numbers that are listed one after the other: `12, 15 and 18`."""
    groups: list[list[Quantity]] = []
    for number in numbers:
        between = text[groups[-1][-1].span[1] : number.span[0]] if groups else "new"
        if groups and re.fullmatch(
            r"[\s,;&%$€£°]*(?:[NSEW]\b)?[\s,]*(?:and|or|to)?[\s,;$€£\-−]*(?:[a-z]\s*=\s*[-−]?)?", between
        ):
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def listed(text: str) -> list[str]:
    """The items of an enumeration: `ham, olives and fresh basil`."""
    items = re.split(r",\s*(?:and\s+|or\s+)?|\s+and\s+|\s+or\s+|;\s*|\s+&\s+", text)
    return [item for item in (each.strip(OPENING + CLOSING + " ") for each in items) if item]
