"""How well do some words of the question fill a slot? The model's view, corrected by what it overlooks.

    >>> span_score(form, slot, scored)      # log P(words | slot), and nats for or against
    -0.3

Each correction is one thing that a person sees at a glance: a name cut in half, a number where a name is
wanted, words that only repeat the slot's own name, "to" before the source.
"""

from __future__ import annotations

import re

from shared.embedded import words
from shared.embedded.fields import Form, Scored
from shared.embedded.quantities import UNIT_OF
from shared.embedded.slots import Slot
from shared.embedded.standards import MONTH, asks_date, conform, date_spans
from shared.embedded.words import FUNCTION_WORDS, Span, as_words, overlaps, stem

QUOTED, LONG_QUOTATION = 3.0, -6.0  # a span that is a quotation; what a long one pays for its words at most
NAMED = 3.0  # a quotation that the slot's own name stands beside
FUNCTION = 2.5  # against a span that begins or ends with "the", "of", ...
ONLY_FUNCTION = 6.0
NUMERAL = 6.0  # against a bare number where words are wanted
JOINED = 1.0  # against two things joined by "and" where one is wanted
CUT_NAME = 4.0  # against a span that leaves a half of a capitalised name behind
STATE = 4.0  # against the state or country behind a place's name
CAPITALS = 1.5  # for capitals that do not come from the beginning of a sentence
TOOL_WORD = 2.0  # against a name that begins or ends with a word of the tool's own: "walmart stock"
ECHO = 3.0  # against a span that only repeats the slot's own name; half for the tool's
EXAMPLE = 1.5  # the description gives these very words as an example
DIRECTION = 2.0  # "from" before what the slot calls the source, "to" before the target; against the reverse
A_UNIT = 2.0  # against words that are the unit of a number
NO_DIGIT = 3.0  # against what has no digit where a number is wanted as a text
NO_DATE = 6.0  # against what names no day where a date is wanted in figures
NO_ADDRESS = 6.0  # against what has no @ where an e-mail address is wanted
NO_PATH = 3.0  # against what has neither a slash nor a dot where a path or URL is wanted
LISTED = 3.0  # a whole enumeration where a list is wanted; against a piece of one
WHOLE_DATE = 2.0  # a complete date where a date is wanted; against a part of one
SYMBOL = 2.0  # capitals only, where a symbol or code is wanted
NEAR = 0.5  # the slot's own name stands beside it

TAKES_NUMERALS = re.compile(
    r"\bids?\b|number|code|date|year|season|time|phone|zip|postal|period|duration|version|coordinate|latitude|longitude",
    re.I,
)
NUMBERED = re.compile(r"\bnumber$")
DAY = re.compile(rf"\d|{MONTH}|day\b|\b(?:tomorrow|tonight|week|weekend|month|year)\b", re.I)
HALF_NAME = re.compile(r"(?<![.?!] )(?<!^)\b(?!I )[A-Z][\w.'&-]* $")
OTHER_HALF = re.compile(r" [A-Z](?:[a-z]+|\d+)(?!\w*[.?!] [A-Z])\b")
PLACE_AND_STATE = re.compile(r"[A-Z][\w ]+, [A-Z]\w+|city,? (?:and )?(?:state|country)|state or country")
# "Austin, TX", or that both are wanted; not "the state if needed".
PLACE = re.compile(r"\b(?:city|location|place|where|destination)\b", re.I)
BOTH = re.compile(r"^(?!.*\bif\b).*(?:[a-z], [A-Z]{2}\b|\b[Cc]ity(?:,| and|, and) (?:[Ss]tate|[Cc]ountry)\b)")
AND_STATE = re.compile(r", ((?>(?:[A-Z]\.){2}|[A-Z][\w'’-]*(?: [A-Z]\w+)?))(?!\w|,? (?:and|or)\b|, [A-Z])")


def span_score(form: Form, slot: Slot, scored: Scored, is_list: bool = False) -> float:
    """Nats for these words as the value of the slot; `is_list`: as an enumeration of its values."""
    (start, end), question = scored.span, form.question
    text = question[start:end]
    quoted = scored.span in form.quotations
    score = max(scored.ended, LONG_QUOTATION) + QUOTED if quoted else scored.ended
    if quoted:
        score += NAMED * slot.is_beside(form.question, (start - 1, end + 1))
    else:
        score -= QUOTED * any(overlaps(scored.span, each) for each in form.quotations) + _echo(slot, text)
    score -= _form(slot, text, single=not is_list and not quoted)
    score += _surroundings(form, slot, scored, text)
    if is_list:
        is_whole = bool(re.search(r",| and | or ", text))
        follows = re.match(r"['\"”’]?(?:,[^,.;?!]*)?,?\s+(?:and|or)\b", question[end:])
        is_cut = bool(follows or re.search(r"(?:,|\band|\bor)\s*['\"“‘]?$", question[:start]))
        score += LISTED * ((is_whole and not is_cut) - is_cut)
    return score


def written(form: Form, span: Span, slot: Slot) -> str:
    """The words of the question as they were typed, in the form that the description asks for.

    A state or country behind a city belongs to it where the description says so.
    """
    text = form.original[slice(*span)]
    more = AND_STATE.match(form.question, span[1]) if PLACE_AND_STATE.search(slot.description) else None
    if more and not set(words.stems(more[1])) & slot.common:
        text += form.original[span[1] : more.end()].rstrip(".")
    return conform(text, slot.standard)


