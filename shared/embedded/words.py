"""What can be seen in a question without a model: words, quotations, lists; numbers are in quantities.py.

    >>> listed("ham, olives and fresh basil")
    ['ham', 'olives', 'fresh basil']

Spans are (start, end) offsets of characters, so that what is taken from a question is taken letter by letter.
"""

from __future__ import annotations

import ast
import math
import re
from functools import lru_cache
from typing import Any

Span = tuple[int, int]

OPENING, CLOSING = "\"'“”‘’([{,;:!?¿¡*`<>", "\"'“”‘’)]},;:!?.*`<>"

# Words that carry grammar, not content: no name begins or ends with one.
GRAMMAR = """
a an the of for to in on at by with from and or is are am be was were will what how when where which who whose
why can could would should may might you i me my we us our it its this that these those there as do does did
please if then than into between about up using use given also them they their he she his her
"""
FUNCTION_WORDS = frozenset(GRAMMAR.split())
# Items of an enumeration are up to four words of content; "Washington D.C.," keeps its dot.
CONTENT = rf"(?!(?:{'|'.join(GRAMMAR.split())})\b)[\w'’&.-]*(?:\w|(?<=\w)\.(?=,))"
ITEM = rf"{CONTENT}(?: {CONTENT}){{0,3}}"
ENUMERATION = re.compile(rf"{ITEM}(?:, {ITEM})*,? (?:and|or) (?:an? )?{ITEM}|{ITEM}(?:, {ITEM}){{2,}}", re.I)


def stem(word: str) -> str:
    """Cut the commonest endings of English: enough to bring `prices` and `price` together."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not (ending == "s" and word[-2] == "s"):
            return word[: -len(ending)]  # "weakness" is no plural
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


def about(tool: dict[str, Any]) -> str:
    """A tool's name and description, as a text."""
    return f"{as_words(tool['name'])}. {' '.join((tool.get('description') or '').split())}"


def bag(tool: dict[str, Any]) -> frozenset[str]:
    """The stems of a tool's name, description and parameters."""
    return _bag(f"{about(tool)} {as_words(' '.join(tool['input_schema'].get('properties', {})))}")


@lru_cache(maxsize=1000)  # the same few tools are looked at for every piece of every question
def _bag(text: str) -> frozenset[str]:
    return frozenset(stems(text))


def word_spans(text: str) -> list[Span]:
    """Words without the punctuation around them; dotted abbreviations keep their last dot."""
    spans = []
    for found in re.finditer(r"\S+", text):
        start, end = found.span()
        while start < end and text[start] in OPENING:
            start += 1
        while end > start and text[end - 1] in CLOSING:
            if re.fullmatch(r"(?:[A-Za-z]\.)+|(?:St|Mt|Ft|Dr|Mr|Mrs)\.", text[start:end]) and end < len(text):
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
        value = _lists(value)
        if _is_json(value):
            found.append((hit.span(), value))
    return found


def _lists(value: Any) -> Any:
    return [_lists(each) for each in value] if isinstance(value, list | tuple) else value


def _is_json(value: Any) -> bool:
    """Python also reads sets, bytes, 1j, 1e999 and [...]."""
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value))


# Digits, operators, variables of one letter and the common functions, with blanks between them.
FORMULA = re.compile(
    r"(?<![-+*/^().\d²³])"
    r"(?:(?:[-+*/^().\d²³]|(?<![A-Za-z])(?:[a-z](?![A-Za-z])|sin|cos|tan|exp|log|ln|sqrt|pi))+"
    r"(?: (?=\S)|\b|(?<=[)²³])))+"
)


def formulas(text: str) -> list[Span]:
    """Where mathematical expressions stand: x^2 - 3x, sin(x); no bare numbers and no f(x)."""
    found = []
    for hit in FORMULA.finditer(text):
        said = hit.group().strip().rstrip(".")
        start = hit.start() + len(hit.group()) - len(hit.group().lstrip())
        has_operator = re.search(r"[\^*²³]|[\w)] ?[-+/] ?[\w(]|[a-z]{2}\(|\d[a-z]", said)
        if re.search(r"(?<![A-Za-z])[a-z](?![A-Za-z])", said) and has_operator:
            found.append((start, start + len(said)))
    return found


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


def enumeration(text: str, start: int) -> Span | None:
    """The enumeration that begins there, of items of a few words: "total points, assists, and win rate"."""
    hit = ENUMERATION.match(text, start)
    return hit.span() if hit else None


def item_starts(text: str) -> list[int]:
    """Where an enumeration may begin: at content behind punctuation or a word of grammar."""
    spans = word_spans(text)
    begins = [i == 0 or text[spans[i - 1][1] : start].strip() != "" for i, (start, _) in enumerate(spans)]
    grammar = [text[start:end].lower() in FUNCTION_WORDS for start, end in spans]
    return [start for i, (start, _) in enumerate(spans) if not grammar[i] and (begins[i] or grammar[i - 1])]


def listed(text: str) -> list[str]:
    """The items of an enumeration: `ham, olives and fresh basil`."""
    items = re.split(r",\s*(?:and\s+|or\s+)?|\s+and\s+|\s+or\s+|;\s*|\s+&\s+", text)
    return [item for item in (each.strip(OPENING + CLOSING + " ") for each in items) if item]
