"""Fill a tool's arguments from a question: words of the question only, rules for numbers, flags and options.

    >>> fill(form, {"properties": {"city": {"type": "string"}}, "required": ["city"]})
    Filled(arguments={'city': 'new york'}, margins={'city': 9.2})

The one thing that is not in the question is where a city lies, if both are wanted (places.py).
Every slot has candidates with scores in nats (candidates.py); one beam search assigns them, so that two slots
do not take the same words. A margin says by how many nats a value is ahead of "not given".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from shared.embedded import options, words
from shared.embedded.candidates import Candidate, candidates, units_of
from shared.embedded.fields import Form
from shared.embedded.quantities import UNIT_OF, runs
from shared.embedded.slots import Slot, slots
from shared.embedded.spans import placed, repeats
from shared.embedded.standards import date_spans
from shared.embedded.words import Span, overlaps

ABSENT = 2.0  # in favour of leaving out an optional argument
CUED = 3.0  # for what stands beside the slot's own words or unit
UNCUED = 3.0  # against a number for an optional argument that nothing in the question names
TAKEN = 8.0  # against words that another slot has taken
IN_ROW = 3.0  # as many numbers in a row as there are slots for them: to each its own
IN_ORDER = 0.5  # two numbers in the order of their slots
WIDTH, BREADTH = 40, 8  # of the beam: assignments that are kept, candidates tried for each slot


@dataclass
class Filled:
    """Arguments, and for each by how many nats it is ahead of "not given" (or was guessed: negative)."""

    arguments: dict[str, Any] = field(default_factory=dict)
    margins: dict[str, float] = field(default_factory=dict)

    def put(self, name: str, value: Any, margin: float) -> None:
        self.arguments[name], self.margins[name] = value, margin


def fill(form: Form, schema: dict[str, Any], about: str = "", partial: bool = False) -> Filled:
    """Arguments for an object schema; a required one for which the question has no words at all is missing.

    `about` is the tool's name and description: what the whole question is about tells no slot from another.
    `partial`: the text is only a piece of a question, so required ones may be left out, too.
    """
    filled, still_open = Filled(), []
    taken: dict[str, list[Any]] = {}  # by options: what slots that share them have got
    for slot in slots(schema, about):
        if slot.kind == "boolean":
            flag = options.flag(form, slot)
            if flag is not None:
                filled.put(slot.name, *flag)
        elif slot.kind == "object" and slot.schema.get("properties"):
            inner = fill(form, slot.schema, about, partial)
            if inner.arguments or slot.required:
                filled.put(slot.name, inner.arguments, min(inner.margins.values(), default=options.UNSURE))
        elif slot.kind == "string" and (named := options.choose(form, slot, taken.get(_options(slot), ()))):
            filled.put(slot.name, *named)
            taken.setdefault(_options(slot), []).append(named[0])
        elif slot.kind == "string" and options.options_of(slot.schema)[1]:
            continue  # there are no other values
        elif slot.kind == "array" and (slot.schema.get("items") or {}).get("enum"):
            items = options.named_options(form, replace(slot, schema=slot.schema["items"]), several=True)
            if items:
                filled.put(slot.name, list(dict.fromkeys(option for _, option in items)), options.SURE)
        else:
            still_open.append(slot)
    if still_open:
        _assign(form, still_open, filled, partial)
    order = list(schema.get("properties", {}))
    filled.arguments = {name: filled.arguments[name] for name in order if name in filled.arguments}
    return filled


def _options(slot: Slot) -> str:
    return str(options.options_of(slot.schema)[0])


def _assign(form: Form, wanted: list[Slot], filled: Filled, partial: bool) -> None:
    proposals: list[tuple[Slot, list[Candidate]]] = []
    absence, slot_of = {}, {slot.name: slot for slot in wanted}
    in_row = _in_row(form, wanted)
    # What an option has been named by is no value of another slot: "in Fahrenheit" is no city.
    chosen = {str(filled.arguments[name]).lower() for name, margin in filled.margins.items() if margin > 0}
    # Kilograms that the weight is asked in are not the unit of the result.
    units = set().union(*(units_of(slot.text) for slot in wanted if slot.kind in ("integer", "number")))
    for slot, (scored, absent) in zip(wanted, form.score([slot.label for slot in wanted]), strict=True):
        found, absence[slot.name] = candidates(form, slot, scored), absent
        found = [each for each in found if str(each.value).lower() not in chosen]
        found = [
            replace(each, score=each.score + IN_ROW, cued=True)
            if each.span == in_row.get(slot.name, ())
            else each
            for each in found
        ]
        if not slot.required:
            found = [each for each in found if not _is_elsewhere(slot, each, units)]
            bar = absent + ABSENT + (UNCUED if slot.kind in ("integer", "number") else 0.0)
            found = [each for each in found if each.cued or each.score > bar]
            found = [
                replace(each, score=max(each.score, bar) + CUED) if each.cued else each for each in found
            ]
            found.append(Candidate(absent + ABSENT))
        elif partial:
            found.append(Candidate(absent))
        if found:
            proposals.append((slot, found))
    for name, chosen in _beam(proposals).items():
        if chosen.span is None:
            continue
        margin = chosen.score - absence[name]
        if repeats(slot_of[name], str(chosen.value)):  # "Will it rain?" names no city "rain"
            margin = min(margin, options.UNSURE)
        value = chosen.value
        if slot_of[name].kind == "string":
            value = placed(form, slot_of[name], value, chosen.is_taken)
        filled.put(name, value, min(margin, options.UNSURE) if chosen.is_taken else margin)


def _is_elsewhere(slot: Slot, candidate: Candidate, units: set[str]) -> bool:
    """Whether words say nothing of an optional slot: they are the tool's own, or the unit of a number."""
    if slot.kind != "string":
        return False
    value = str(candidate.value)
    says_nothing = repeats(slot, value) or not words.stems(value)
    return (says_nothing and not candidate.cued) or (slot.is_unit and UNIT_OF.get(value.lower()) in units)