def placed(form: Form, slot: Slot, value: str, is_taken: bool) -> str:
    """A city with its state or country where the description wants both and the question has only the city.

    `is_taken`: another slot has the city; then one for a state gets the state alone.
    """
    wants_both = BOTH.search(slot.description) and PLACE.search(slot.text)
    wants_state = is_taken and re.search(r"\bstate\b", as_words(slot.name))
    if not form.places or not (wants_both or wants_state) or not re.fullmatch(r"[A-Z][^\d,]+", value):
        return value
    around = form.places.around(value)
    return value if around is None else around if wants_state else f"{value}, {around}"


def repeats(slot: Slot, value: str) -> bool:
    """Whether a text has only words of the tool and of its arguments' names."""
    own = set(words.stems(value))
    return slot.kind == "string" and bool(own) and own <= slot.common


def _echo(slot: Slot, text: str) -> float:
    """Words that repeat what is asked for are no answer to it."""
    own, name = set(words.stems(text)), set(words.stems(as_words(slot.name)))
    if not own:
        return 0.0
    return ECHO * (own <= name) or ECHO / 2 * (own <= name | slot.common)


def _form(slot: Slot, text: str, single: bool) -> float:
    """Against what can't be a name by its form."""
    parts = text.lower().split()
    ends = (parts[0], parts[-1])
    against = FUNCTION * (len(parts) > 1 and (parts[0] in FUNCTION_WORDS or parts[-1] in FUNCTION_WORDS))
    against += ONLY_FUNCTION * all(part in FUNCTION_WORDS for part in parts)
    if len(parts) > 1 and any(
        part == end and stem(part) in slot.common for part in text.split() for end in ends
    ):
        against += TOOL_WORD
    if NUMBERED.search(as_words(slot.name)):  # "123", not "case 123" or "case"
        is_named = len(parts) > 1 and stem(parts[0]) in words.stems(as_words(slot.name))
        against += TOOL_WORD * is_named + NO_DIGIT * (not re.search(r"\d", text))
    if re.fullmatch(r"[\d.,$%:-]+", text) and not TAKES_NUMERALS.search(slot.text):
        against += NUMERAL
    takes_places = re.search(r"[A-Z][\w ]+, [A-Z]|state|country|format", slot.description)
    if single and not takes_places and re.search(r",| and ", text):
        against += JOINED
    is_mail = re.search(r"\be-?mail\b", slot.description, re.I) and re.search(
        "address", slot.description, re.I
    )
    if asks_date(slot.standard) and not DAY.search(text):
        against += NO_DATE
    if re.search(r"\b(?:path|url)\b", slot.text, re.I) and not re.search(r"[/\\.]", text):
        against += NO_PATH
    return against + NO_ADDRESS * bool(is_mail and "@" not in text)


def _touch(a: Span, b: Span) -> bool:
    """Whether two spans stand side by side."""
    return 0 <= b[0] - a[1] < 3 or 0 <= a[0] - b[1] < 2


def _surroundings(form: Form, slot: Slot, scored: Scored, text: str) -> float:
    """For and against what stands before the words, around them, and in the description."""
    (start, _), question = scored.span, form.question
    score = -CUT_NAME * bool(HALF_NAME.search(question[:start]) or OTHER_HALF.match(question, scored.span[1]))
    if re.search(r"\b[A-Z][\w.'’-]*, $", question[:start]) and PLACE_AND_STATE.search(slot.description):
        score -= STATE
    begins = start == 0 or question[:start].rstrip()[-1:] in tuple(".?!")
    score += CAPITALS * (not begins and text[:1].isupper() and text != "I")
    examples = "".join(
        re.split(r"e\.g|i\.e|such as|\blike\b|example|instance|:", slot.description, maxsplit=1)[1:]
    )
    if len(text) > 2 and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", examples, re.I):
        score += EXAMPLE
    # 500 US dollars, EUR 500, $500
    counted = [each for each in form.quantities if _touch(each.span, scored.span)]
    if slot.is_source or slot.is_target:
        before = question[:start].lower().split()[-1:]
        leads = before == ["from"] or bool(counted)
        follows = before in (["to"], ["into"], ["in"], ["many"], ["much"])
        score += DIRECTION * (leads - follows) * (1 if slot.is_source else -1)
    unit = UNIT_OF.get(text.lower().split()[0])
    if unit and not re.search(r"\bunit", slot.text, re.I) and any(each.unit == unit for each in counted):
        score -= A_UNIT
    if re.search(r"\bdate|\bday\b", slot.text, re.I):
        score -= CUT_NAME * bool(re.search(r"\b(?:next|this|coming|last) $", question[:start], re.I))
        dates = date_spans(question)
        if any(overlaps(scored.span, date) for date in dates):
            score += WHOLE_DATE if scored.span in dates else -WHOLE_DATE
    wants_symbol = re.search(r"symbol|ticker|\bcode\b", slot.text, re.I)
    if wants_symbol and re.fullmatch(r"\$?[A-Z]{2,5}(?:\.[A-Z])?", text):
        score += SYMBOL
    return score + NEAR * slot.is_beside(question, scored.span)
