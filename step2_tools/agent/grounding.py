"""Does an answer say what the tools said? Each sentence is held against the result that it speaks of.

    calls     get_weather(city="Paris")  ->  In Paris, France it is 13 °C now, clear sky, humidity 73 %.
              get_weather(city="Tokyo")  ->  In Tokyo, Japan it is 13 °C now, rain, humidity 67 %.
    text      In Paris it is 13 °C now, rain, humidity 67 %.
    problem   In Paris it is 13 °C now, rain, humidity 67 %: not in its result: rain, 67

That 67 is in *some* result is not enough. So each sentence is bound to one call:

    its subject    the words of the call's arguments, and the capitalized words of the result's fields (the
                   place "Paris, Île-de-France, France"). A sentence that names no subject continues the one
                   before it.
    its facts      must be in that call's result: every number and date, every word of another call's subject
                   and fields, and every word of the tools' own vocabulary ("rain", "up"; but no word after
                   "no" or "not")
    all calls      of several results, each must be told: with one of its numbers or vocabulary words

A sentence that names two subjects is taken apart at commas, "and", "but" and "while"; what still names two,
such as "Tokyo is warmer than Paris", is a problem: no result says it. Not checked: whether a number stands
for the right thing within its result (a low for a high), and words from outside the vocabulary.
"""

import calendar
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from step2_tools.agent.loop import Call, Tools
from step2_tools.agent.tool import FunctionTool

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ\d\"'])|;\s+|\n+")  # not the point of "Apple Inc. is at"
# A date, a time, a number with its sign, or a word; "don't" and "Île-de-France" are words.
MONTHS = calendar.month_name[1:]  # from January
MONTH = "|".join(MONTHS)
DATE = rf"\d{{4}}-\d\d-\d\d|\b\d{{1,2}} (?:{MONTH})\b|\b(?:{MONTH}) \d{{1,2}}\b"
TIME = r"\d{1,2}:\d\d"
NUMBER = r"(?:(?<![\w.])[-−])?\d(?:[\d.,]*\d)?"
WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*"
TOKEN = re.compile(f"{DATE}|{TIME}|{NUMBER}|{WORD}")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
CLAUSE_END = re.compile(r",\s+|\s+(?:and|but|while|whereas)\s+")
NEGATIONS = frozenset({"no", "not", "cannot", "can't", "couldn't"})


@dataclass(frozen=True)
class Evidence:
    """What one call lets an answer say."""

    subject: frozenset[str]  # words that name what the call is about
    known: frozenset[str]  # numbers and words of arguments and result
    stated: frozenset[str]  # vocabulary words that the result states as facts
    phrases: frozenset[tuple[str, str]]  # neighbours in the summary, which may be quoted: ("of", "rain")
    own: frozenset[str]  # words that another call's statement may not have: its subject and its fields' words
    facts: frozenset[str]  # numbers and stated words; one of them tells the result


def problems(text: str, calls: Sequence[Call], vocabulary: frozenset[str] = frozenset()) -> list[str]:
    """Why the text is not what the results say, one line for each problem; empty if it is.

    `vocabulary`: words, in lower case, with which the tools state facts. Without calls, nothing is checked.
    """
    calls = without_corrected(calls)
    if not calls:
        return []
    if not text.strip():
        return ["the reply is empty"]
    evidence = []
    for call, subject in zip(calls, distinct_subjects(calls), strict=True):
        evidence.append(evidence_of(call, subject, vocabulary))
    wrong = []
    reported: set[int] = set()  # the calls whose result the text tells
    current = [i for i, result in enumerate(evidence) if not result.subject]  # what a sentence speaks of
    if len(evidence) == 1:
        current = [0]
    for statement in statements(text, evidence):
        tokens = tokens_of(statement)
        current = named_calls(tokens, evidence) or current
        if current:
            current, problem = supporting_calls(tokens, current, evidence, vocabulary)
        else:
            problem = "names no result" if states_a_fact(tokens, vocabulary) else ""
        if problem:
            wrong.append(f"{statement}: {problem}")
            continue
        reported |= {i for i in current if tells(tokens, evidence[i])}
    if len(evidence) > 1:
        wrong += [
            f"the result of {call.tool} is not told" for i, call in enumerate(calls) if i not in reported
        ]
    return wrong


def supporting_calls(
    tokens: Sequence[str], named: list[int], evidence: Sequence[Evidence], vocabulary: frozenset[str]
) -> tuple[list[int], str]:
    """Of the calls that a statement may speak of, those whose result says it.

    If none does: all of them, and what the nearest of them lacks.
    """
    words = frozenset[str]().union(*(result.own for result in evidence))
    missing = {i: unsupported(tokens, evidence[i], vocabulary, words) for i in named}
    supporting = [i for i in named if not missing[i]]
    if supporting:
        return supporting, ""
    nearest = min(named, key=lambda i: len(missing[i]))
    return named, f"not in its result: {', '.join(missing[nearest])}"


def tells(tokens: Sequence[str], result: Evidence) -> bool:
    """Whether a statement has a fact of a result, if it has any: not only the name of what it is about."""
    return not result.facts or not result.facts.isdisjoint(tokens)


def without_corrected(calls: Sequence[Call]) -> list[Call]:
    """The calls without those that failed and that the model corrected in a later turn."""
    kept = []
    for call in calls:
        later = [other for other in calls if other.tool == call.tool and other.turn > call.turn]
        is_corrected = call.is_error and any(not other.is_error for other in later)
        if not is_corrected:
            kept.append(call)
    return kept


def vocabulary_of(tools: Tools) -> frozenset[str]:
    """The words with which the tools state facts."""
    words: set[str] = set()
    for tool in tools:
        if isinstance(tool, FunctionTool):
            words |= tool.words
    return frozenset(words)


