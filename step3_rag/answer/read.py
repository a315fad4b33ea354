"""From the evidence to an answer with citations: quoted word for word, or written by the chat model.

    >>> answer = quote(find_evidence(found, retriever), sources)
    >>> answer.text
    'Either party may end it with 90 days notice. [1]'

    quote  the sentences that the trained reader chose (retrieve/reader.py), as they are
    write  the chat model gets the question and these sentences, nothing else, and writes the answer; if a
           check finds something in it that they don't say, they are quoted instead
    chat   the chat model gets all passages, finds the answer itself and cites its sources

Which is best depends on the chat model: measured in chapter 8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from shared import prompts
from shared.chat.usage import input_tokens
from shared.sentences import sentences
from step3_rag import PROMPTS
from step3_rag.answer.claims import conflicts
from step3_rag.answer.context import Source, as_text
from step3_rag.ingest.plain import plain_line
from step3_rag.ingest.stems import stems
from step3_rag.reflect.confidence import Evidence

if TYPE_CHECKING:
    import anthropic

UNKNOWN = "I don't know."
MAX_TOKENS = 200
SUPPORTED = 0.6  # share of a sentence's words that the cited sources have
CITATION = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
# A full stop, closing quotes and brackets, and the citations after it.
AFTER = re.compile(r"([.!?])([\"'”’)]*)((?:\s*\[\d+(?:\s*,\s*\d+)*\])+)[.]?(?!\s*[a-z,;:])")


@dataclass(frozen=True)
class Cited:
    """A sentence of an answer, the sources that it cites, and whether they support it."""

    sentence: str
    numbers: tuple[int, ...]
    support: float  # share of its words that the cited sources have, 0 to 1
    unknown: tuple[int, ...] = ()  # cited numbers that no source has
    conflicts: tuple[str, ...] = ()  # numbers, dates, names and a "not" that the sources don't have

    @property
    def is_supported(self) -> bool:
        return bool(self.numbers) and not (self.unknown or self.conflicts) and self.support >= SUPPORTED


@dataclass(frozen=True)
class Answer:
    """A reader's answer."""

    text: str
    cited: list[Cited] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    stop_reason: str | None = None  # the chat model's
    replaced: str | None = None  # what the chat model wrote, if the evidence stands in its place

    @property
    def is_unknown(self) -> bool:
        """Whether it is an "I don't know" that claims nothing: one sentence, without a citation or "but"."""
        bare = re.sub(r"\[\d+\]\W*$", "", self.text.strip()).lower()
        said = re.fullmatch(r"\W*i (?:do not|don['’]?t) know\b([^.!?\n]*)\W*", bare)
        return said is not None and not re.search(r"\bbut\b|\bhowever\b|\[\d", said[1])


def chat(
    client: anthropic.Anthropic,
    model: str,
    question: str,
    sources: Sequence[Source],
    write: Callable[[str], None] = lambda _text: None,
    prompt: prompts.Prompt | None = None,
) -> Answer:
    """The chat model's answer; `write` gets its text as it comes. The SDK's errors pass through."""
    rendered = prompts.render(prompt or prompts.load(PROMPTS, "answer", family=prompts.family_of(model)))
    turn = {"role": "user", "content": f"{as_text(sources)}\n\nQuestion: {question}"}
    request: dict[str, Any] = {"system": rendered["system"], "messages": [*rendered["messages"], turn]}
    with client.messages.stream(model=model, max_tokens=MAX_TOKENS, **request) as stream:
        for text in stream.text_stream:
            write(text)
        message = stream.get_final_message()
    text = _text_of(message)
    usage = message.usage
    return Answer(text, check(text, sources), input_tokens(usage), usage.output_tokens, message.stop_reason)


def quote(evidence: Sequence[Evidence], sources: Sequence[Source]) -> Answer:
    """Quote the evidence, each sentence with its source; "I don't know" if there is none."""
    known = _stems_by_number(sources)
    cited = []
    for sentence, number in _numbered(evidence, sources):
        cited.append(_cited(sentence, (number,), known))
    if not cited:
        return Answer(UNKNOWN)
    text = " ".join(f"{one.sentence} [{one.numbers[0]}]" for one in cited)
    return Answer(text, cited)


def write(
    client: anthropic.Anthropic,
    model: str,
    question: str,
    evidence: Sequence[Evidence],
    sources: Sequence[Source],
) -> Answer:
    """The chat model's answer from the evidence alone, or the evidence if the answer says something else.

    The citations are ours: the model never sees the sources. The SDK's errors pass through.
    """
    quoted = quote(evidence, sources)
    if quoted.is_unknown:
        return quoted
    message = _say(client, model, question, quoted)
    written = _text_of(message)
    numbers = tuple(dict.fromkeys(one.numbers[0] for one in quoted.cited))
    marks = "".join(f"[{number}]" for number in numbers)
    checked = [replace(one, numbers=numbers) for one in check(f"{written} {marks}", sources)]
    is_whole = message.stop_reason in ("end_turn", "stop_sequence")
    is_faithful = bool(checked) and all(is_said(one.sentence, quoted) for one in checked)
    if is_whole and is_faithful:
        answer = Answer(f"{written} {marks}", checked, stop_reason=message.stop_reason)
    else:
        answer = replace(quoted, stop_reason="end_turn", replaced=written)
    usage = message.usage
    return replace(answer, input_tokens=input_tokens(usage), output_tokens=usage.output_tokens)


