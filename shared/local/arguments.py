"""Fill a tool's arguments from a question: words of the question only, rules for numbers, flags and options.

    >>> fill(form, {"properties": {"city": {"type": "string"}}, "required": ["city"]})
    {'city': 'new york'}

Every field proposes candidates with a score (the model's log-likelihood, plus a few nats for what the eye sees:
a quotation, a matching unit, the field's name beside the number); then one beam search assigns them, so that
two fields do not take the same words. The weights below were set on the development questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shared.local import words
from shared.local.fields import Form
from shared.local.standards import conform, date_spans
from shared.local.words import FUNCTION_WORDS, Quantity, Span, as_words, overlaps, stem

ABSENT = 2.0  # in favour of leaving out an optional argument
QUOTED = 3.0  # a span that is a quotation; against one that cuts through a quotation
FUNCTION = 2.5  # against a span that begins or ends with "the", "of", ...
NUMERAL = 3.0  # against a bare number where words are wanted
NEAR = 1.5  # the field's own name stands beside the number
NEAR_WORDS = 0.5  # the same for words
UNIT = 3.0  # the number's unit is the one in the description; against another one
CUT_NAME = 1.0  # against a span that leaves the first half of a capitalised name behind
TAKEN = 8.0  # against words that another field has taken
UNCUED = 3.0  # against a number for an optional argument that nothing in the question names
ECHO = 3.0  # against a span that only repeats the field's or the tool's own name
EXAMPLE = 1.5  # the description gives these very words as an example
LISTED = 3.0  # a whole enumeration where a list is wanted; against a piece of one
WHOLE_DATE = 2.0  # a complete date where a date is wanted; against a part of one
DIRECTION = 2.0  # "from" before what the field calls the source, "to" before the target; against the reverse
A_UNIT = 2.0  # against words that are the unit of a number
SYMBOL = 2.0  # capitals only, where a symbol or code is wanted
IN_ORDER = 0.5  # two numbers in the order of their fields

NEGATION = re.compile(
    r"\b(?:not|no|without|exclude|excluding|never|except|skip|don't|dont|disable|off|few|lacks?|isn't|doesn't)\b",
    re.I,
)
# Words of a flag's name that say nothing about when to set it.
FLAG_WORDS = {
    stem(w)
    for w in [
        "include",
        "is",
        "get",
        "show",
        "return",
        "whether",
        "flag",
        "option",
        "enable",
        "has",
        "use",
        "with",
        "only",
        "info",
        "data",
        "should",
        "be",
    ]
}
LISTED_OPTIONS = re.compile(
    r"(?:options?|values?|one of|following|choose from|choices)[^\[:.]*[:\[]\s*([\w%+/ -]+(?:[|,][\w%+/ -]+)+)",
    re.I,
)
CLOSED = re.compile(
    r"['\"`],? or ['\"`]|(?:either|can be|could be|must be|one of|options?:|choose|values?(?: include| are)?:?)\b[^.]*['\"`]",
    re.I,
)
SOURCE = re.compile(r"\b(?:from|source|origin|start|starting|departure|base|original)\b")
TARGET = re.compile(r"\b(?:to|target|destination|end|ending|arrival)\b")
TAKES_NUMERALS = re.compile(
    r"\bids?\b|number|code|date|year|time|phone|zip|postal|period|duration|version|coordinate|latitude|longitude",
    re.I,
)


@dataclass(frozen=True)
class Candidate:
    score: float
    value: Any = None
    span: Span | None = None  # None: the argument is left out
    cued: bool = False  # the field's own words or unit stand beside it


def fill(form: Form, schema: dict[str, Any], about: str = "") -> dict[str, Any]:
    """Arguments for an object schema; a required argument that the question does not give is missing.

    `about` is the tool's name and description: what the whole question is about tells no field from another.
    """
    required = set(schema.get("required", []))
    arguments: dict[str, Any] = {}
    open_fields: list[tuple[str, dict[str, Any], str]] = []
    cues = _cues(schema.get("properties", {}), about)
    for name, field in schema.get("properties", {}).items():
        kind = kind_of(field)
        if kind == "boolean":
            flag = _flag(form, name, name in required)
            arguments |= {} if flag is None else {name: flag}
        elif kind == "object" and field.get("properties"):
            inner = fill(form, field, about)
            arguments |= {name: inner} if inner or name in required else {}
        else:
            open_fields.append((name, field, kind))
    if open_fields:
        arguments |= _assign(form, open_fields, required, cues, about)
    return {name: arguments[name] for name in schema.get("properties", {}) if name in arguments}


def kind_of(field: dict[str, Any]) -> str:
    """The JSON type, without null."""
    kinds = field.get("type") or [each.get("type", "string") for each in field.get("anyOf", [{}])]
    return (
        kinds
        if isinstance(kinds, str)
        else next((kind for kind in kinds if kind and kind != "null"), "string")
    )


def header(name: str, field: dict[str, Any]) -> str:
    """How the form names a field: `city (The city to look in)`; remarks on defaults are left out."""
    description = re.split(
        r"(?<=[a-z)])\.\s|[,.]?\s*\(?\b(?:[Dd]efaults?|[Oo]ptional)\b", field.get("description") or ""
    )[0]
    description = description.strip(" .(")[:160]
    return f"{as_words(name)} ({description})" if description else as_words(name)


def _cues(fields: dict[str, dict[str, Any]], about: str) -> dict[str, set[str]]:
    """The words that tell a field from its neighbours: of its name, and of its description alone."""
    names = {name: set(words.stems(as_words(name))) for name in fields}
    texts = {name: names[name] | set(words.stems(header(name, field))) for name, field in fields.items()}
    common = set(words.stems(as_words(about)))
    cues = {}
    for name in fields:
        others = set().union(*(texts[other] for other in fields if other != name))
        cues[name] = {s for s in texts[name] - others - (common - names[name]) if len(s) > 1}
    return cues


def _mentions(form: Form, wanted: set[str]) -> list[Span]:
    """Where words with these stems stand in the question."""
    found = re.finditer(r"[^\W\d_]+", form.question)
    return [hit.span() for hit in found if any(_alike(stem(hit.group().lower()), s) for s in wanted)]


def _alike(a: str, b: str) -> bool:
    return a == b or (min(len(a), len(b)) > 4 and a[:5] == b[:5])


def _flag(form: Form, name: str, required: bool) -> bool | None:
    places = _mentions(form, set(words.stems(as_words(name))) - FLAG_WORDS)
    if not places:
        return True if required else None
    return not any(NEGATION.search(form.question[max(0, start - 25) : start]) for start, _ in places)


def options_of(field: dict[str, Any]) -> tuple[list[Any], bool]:
    """The enum, or the values that the description lists; and whether there can be no others."""
    if field.get("enum"):
        return [option for option in field["enum"] if option is not None], True
    text = field.get("description") or ""
    listed = LISTED_OPTIONS.search(text)
    if listed:
        return [option.strip() for option in re.split(r"[|,]", listed[1]) if option.strip()], True
    quoted = re.findall(
        r"(?<!\w)['\"`]([^'\"`]{1,30})['\"`](?!\w)", re.split(r"[,.]?\s*\(?\b[Dd]efault", text)[0]
    )
    open_ended = re.search(r"e\.g|such as|for (?:example|instance)|like ['\"`]", text, re.I)
    return (quoted, bool(CLOSED.search(text))) if len(quoted) > 1 and not open_ended else ([], False)


def _option(form: Form, field: dict[str, Any], label: str, required: bool) -> Any:
    """The option that the question names; without a name the most probable one, if there must be one."""
    (options, closed), said = options_of(field), form.question.lower()
    present = {stem(word) for word in words.plain_words(said)}
    named = []
    for option in options:
        text = as_words(str(option))
        if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said):
            named.append((10 + len(text), option))
        elif len(text) > 2 and re.search(rf"\b{re.escape(text)}", said):  # asc, ascending
            named.append((1, option))
        elif (parts := words.plain_words(text)) and all(stem(part) in present for part in parts):
            named.append((len(parts), option))
    if not named and field.get("description"):
        standard = {conform(form.question[start:end], field["description"]) for start, end in form.words}
        named = [(1, option) for option in options if option in standard]
    if named:
        return max(named, key=lambda each: each[0])[1]
    if not required or not closed:
        return None
    scores = form.choose(label, [str(option) for option in options])
    return options[max(range(len(options)), key=scores.__getitem__)]


def _assign(
    form: Form,
    fields: list[tuple[str, dict[str, Any], str]],
    required: set[str],
    cues: dict[str, set[str]],
    about: str,
) -> dict[str, Any]:
    labels = [header(name, field) for name, field, _ in fields]
    arguments: dict[str, Any] = {}
    proposals: list[tuple[str, list[Candidate], bool]] = []
    for (name, field, kind), label, (scored, absent) in zip(fields, labels, form.score(labels), strict=True):
        near = _mentions(form, cues[name])
        context = f"{as_words(about)} {' '.join(as_words(other) for other, *_ in fields)}"
        echo = (set(words.stems(as_words(name))), set(words.stems(context)))
        if kind == "string" and options_of(field)[0]:
            option = _option(form, field, label, name in required)
            if option is not None or field.get("enum"):
                arguments |= {} if option is None else {name: option}
                continue
        if kind in ("integer", "number"):
            candidates = _numbers(form, name, field, kind, scored, near)
        elif kind == "array":
            candidates = _arrays(form, name, field, scored, near)
        else:
            candidates = _strings(form, name, field, scored, near, echo)
        if name not in required:
            extra = UNCUED if kind in ("integer", "number") else 0.0
            candidates = [c for c in candidates if c.score - extra * (not c.cued) > absent + ABSENT]
            candidates.append(Candidate(absent + ABSENT))
        if candidates:
            proposals.append((name, candidates, kind in ("integer", "number")))
    return arguments | _beam(proposals)


def _beam(proposals: list[tuple[str, list[Candidate], bool]], width: int = 40) -> dict[str, Any]:
    beams: list[tuple[float, dict[str, Any], list[Span], int]] = [(0.0, {}, [], -1)]
    for name, candidates, is_number in proposals:
        grown = []
        for total, chosen, used, last in beams:
            for each in sorted(candidates, key=lambda c: -c.score)[:8]:
                if each.span is None:
                    grown.append((total + each.score, chosen, used, last))
                    continue
                score = total + each.score - TAKEN * any(overlaps(each.span, taken) for taken in used)
                place = last
                if is_number:
                    score += IN_ORDER * (each.span[0] > last)
                    place = each.span[0]
                grown.append((score, {**chosen, name: each.value}, [*used, each.span], place))
        beams = sorted(grown, key=lambda beam: -beam[0])[:width]
    return beams[0][1]


def _numbers(
    form: Form, name: str, field: dict[str, Any], kind: str, scored: list[Any], near: list[Span]
) -> list[Candidate]:
    description = field.get("description") or ""
    wanted = _units(f"{as_words(name)} {description}")
    at = {each.span[0]: each for each in sorted(scored, key=lambda s: -s.span[1])}  # shortest span per start
    candidates = []
    for number in form.quantities:
        word = next((w for w in form.words if w[0] <= number.span[0] < w[1]), None)
        if word is None or word[0] not in at:
            continue
        score = _open(scored, word, number)
        score += NEAR * _beside(form, number.span, near)
        if field.get("enum") and _converted(number, kind, description) not in field["enum"]:
            continue
        if number.unit and wanted:
            score += UNIT if number.unit in wanted or (number.unit, "day") == ("week", *wanted) else -UNIT
        if kind == "integer" and number.value != int(number.value):
            score -= 6
        cued = _beside(form, number.span, near) or bool(number.unit and number.unit in wanted)
        candidates.append(Candidate(score, _converted(number, kind, description), number.span, cued))
    return candidates


def _open(scored: list[Any], word: Span, number: Quantity) -> float:
    """log P(number | field), without the line break: a unit may follow."""
    same = [each for each in scored if each.span[0] == word[0] and each.span[1] >= number.span[1]]
    return min(same, key=lambda each: each.span[1]).open if same else -20.0


def _units(text: str) -> set[str]:
    return {
        words.UNIT_OF[word]
        for word in re.findall(r"[a-z°$€%]+", text.lower())
        if word in words.UNIT_OF and len(word) > 1
    }


def _converted(number: Quantity, kind: str, description: str) -> float | int:
    value = number.value
    if number.unit == "week" and _units(description) == {"day"}:
        value *= 7
    if (
        number.is_percent
        and kind == "number"
        and (not re.search(r"percent|%", description, re.I) or re.search(r"0 to 1", description))
    ):
        value /= 100
    return int(value) if value == int(value) and kind == "integer" else value


def _beside(form: Form, span: Span, near: list[Span]) -> bool:
    """Is a cue the nearest thing before the span ("radius of 5"), or right behind it ("5 rooms")?"""
    for start, end in near:
        between = form.question[end : span[0]]
        if 0 <= span[0] - end < 30 and not re.search(r"\d|[.;?!]\s", between):
            return True
        if 0 <= start - span[1] < 10 and not re.search(r"\d|[.,;?!]\s", form.question[span[1] : start]):
            return True
    return False


def _arrays(
    form: Form, name: str, field: dict[str, Any], scored: list[Any], near: list[Span]
) -> list[Candidate]:
    inner = kind_of(field.get("items") or {})
    candidates = []
    by_start = {each.span[0]: each.open for each in sorted(scored, key=lambda s: -s.span[1])}

    def probable(span: Span) -> float:
        word = next((w for w in form.words if w[0] <= span[0] + 2 and w[1] > span[0]), None)
        score = by_start.get(word[0], -8.0) if word else -8.0
        return score + NEAR * _beside(form, span, near)

    for span, value in words.literals(form.question):
        deep = bool(value) and isinstance(value[0], list)
        fits = deep == (inner == "array") and (inner != "string" or all(isinstance(v, str) for v in value))
        if fits:
            candidates.append(Candidate(probable(span) + 4, value, span))
    if inner in ("integer", "number"):
        for run in words.runs(form.question, form.quantities):
            values = [_converted(number, inner, field.get("description") or "") for number in run]
            span = (run[0].span[0], run[-1].span[1])
            candidates.append(Candidate(probable(span) + 2 * (len(run) > 1), values, span))
    elif inner != "array":
        for run in words.runs_of(form.question, form.quotations):
            items = [form.question[slice(*each)] for each in run]
            candidates.append(
                Candidate(probable(run[0]) + 4 * (len(run) > 1), items, (run[0][0], run[-1][1]))
            )
        candidates += [
            Candidate(each.score, words.listed(form.question[slice(*each.span)]), each.span)
            for each in _strings(form, name, field, scored, near, (set(), set()), is_list=True)
            if each.span
        ]
    return candidates


def _strings(
    form: Form,
    name: str,
    field: dict[str, Any],
    scored: list[Any],
    near: list[Span],
    echo: tuple[set[str], set[str]],
    is_list: bool = False,
) -> list[Candidate]:
    question, description = form.question, field.get("description") or ""
    dates = (
        date_spans(question) if re.search(r"\bdate|\bday\b", f"{as_words(name)} {description}", re.I) else []
    )
    source, target = SOURCE.search(as_words(name)), TARGET.search(as_words(name))
    asks_unit = re.search(r"\bunit", f"{as_words(name)} {description}", re.I)
    examples = "".join(
        re.split(r"e\.g|i\.e|such as|\blike\b|example|instance|:", description, maxsplit=1)[1:]
    )
    symbol = re.search(r"symbol|ticker|\bcode\b", f"{as_words(name)} {description}", re.I)
    numerals = TAKES_NUMERALS.search(f"{as_words(name)} {description}")
    places = re.search(r"[A-Z][\w ]+, [A-Z]|state|country|format", description)
    candidates = []
    for each in scored[:40]:
        start, end = each.span
        text, score = question[start:end], each.ended
        parts = text.lower().split()
        if each.span in form.quotations:  # a long one would pay for each of its words
            score = max(score, -6.0) + QUOTED
        elif any(overlaps(each.span, quoted) for quoted in form.quotations):
            score -= QUOTED
        if len(parts) > 1 and (parts[0] in FUNCTION_WORDS or parts[-1] in FUNCTION_WORDS):
            score -= FUNCTION
        if all(part in FUNCTION_WORDS for part in parts):
            score -= 6
        if re.fullmatch(r"[\d.,$%:-]+", text) and not numerals:
            score -= NUMERAL
        if not is_list and each.span not in form.quotations and re.search(r",| and ", text) and not places:
            score -= 1
        if re.search(r"(?<![.?!] )(?<!^)\b(?!I )[A-Z][\w.'&-]* $", question[:start]):
            score -= CUT_NAME
        if each.span not in form.quotations and (own := set(words.stems(text))):
            score -= ECHO * (own <= echo[0]) or ECHO / 2 * (own <= echo[0] | echo[1])
        if len(text) > 2 and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", examples, re.I):
            score += EXAMPLE
        before = question[:start].lower().split()[-1:]
        if source or target:
            counted = any(0 <= start - q.span[1] < 3 for q in form.quantities)  # 500 US dollars
            leads = before == ["from"] or counted
            follows = before in (["to"], ["into"], ["many"], ["much"])
            score += DIRECTION * (leads - follows) * (1 if source else -1)
        if (
            parts[0] in words.UNIT_OF
            and not asks_unit
            and any(q.unit == words.UNIT_OF[parts[0]] and 0 <= start - q.span[1] < 3 for q in form.quantities)
        ):
            score -= A_UNIT
        if (
            re.search(r"\be-?mail\b", description, re.I)
            and re.search(r"address", description, re.I)
            and "@" not in text
        ):
            score -= 6
        if is_list:
            whole = bool(re.search(r",| and | or ", text))
            cut = re.match(r"\s*(?:,|and\b|or\b)", question[end:]) or re.search(
                r"(?:,|\band|\bor)\s*$", question[:start]
            )
            score += LISTED * (whole and not cut) - LISTED * bool(cut)
        if any(overlaps(each.span, date) for date in dates):
            score += WHOLE_DATE if each.span in dates else -WHOLE_DATE
        if symbol and re.fullmatch(r"[A-Z]{2,5}(?:\.[A-Z])?", text):
            score += SYMBOL
        if near and _beside(form, each.span, near):
            score += NEAR_WORDS
        candidates.append(
            Candidate(score, text if is_list else _said(text, question, end, description), each.span)
        )
    return candidates


def _said(text: str, question: str, end: int, description: str) -> str:
    """The words of the question, in the form that the description asks for."""
    if re.search(r"[A-Z][\w ]+, [A-Z]{2}\b|city,? (?:and )?(?:state|country)", description, re.I):
        more = re.match(r"(, [A-Z][\w.]*(?: [A-Z]\w+)?)", question[end:])
        text += more[1].rstrip(".") if more else ""
    return conform(text, description)
