"""The reader: from passages to an answer with citations, written by the chat model or quoted word for word.

    >>> answer = quote("How long is the notice period?", sources, embedder, weights)
    >>> answer.text
    'Either party may end it with 90 days notice. [1]'

`chat` lets the chat model write. `quote` uses no chat model: it picks the sentences that fit the question
best, by late interaction as in reranking. It follows no instructions in documents and makes nothing up, but
it can't combine two sentences either. Which reader is better depends on the chat model; with SmolLM2-135M it
is `quote` (measured in chapter 8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shared import prompts
from shared.chat.usage import input_tokens
from step3_rag import PROMPTS
from step3_rag.answer.answer_type import missing
from step3_rag.answer.claims import conflicts
from step3_rag.answer.context import HEADING, Source, as_text, looks_like_instruction
from step3_rag.ingest.chunk import sentences
from step3_rag.ingest.embed import Embedder
from step3_rag.ingest.stems import stems
from step3_rag.retrieve.rerank import late_interaction

if TYPE_CHECKING:
    import anthropic

UNKNOWN = "I don't know."
MAX_TOKENS = 200
SUPPORTED = 0.6  # share of a sentence's words that the cited sources have
CITATION = re.compile(r"\s*\[(\d+(?:\s*,\s*\d+)*)\]")
# A full stop, closing quotes and brackets, and the citations after it.
AFTER = re.compile(r"([.!?])([\"'”’)]*)((?:\s*\[\d+(?:\s*,\s*\d+)*\])+)[.]?(?!\s*[a-z,;:])")
LETTER = re.compile(r"[^\W\d_]")
QUOTED = 3  # sentences at most
MARGIN = 0.5  # sentences that score lower than the best one by more are not quoted


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
    missing: str | None = None  # what the question asks for, if no quoted sentence has it

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
    text = "".join(block.text for block in message.content if block.type == "text").strip()
    read, written = input_tokens(message.usage), message.usage.output_tokens
    return Answer(text, check(text, sources), read, written, message.stop_reason)


def quote(
    question: str, sources: Sequence[Source], embedder: Embedder, rarity: Callable[[np.ndarray], np.ndarray]
) -> Answer:
    """Quote the sentences that fit best, the best first; "I don't know" if they lack what is asked for.

    `rarity` gives the idf of token ids. Headings, and what looks like an instruction to a model, are not
    quoted.
    """
    bodies = [(source, HEADING.sub("\n", source.text)) for source in sources]
    found = [
        (source, body[start:end])
        for source, body in bodies
        for start, end in sentences(body)
        if LETTER.search(body, start, end)  # not only the number of a list item
        and not looks_like_instruction(body[start:end])
    ]
    if not found:
        return Answer(UNKNOWN)
    # A sentence alone doesn't say whose notice period it is; under the document's title, all its sentences
    # look alike. So each is embedded both ways.
    alone = [text for _, text in found]
    titled = [f"{source.place}\n{text}" for source, text in found]
    query, *encoded = embedder.encode([question, *alone, *titled])
    scores = late_interaction(query, [one.token_vectors for one in encoded], rarity(query.token_ids))
    scores += np.array([float(query.vector @ one.vector) for one in encoded], np.float32)
    scores = scores.reshape(2, len(found)).sum(0)
    chosen = [i for i in np.argsort(-scores, kind="stable")[:QUOTED] if scores[i] >= scores.max() - MARGIN]
    quoted = [(_plain(found[i][1]), found[i][0].number) for i in chosen]
    passages = "\n".join(f"{source.place}\n{source.text}" for source in sources)
    if lacking := missing(question, " ".join(text for text, _ in quoted), passages):
        return Answer(UNKNOWN, missing=lacking)
    known = _stems_by_number(sources)
    answer = " ".join(f"{text} [{number}]" for text, number in quoted)
    return Answer(answer, [_cited(text, (number,), known) for text, number in quoted])


def _plain(sentence: str) -> str:
    """A sentence without the marks of lists, tables and emphasis."""
    text = re.sub(r"^\s*(?:[-*+|>]|\d+[.)])\s+", "", sentence)
    return " ".join(text.replace("**", "").split()).strip("| ")


def check(text: str, sources: Sequence[Source]) -> list[Cited]:
    """Check each sentence of an answer against the sources that it cites.

    The support is the share of its words (stems) that they have; numbers, dates, names and negations that
    they don't have are conflicts (claims.py).
    """
    known, texts = _stems_by_number(sources), {each.number: f"{each.place}. {each.text}" for each in sources}
    checked = []
    for sentence, numbers in _by_citation(text):
        cited = "\n\n".join(texts[number] for number in numbers if number in texts)
        found = conflicts(sentence, cited) if cited else []
        checked.append(replace(_cited(sentence, numbers, known), conflicts=tuple(found)))
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
    held = set().union(*(known.get(number, set()) for number in numbers))
    support = len(own & held) / len(own) if own else 0.0
    return Cited(sentence, numbers, support, tuple(each for each in numbers if each not in known))
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
        text = AFTER.sub(lambda found: f" {found[3].strip()}{found[1]}{found[2]}", text)
    parts: list[tuple[str, tuple[int, ...]]] = []
    for start, end in sentences(text):
        marks = CITATION.findall(text[start:end])
        numbers = tuple(dict.fromkeys(int(each) for mark in marks for each in re.findall(r"\d+", mark)))
        said = CITATION.sub("", text[start:end]).strip()
        if re.search(r"\w", said):
            parts.append((said, numbers))
        elif parts:
            parts[-1] = (parts[-1][0], tuple(dict.fromkeys(parts[-1][1] + numbers)))
    return parts
    ### END SOLUTION