def _say(client: anthropic.Anthropic, model: str, question: str, quoted: Answer) -> anthropic.types.Message:
    """Let the chat model answer a question from the quoted sentences."""
    rendered = prompts.render(prompts.load(PROMPTS, "write", family=prompts.family_of(model)))
    facts = "\n".join(f"- {one.sentence}" for one in quoted.cited)
    turn = {"role": "user", "content": f"Facts:\n{facts}\n\nQuestion: {question}"}
    request: dict[str, Any] = {"system": rendered["system"], "messages": [*rendered["messages"], turn]}
    return client.messages.create(model=model, max_tokens=MAX_TOKENS, **request)


def _text_of(message: anthropic.types.Message) -> str:
    """What a message says, without its blocks of other kinds."""
    return "".join(block.text for block in message.content if block.type == "text").strip()


def is_said(sentence: str, quoted: Answer) -> bool:
    """Whether a written sentence has words and facts of the quoted ones only."""
    evidence = " ".join(one.sentence for one in quoted.cited)
    own = set(stems(sentence))
    known = set(stems(evidence))
    support = len(own & known) / len(own) if own else 0.0
    return support >= SUPPORTED and not conflicts(sentence, evidence)


def _numbered(evidence: Sequence[Evidence], sources: Sequence[Source]) -> list[tuple[str, int]]:
    """Each different sentence, as plain text, with the number of its source."""
    pairs = []
    for one in evidence:
        numbers = [source.number for source in sources if one.chunk.id in source.chunks]
        pair = (_plain(one.sentence), numbers[0] if numbers else 0)
        if numbers and pair not in pairs:
            pairs.append(pair)
    return pairs


def _plain(sentence: str) -> str:
    """A sentence without headings above it, and without the marks of lists, tables, links and emphasis."""
    text = re.sub(r"^(?:[-|]|\d+[.)])\s+", "", plain_line(sentence))
    return text.strip("| ")


def check(text: str, sources: Sequence[Source]) -> list[Cited]:
    """Check each sentence of an answer against the sources that it cites.

    The support is the share of its words (stems) that they have; numbers, dates, names and negations that
    they don't have are conflicts (claims.py).
    """
    known = _stems_by_number(sources)
    texts = {source.number: f"{source.place}. {source.text}" for source in sources}
    checked = []
    for sentence, numbers in _by_citation(text):
        cited = "\n\n".join(texts[number] for number in numbers if number in texts)
        wrong = conflicts(sentence, cited) if cited else []
        checked.append(replace(_cited(sentence, numbers, known), conflicts=tuple(wrong)))
    return checked


def _stems_by_number(sources: Sequence[Source]) -> dict[int, set[str]]:
    """The stems of each source, by its number."""
    return {source.number: set(stems(f"{source.place} {source.text}")) for source in sources}


def _cited(sentence: str, numbers: tuple[int, ...], known: dict[int, set[str]]) -> Cited:
    """A sentence held against the sources that it cites; `known` has the stems of each that there is.

    Its support is the share of its different `stems` that stand in any of the sources that it cites; 0.0
    where it cites none or has no stems. Numbers that no source has support nothing: they are `unknown`, in
    their order.
    """
    ### BEGIN SOLUTION 3.7: Check the citations
    own = set(stems(sentence))
    cited = set().union(*(known.get(number, set()) for number in numbers))
    support = len(own & cited) / len(own) if own else 0.0
    unknown = tuple(number for number in numbers if number not in known)
    return Cited(sentence, numbers, support, unknown)
    ### END SOLUTION


def _by_citation(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Sentences, each with the sources that it cites: in it, at its end, or after its full stop.

    A citation after a full stop belongs to the sentence before it, unless the next goes on from it in lower
    case (`[2] says that ...`), or the whole answer has its citations in front: it begins with one and does
    not end with one. AFTER finds those after a full stop, CITATION any; `sentences` cuts a text.

    Sentences come without their citations, the white space in front of these, and that at both ends. Numbers
    come in their order, each once, from `[2]`, `[1, 2]` and `[1][2]` alike. What has no word left is no
    sentence: its numbers go to the one before, if there is one.
    """
    ### BEGIN SOLUTION 3.7: Check the citations
    in_front = bool(CITATION.match(text)) and not re.search(r"\][.!?]?\s*$", text)
    if not in_front:
        text = AFTER.sub(lambda match: f" {match[3].strip()}{match[1]}{match[2]}", text)
    parts: list[tuple[str, tuple[int, ...]]] = []
    for start, end in sentences(text):
        in_marks: list[int] = []
        for mark in CITATION.findall(text[start:end]):
            in_marks += map(int, re.findall(r"\d+", mark))
        numbers = tuple(dict.fromkeys(in_marks))
        said = CITATION.sub("", text[start:end]).strip()
        if re.search(r"\w", said):
            parts.append((said, numbers))
        elif parts:
            parts[-1] = (parts[-1][0], tuple(dict.fromkeys(parts[-1][1] + numbers)))
    return parts
    ### END SOLUTION
