"""What could fill a slot: numbers, lists and words of the question, each with a score in nats.

    >>> candidates(form, slot, scored)[0]
    Candidate(score=-1.4, value=20.0, span=(11, 13), cued=False)

A score is the model's log-likelihood of the words as the rest of the form's line, plus a few nats for what
the eye sees: a matching unit, the slot's name beside a number, a list where a list is wanted. The weights
were set on the development questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shared.embedded import words
from shared.embedded.fields import Form, Scored
from shared.embedded.quantities import FACTORS, REST, THOUSAND, UNIT_OF, Quantity, runs, unit_spans
from shared.embedded.slots import Slot, kind_of
from shared.embedded.spans import QUOTED, span_score, written
from shared.embedded.standards import (
    asks_currency,
    asks_date,
    asks_time,
    conform,
    currency_spans,
    dates,
    time_spans,
)
from shared.embedded.words import Span, as_words, overlaps, word_spans

NEAR = 1.5  # the slot's own name stands beside the number
UNIT = 3.0  # the number's unit is the one in the description; against another one
BROKEN = 6.0  # against a fraction where a whole number is wanted
LITERAL = 4.0  # a list that is written as one: [1, 2, 3]
ENUMERATED = 4.0  # several quotations in a row
IN_ROW = 2.0  # several numbers in a row
KNOWN = 4.0  # a currency where one is wanted
UNSEEN = -8.0  # where the model was not asked about the place


YEAR = re.compile(r"\byear\b", re.I)
SPEED = re.compile(r"\b(?:initial|start(?:ing)?) (?:velocity|speed)\b", re.I)
FORMULA = re.compile(r"\b(?:func(?:tion)?|equation|polynomial|expression|formula|integrand)$", re.I)
MONEY = re.compile(r"\b(?:amount|money|price|cost|budget|salary|sum)\b", re.I)


@dataclass(frozen=True)
class Candidate:
    """A value for a slot; without a span, that it is left out.

    `cued`: the slot's own words or unit stand beside it; `is_taken`: another slot has the same words.
    """

    score: float
    value: Any = None
    span: Span | None = None
    cued: bool = False
    is_taken: bool = False


def candidates(form: Form, slot: Slot, scored: list[Scored]) -> list[Candidate]:
    """Everything in the question that could be the value, in no order."""
    if slot.kind in ("integer", "number"):
        return _numbers(form, slot, scored)
    if slot.kind == "array":
        return _lists(form, slot, scored)
    if asks_currency(slot.standard):
        return _known(form, slot, scored, _currencies(form))
    if asks_time(slot.standard) and (times := time_spans(form.question)):
        said = [(span, form.question[slice(*span)]) for span in times]
        return _known(form, slot, scored, _conformed(slot, said))
    if asks_date(slot.standard) and (said := dates(form.question)):
        return _known(form, slot, scored, _conformed(slot, said))
    if FORMULA.search(as_words(slot.name)) and (formulas := words.formulas(form.question)):
        return _known(form, slot, scored, [(span, form.original[slice(*span)]) for span in formulas])
    if slot.is_unit and (units := unit_spans(form.question)):
        return _known(form, slot, scored, [(span, form.original[slice(*span)]) for span in units])
    found = []
    for each in scored[:40]:
        value = written(form, each.span, slot)
        found.append(Candidate(span_score(form, slot, each), value, each.span))
    return found


def _conformed(slot: Slot, said: list[tuple[Span, str]]) -> list[tuple[Span, str]]:
    """Dates or times of day, in the form that the description asks for."""
    return [(span, conform(text, slot.standard)) for span, text in said]


def _currencies(form: Form) -> list[tuple[Span, str]]:
    """Where currencies stand in the question; misspelt ones are looked for as they were mended."""
    there, mended = word_spans(form.question), word_spans(form.corrected)
    if len(there) != len(mended):
        return currency_spans(form.question)
    found = []
    for (start, end), code in currency_spans(form.corrected):
        words = [i for i, span in enumerate(mended) if overlaps(span, (start, end))]
        sign = not form.corrected[start:end].isascii() or "$" in form.corrected[start:end]
        span = (
            (start, end)
            if sign and form.question == form.corrected
            else (there[words[0]][0], there[words[-1]][1])
        )
        found.append((span, code))
    return found


def _known(form: Form, slot: Slot, scored: list[Scored], values: list[tuple[Span, str]]) -> list[Candidate]:
    """For a currency, a unit, a date or a time of day: those that stand in the question, and nothing else."""
    asked = {each.span: each for each in scored}
    found = []
    for span, value in values:
        within = max((each.ended for each in scored if overlaps(each.span, span)), default=UNSEEN)
        known = asked.get(span) or Scored(span, within, within)
        found.append(Candidate(span_score(form, slot, known) + KNOWN, value, span, cued=True))
    return found


def _numbers(form: Form, slot: Slot, scored: list[Scored]) -> list[Candidate]:
    wanted = units_of(slot.text)
    found = []
    at_rest = [each for each in form.quantities if each.unit == REST]
    moving = [each for each in form.quantities if each.unit != REST]
    for number in (SPEED.search(slot.text) and at_rest) or moving:
        word = next((w for w in form.words if w[0] <= number.span[0] < w[1]), None)
        # Up to the number, without the line break: a unit may follow.
        same = [
            each for each in scored if word and each.span[0] == word[0] and each.span[1] >= number.span[1]
        ]
        value = _converted(number, slot)
        if not same or (slot.schema.get("enum") and value not in slot.schema["enum"]):
            continue
        score = min(same, key=lambda each: each.span[1]).open
        beside = slot.is_beside(form.question, number.span)
        fits = number.unit in wanted or any((number.unit, each) in FACTORS for each in wanted)
        score += NEAR * beside
        if number.unit and wanted and (fits or number.unit != THOUSAND):
            score += UNIT if fits else -UNIT
        if slot.kind == "integer" and number.value != int(number.value):
            score -= BROKEN
        is_meant = bool(MONEY.search(slot.text) or (1500 < number.value < 2200 and YEAR.search(slot.text)))
        cued = beside or is_meant or (number.unit is not None and fits) or number.unit == REST
        found.append(Candidate(score, value, number.span, cued))
    return found


def units_of(text: str) -> set[str]:
    """The units that a description names."""
    text = re.sub(r"\w+(?:/| per )\w+", " ", text)  # "meters/second" is neither of the two
    found = re.findall(r"[a-z°$€%]+", text.lower())
    return {UNIT_OF[word] for word in found if word in UNIT_OF and len(word) > 1}


def _converted(number: Quantity, slot: Slot, kind: str = "") -> float | int:
    """The number in the slot's unit: hours as minutes, percents as a share unless percents are wanted."""
    value, kind, units = number.value, kind or slot.kind, units_of(slot.text)
    if len(units) == 1 and number.unit not in units:
        value = round(value * FACTORS.get((number.unit or "", next(iter(units))), 1), 9)
    is_share = re.search(r"0 to 1|\bdecimal\b|\bfraction\b", slot.description)
    wants_percent = re.search(r"percent|%", slot.description, re.I) and not is_share
    if number.is_percent and kind == "number" and not wants_percent:
        value /= 100
    return int(value) if value == int(value) and kind == "integer" else value


