"""Does an answer say what the tools said? Each sentence is held against the result that it speaks of.

    calls     get_weather(city="Paris")  ->  In Paris, France it is 13 °C now, clear sky, humidity 73 %.
              get_weather(city="Tokyo")  ->  In Tokyo, Japan it is 13 °C now, rain, humidity 67 %.
    text      In Paris it is 13 °C now, rain, humidity 67 %.
    problem   In Paris it is 13 °C now, rain, humidity 67 %: 67 is not in the result for Paris

That 67 is in *some* result is not enough. So each sentence is bound to one call:

    its subject    the words of the call's arguments, and the capitalized words of the result's fields (the
                   place "Paris, Île-de-France, France"). A sentence that names no subject continues the one
                   before it.
    its facts      must be in that call's result: every number and date, every word that another call has,
                   and every word of the tools' own vocabulary ("rain", "up")
    all calls      each result with a number must be told with at least one of its numbers

A sentence that names two subjects is taken apart at commas, "and", "but" and "while"; what still names two,
such as "Tokyo is warmer than Paris", is a problem: no result says it. Not checked: whether a number stands
for the right thing within its result (a low for a high), and words from outside the vocabulary.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from step2_tools.agent.loop import Call

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ\d\"'])|;\s+|\n+")  # not the point of "Apple Inc. is at"
# A date, a time, a number with its sign, or a word; "don't" and "Île-de-France" are words.
DATE_OR_TIME = r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d"
NUMBER = r"(?:(?<![\w.])[-−])?\d(?:[\d.,]*\d)?"
WORD = r"[^\W\d_]+(?:['’-][^\W\d_]+)*"
TOKEN = re.compile(f"{DATE_OR_TIME}|{NUMBER}|{WORD}")
CLAUSE_END = re.compile(r",\s+|\s+(?:and|but|while|whereas)\s+")
NEGATIONS = frozenset({"no", "not", "cannot", "can't", "couldn't"})


@dataclass(frozen=True)
class Evidence:
    """What one call lets an answer say."""

    subject: frozenset[str]  # words that name what the call is about
    known: frozenset[str]  # numbers and words of arguments and result
    numbers: frozenset[str]  # numbers of the result
    is_error: bool


def problems(text: str, calls: Sequence[Call], vocabulary: frozenset[str] = frozenset()) -> list[str]:
    """Why the text is not what the results say, one line for each problem; empty if it is.

    `vocabulary`: words, in lower case, with which the tools state facts. Without calls, nothing is checked.
    """
    evidence = [evidence_of(call) for call in calls]
    if not evidence:
        return []
    facts = vocabulary.union(*(one.known for one in evidence))
    wrong = []
    untold = set(range(len(evidence)))
    last = [i for i, one in enumerate(evidence) if not one.subject]  # what the sentence before spoke of
    if len(evidence) == 1:
        last = [0]
    for statement in statements(text, evidence):
        tokens = tokens_of(statement)
        candidates = named_calls(tokens, evidence) or last
        if not candidates:
            wrong.append(f"{statement}: names no result")
            continue
        missing = {i: unsupported(tokens, evidence[i], facts) for i in candidates}
        supporting = [i for i in candidates if not missing[i]]
        if not supporting:
            nearest = min(candidates, key=lambda i: len(missing[i]))
            wrong.append(f"{statement}: not in its result: {', '.join(missing[nearest])}")
            last = candidates
            continue
        last = supporting
        untold -= {i for i in supporting if tells(tokens, evidence[i])}
    for i in sorted(untold):
        wrong.append(f"the result of {calls[i].tool} is not told")
    return wrong


def statements(text: str, evidence: Sequence[Evidence]) -> list[str]:
    """The sentences of a text; those that name several subjects as their clauses."""
    parts: list[str] = []
    for sentence in SENTENCE_END.split(text):
        named = [one for one in evidence if not one.subject.isdisjoint(tokens_of(sentence))]
        is_about_one = len({one.subject for one in named}) < 2
        parts += [sentence] if is_about_one else CLAUSE_END.split(sentence)
    return [part.strip() for part in parts if TOKEN.search(part)]


def evidence_of(call: Call) -> Evidence:
    """What a call lets an answer say."""
    of_input = set(tokens_of("\n".join(texts_in(call.input))))
    of_result = set(tokens_of("\n".join(texts_in(parsed(call.result)))))
    numbers = {token for token in of_result if is_number(token)}
    return Evidence(
        frozenset(subject_of(call)), frozenset(of_input | of_result), frozenset(numbers), call.is_error
    )


def subject_of(call: Call) -> set[str]:
    """The words that name what a call is about, in lower case."""
    words = set(tokens_of("\n".join(texts_in(call.input))))
    result = parsed(call.result)
    fields = result.items() if isinstance(result, dict) else []
    for name, value in fields:
        if isinstance(value, str) and name != "summary":
            words |= {word.lower() for word in TOKEN.findall(value) if word[0].isupper()}
    return {word for word in words if not is_number(word)}


def named_calls(tokens: Sequence[str], evidence: Sequence[Evidence]) -> list[int]:
    """The calls whose subject has the most words in a statement; none if no subject is named."""
    hits = [len(one.subject & set(tokens)) for one in evidence]
    most = max(hits)
    return [i for i, count in enumerate(hits) if count == most] if most else []


def unsupported(tokens: Sequence[str], evidence: Evidence, facts: frozenset[str]) -> list[str]:
    """What a statement says and this call's result doesn't have: its numbers, and its words that are facts.

    Of a call that failed, a statement may say in its own words that there is no result.
    """
    unknown = [token for token in tokens if token not in evidence.known]
    numbers = [token for token in unknown if is_number(token)]
    words = [token for token in unknown if token in facts and not is_number(token)]
    if evidence.is_error and not NEGATIONS.isdisjoint(tokens):
        return numbers
    return numbers + words


def tells(tokens: Sequence[str], evidence: Evidence) -> bool:
    """Whether a statement tells one of the result's numbers; a result without numbers needs none."""
    return not evidence.numbers or not evidence.numbers.isdisjoint(tokens)


def tokens_of(text: str) -> list[str]:
    """The numbers, dates and words of a text, in one form: 1250.5 for 1,250.50, words in lower case."""
    return [normalize(token) for token in TOKEN.findall(text)]


def normalize(token: str) -> str:
    """One form for equal numbers, such as `1,250.50`, `1250.5` and `01250.5`, and for equal words."""
    try:
        return f"{float(token.replace(',', '').replace('−', '-')):.12g}"
    except ValueError:  # a word, a date, or 1.2.3
        return token.lower()


def is_number(token: str) -> bool:
    """Whether it is a number, a date or a time."""
    return token[-1].isdigit()


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