def statements(text: str, evidence: Sequence[Evidence]) -> list[str]:
    """The sentences of a text; those that name several subjects as their clauses."""
    parts: list[str] = []
    for sentence in SENTENCE_END.split(text):
        tokens = tokens_of(sentence)
        subjects = {result.subject for result in evidence if not result.subject.isdisjoint(tokens)}
        if len(subjects) < 2:
            parts.append(sentence)
        else:
            parts += CLAUSE_END.split(sentence)
    return [part.strip() for part in parts if TOKEN.search(part)]


def evidence_of(call: Call, subject: frozenset[str], vocabulary: frozenset[str]) -> Evidence:
    """What a call lets an answer say."""
    everything = {*tokens_of(in_lines(call.input)), *tokens_of(in_lines(parsed(call.result)))}
    for token in list(everything):
        if ISO_DATE.fullmatch(token):
            everything |= {token[:4], token[5:]}  # the year, and the day as `normalize` writes it
    # A summary says "26 % chance of rain" under a clear sky: the fields state the facts, if they have any.
    result = fields(call.result)
    summary = str(result.pop("summary", ""))
    result.pop("source", None)
    in_fields = set(tokens_of(in_lines(result)))
    stated = vocabulary & in_fields or vocabulary & everything
    numbers = {token for token in tokens_of(call.result) if is_number(token)}
    return Evidence(
        subject=subject,
        known=frozenset(everything),
        stated=stated,
        phrases=frozenset(pairwise(tokens_of(summary))),
        own=subject | in_fields,
        facts=stated | numbers,
    )


def distinct_subjects(calls: Sequence[Call]) -> list[frozenset[str]]:
    """Each call's subject without words of another's: "cape", "town", not "south", "africa" beside Durban.

    A subject that has no word of its own is kept whole: two calls for one city have the same subject.
    """
    subjects = [subject_of(call) for call in calls]
    distinct = []
    for i, subject in enumerate(subjects):
        others = set[str]().union(*subjects[:i], *subjects[i + 1 :])
        distinct.append(frozenset(subject - others or subject))
    return distinct


def subject_of(call: Call) -> set[str]:
    """The words that name what a call is about, in lower case."""
    names = set()
    result = fields(call.result)
    for field, value in result.items():
        if isinstance(value, str) and field not in ("summary", "source"):
            names |= {word.lower() for word in TOKEN.findall(value) if word[0].isupper()}
    # "The" is in "The Home Depot", but "the" is no name.
    names -= {word for word in TOKEN.findall(str(result.get("summary"))) if word.islower()}
    words = names.union(tokens_of(in_lines(call.input)))
    return {word for word in words if not is_number(word)}


def named_calls(tokens: Sequence[str], evidence: Sequence[Evidence]) -> list[int]:
    """The calls whose subject has the most words in a statement; none if no subject is named."""
    hits = [len(result.subject & set(tokens)) for result in evidence]
    most = max(hits)
    return [i for i, count in enumerate(hits) if count == most] if most else []


def unsupported(
    tokens: Sequence[str], evidence: Evidence, vocabulary: frozenset[str], words: frozenset[str]
) -> list[str]:
    """What a statement says and this call's result doesn't: numbers, and words of the vocabulary or `words`.

    Words after a negation are not checked: it may deny what isn't there ("no rain"), or say that a call gave
    no result.
    """
    missing = []
    denied = False
    previous = ""
    for token in tokens:
        denied = denied or token in NEGATIONS
        if token in vocabulary:
            is_supported = denied or token in evidence.stated or (previous, token) in evidence.phrases
        elif is_number(token):
            is_supported = token in evidence.known
        else:
            is_supported = denied or token in evidence.known or token not in words
        if not is_supported:
            missing.append(token)
        previous = token
    return missing


def states_a_fact(tokens: Sequence[str], vocabulary: frozenset[str]) -> bool:
    """Whether a statement has a number or a word of the vocabulary."""
    return any(is_number(token) or token in vocabulary for token in tokens)


def tokens_of(text: str) -> list[str]:
    """The numbers, dates and words of a text, in one form: 1250.5 for 1,250.50, words in lower case."""
    return [normalize(token) for token in TOKEN.findall(text)]


def normalize(token: str) -> str:
    """One form for equal numbers, such as `1,250.50`, `1250.5` and `01250.5`, and for equal words and days.

    >>> normalize("21 November"), normalize("November 21")
    ('11-21', '11-21')
    """
    for month, name in enumerate(MONTHS, start=1):
        if name in token and token != name:
            day = int(token.replace(name, ""))
            return f"{month:02}-{day:02}"
    try:
        return f"{float(token.replace(',', '').replace('−', '-')):.12g}"
    except ValueError:  # a word, a date, or 1.2.3
        return token.lower()


def has_number(text: str) -> bool:
    """Whether a text has a number, a date or a time."""
    return any(is_number(token) for token in tokens_of(text))


def is_number(token: str) -> bool:
    """Whether it is a number, a date or a time."""
    return token[-1].isdigit()


def in_lines(value: Any) -> str:
    """Every text and number in a JSON value, one a line."""
    return "\n".join(texts_in(value))


def texts_in(value: Any) -> list[str]:
    """Every text and number in a JSON value, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        texts = []
        for item in value:
            texts += texts_in(item)
        return texts
    return [] if value is None or isinstance(value, bool) else [str(value)]


def parsed(result: str) -> Any:
    """The JSON value of a result; the text itself if it is not JSON."""
    try:
        return json.loads(result)
    except ValueError:
        return result


def fields(result: str) -> dict[str, Any]:
    """The fields of a result that is a JSON object; empty for another one (an error, or a cut result)."""
    value = parsed(result)
    return value if isinstance(value, dict) else {}