def _are_numbers(values: list[Any]) -> bool:
    """Whether all are numbers that a float can hold."""
    return all(type(value) in (int, float) and abs(value) < 1e300 for value in values)


def _lists(form: Form, slot: Slot, scored: list[Scored]) -> list[Candidate]:
    question, inner = form.question, kind_of(slot.schema.get("items") or {})
    by_start = {each.span[0]: each.open for each in sorted(scored, key=lambda s: -s.span[1])}

    def probable(span: Span) -> float:
        word = next((w for w in form.words if w[0] <= span[0] + 2 and w[1] > span[0]), None)
        score = by_start.get(word[0], UNSEEN) if word else UNSEEN
        return score + NEAR * slot.is_beside(question, span)

    found = []
    for span, value in words.literals(question):
        is_deep = bool(value) and isinstance(value[0], list)
        if is_deep == (inner == "array") and (inner != "string" or all(isinstance(v, str) for v in value)):
            value = [float(v) for v in value] if inner == "number" and _are_numbers(value) else value
            found.append(Candidate(probable(span) + LITERAL, value, span))
    if inner in ("integer", "number"):
        for run in runs(question, form.quantities):
            values = [_converted(number, slot, inner) for number in run]
            span = (run[0].span[0], run[-1].span[1])
            found.append(Candidate(probable(span) + IN_ROW * (len(run) > 1), values, span))
    elif inner != "array":
        for quoted in words.runs_of(question, form.quotations):
            items = [form.original[slice(*each)] for each in quoted]
            score = probable(quoted[0]) + QUOTED + ENUMERATED * (len(quoted) > 1)
            found.append(Candidate(score, items, (quoted[0][0], quoted[-1][1])))
        for start in by_start.keys() | set(words.item_starts(question)):
            span = words.enumeration(question, start)
            if span is None:
                continue
            items = [re.sub(r"^an? ", "", item) for item in words.listed(form.original[slice(*span)])]
            # Of two, an "and" may join whole clauses: names only.
            if len(items) > 2 or all(item[:1].isupper() for item in items):
                # From its first item on, it is as probable as from any other.
                inner_starts = [by_start[at] for at in by_start if span[0] <= at < span[1]]
                likely = max(inner_starts, default=UNSEEN) if start not in by_start else by_start[start]
                is_cut = re.search(r",\s*$", question[:start])
                score = likely + NEAR * slot.is_beside(question, span) + ENUMERATED * (not is_cut)
                found.append(Candidate(score, items, span))
        for each in scored[:40]:
            if each.span in form.quotations:
                continue  # each is one item, as it is
            score = span_score(form, slot, each, is_list=True)
            found.append(Candidate(score, words.listed(form.original[slice(*each.span)]), each.span))
    return found
