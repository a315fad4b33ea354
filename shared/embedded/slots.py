"""A slot is one argument of a tool as the form asks for it: its label, and where the question speaks of it.

>>> slots({"properties": {"city": {"type": "string", "description": "The city. Defaults to Rome."}}})
[Slot(name='city', kind='string', label='city (The city)', ...)]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.embedded import words
from shared.embedded.words import GRAMMAR, Span, as_words, stem

SOURCE = re.compile(r"\b(?:from|source|origin|start|starting|departure|base|original)\b")
TARGET = re.compile(r"\b(?:to|target|destination|end|ending|arrival|new)\b")

WORD = rf"(?:(?!(?:{'|'.join(GRAMMAR.split())})\b)[^\W\d]+)"  # of content
# "Number of top events to return" counts events; one of the words is the noun.
COUNTED = re.compile(rf"(?:the )?(?:\w+ )?(?:number of|how many)((?: {WORD}){{1,3}})", re.I)
ADJECTIVES = rf"[\s-](?:{WORD} ){{0,3}}"  # between a number and what it counts: "ten major historical events"

USUAL = {"date": "YYYY-MM-DD", "currency": "ISO currency code"}


@dataclass(frozen=True)
class Slot:
    """An argument. `cues` are stems that tell it from its neighbours, `common` those of all and the tool.

    `counted` are stems of what it is the number of.
    """

    name: str
    schema: dict[str, Any]
    kind: str
    required: bool
    label: str
    cues: frozenset[str]
    common: frozenset[str]
    counted: frozenset[str] = frozenset()

    @property
    def description(self) -> str:
        return self.schema.get("description") or ""

    @property
    def text(self) -> str:
        """Name and description, to look for words in."""
        return f"{as_words(self.name)} {self.description}"

    @property
    def standard(self) -> str:
        """The description; of dates and currencies of which it shows no form, with the usual one."""
        shown = re.search(r"\d|[A-Z]{2}|format|name|code|e\.g|example|such as", self.description)
        kind = re.search(r"\b(?:date|currency)$", as_words(self.name))
        if shown or not kind:
            return self.description
        return f"{self.description} {USUAL[kind.group()]}"

    @property
    def is_source(self) -> bool:
        """Whether it is where something comes from: `from_currency`, `origin`."""
        return SOURCE.search(as_words(self.name)) is not None

    @property
    def is_target(self) -> bool:
        """Whether it is where something goes to, or what becomes of it: `to_unit`, `new_name`."""
        return TARGET.search(as_words(self.name)) is not None

    @property
    def is_unit(self) -> bool:
        """Whether it is the unit of something: `unit`, `to_unit`."""
        return re.search(r"\bunits?$", as_words(self.name)) is not None

    def is_beside(self, question: str, span: Span) -> bool:
        """Is a cue the nearest thing before the span ("radius of 5"), or right behind it ("5 rooms")?"""
        if re.search(rf"(?<!\w){re.escape(self.name)}\s*[=:]\s*$", question[: span[0]], re.I):
            return True  # "a = 4"
        for start, _ in mentions(question, self.counted):  # "ten major events", "3 of them"
            if re.fullmatch(ADJECTIVES, question[span[1] : start], re.I):
                return True
        for start, end in mentions(question, self.cues):
            between = question[end : span[0]]
            if 0 <= span[0] - end < 30 and not re.search(r"\d|[.;?!]\s", between):
                return True
            if 0 <= start - span[1] < 10 and not re.search(r"\d|[.,;?!]\s", question[span[1] : start]):
                return True
        return False


def slots(schema: dict[str, Any], about: str = "") -> list[Slot]:
    """The arguments of an object schema; `about` is the tool's name and description.

    What the whole question is about tells no argument from another, so its words are no cues.
    """
    fields: dict[str, dict[str, Any]] = schema.get("properties", {})
    labels = {name: _label(name, field) for name, field in fields.items()}
    names = {name: set(words.stems(as_words(name))) for name in fields}
    texts = {name: names[name] | set(words.stems(labels[name])) for name in fields}
    tool = set(words.stems(as_words(about)))
    found = []
    for name, field in fields.items():
        others = set().union(*(texts[other] for other in fields if other != name))
        cues = {each for each in texts[name] - others - (tool - names[name]) if len(each) > 1}
        hit = COUNTED.match(field.get("description") or "")
        counted = frozenset(words.stems(hit[1]) if hit else [])
        common = tool | set().union(*(names[other] for other in fields))
        required = name in schema.get("required", [])
        found.append(
            Slot(
                name,
                field,
                kind_of(field),
                required,
                labels[name],
                frozenset(cues) | counted,
                frozenset(common),
                counted,
            )
        )
    return found


def kind_of(field: dict[str, Any]) -> str:
    """The JSON type, without null; "string" where the schema says nothing."""
    kinds = field.get("type") or [each.get("type", "string") for each in field.get("anyOf", [{}])]
    if isinstance(kinds, str):
        return kinds
    return next((kind for kind in kinds if kind and kind != "null"), "string")


def _label(name: str, field: dict[str, Any]) -> str:
    """How the form names an argument; remarks on defaults are left out."""
    pattern = r"(?<=[a-z)])\.\s|[,.;]?\s*\(?\b(?:[Bb]y default|[Dd]efaults?|[Oo]ptional)\b"
    description = re.split(pattern, field.get("description") or "")[0].strip(" .(")[:160]
    return f"{as_words(name)} ({description})" if description else as_words(name)


def mentions(question: str, stems: Sequence[str] | frozenset[str] | set[str]) -> list[Span]:
    """Where words with these stems stand in the question."""
    found = re.finditer(r"[^\W\d_]+", question)
    return [hit.span() for hit in found if any(_alike(stem(hit.group().lower()), each) for each in stems)]


def _alike(a: str, b: str) -> bool:
    return a == b or (min(len(a), len(b)) > 4 and a[:5] == b[:5])