def _in_row(form: Form, wanted: list[Slot]) -> dict[str, Span]:
    """Which number is whose where they are listed and there is one for each slot: "the point (9, 12, 15)"."""
    names = [slot.name for slot in wanted if slot.kind in ("integer", "number")]
    rows = [
        run
        for run in runs(form.question, form.quantities)
        if len(run) == len(names) > 1 and not any(overlaps(run[0].span, d) for d in date_spans(form.question))
    ]
    return {name: number.span for name, number in zip(names, rows[0], strict=True)} if len(rows) == 1 else {}


def _beam(proposals: list[tuple[Slot, list[Candidate]]]) -> dict[str, Candidate]:
    """One candidate a slot, the best together."""
    beams: list[tuple[float, dict[str, Candidate], int]] = [
        (0.0, {}, -1)
    ]  # score, choice, last number's place
    for slot, found in proposals:
        best = sorted(found, key=lambda each: -each.score)[:BREADTH]
        grown = []
        for total, chosen, last in beams:
            for each in best:
                if each.span is None:
                    grown.append((total + each.score, {**chosen, slot.name: each}, last))
                    continue
                span, place = each.span, last
                if any(overlaps(span, taken.span) for taken in chosen.values() if taken.span):
                    if not slot.required:
                        continue  # what is optional is rather left out
                    each = replace(each, score=each.score - TAKEN, is_taken=True)
                score = total + each.score
                if slot.kind in ("integer", "number"):
                    score, place = score + IN_ORDER * (span[0] > last), span[0]
                grown.append((score, {**chosen, slot.name: each}, place))
        beams = sorted(grown, key=lambda beam: -beam[0])[:WIDTH]
    return beams[0][1]
