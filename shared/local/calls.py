"""From a question to tool calls: which tools (chooser.py), with which arguments (arguments.py), how often.

    >>> caller.calls("Compare the weather in Rome and Vienna tomorrow", tools)
    [ToolCall(name='get_weather', input={'city': 'Rome', 'day': 'tomorrow'}),
     ToolCall(name='get_weather', input={'city': 'Vienna', 'day': 'tomorrow'})]

A 135M model can't write such calls, whatever the prompt (0 of 30 were valid). It can say how probable a text
is, and that is all it is asked here: every name and value is taken from the tools and from the question.
This runs the loop of a lesson where there is no key; how well a real model calls tools it can't tell.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.local import orders
from shared.local.arguments import Filled, fill
from shared.local.chooser import Chooser, Clause, shares_words, Wording
from shared.local.clauses import begins_item, is_item, pieces
from shared.local.fields import SHOTS, Form
from shared.local.likelihood import Likelihood, Prefix
from shared.local.meaning import Meaning
from shared.local.options import enumerated
from shared.local.slots import kind_of, slots
from shared.local.spelling import mend
from shared.local.standards import asks_currency
from shared.local.truecase import has_names, truecase
from shared.local.words import as_words, plain_words

LONGEST = 2000  # characters of a question that count
GIVEN = 1.5  # nats over "not given" from which a value counts as said
DOUBT = 6.0  # nats of a tool's margin that each nat of a missing argument takes away
KNOWLEDGE = 40.0  # nats that a question for an explanation does
SURE = 1.0  # nats that each nat of a sure argument adds; half of it for an optional one
DEEPEST, SUREST = -10.0, 6.0  # nats of an argument that count
BEYOND = 1000.0  # against what a tool can't do
NEVER = -1e6  # a required argument is nowhere in the question
NEAR, MOST_NEAR = 8.0, 3  # tools that are so near to the best one are tried, too
# Misspelt ones are mended where a tool asks for a currency.
CURRENCY_WORDS = """
dollar dollars euro euros pound pounds sterling rupee rupees franc francs crown crowns krona kronor krone kroner peso
pesos rouble roubles shekel shekels zloty forint dirham riyal rand yuan lira swiss canadian australian american british
japanese chinese indian mexican brazilian argentine swedish norwegian danish turkish singapore korean
"""


@dataclass(frozen=True)
class ToolCall:
    """One call as a `tool_use` block has it."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """A text in three spellings: as the model reads it (names in capitals), mended, and as it was typed."""

    read: str
    mended: str
    original: str

    def __add__(self, other: Said) -> Said:
        return Said(self.read + other.read, self.mended + other.mended, self.original + other.original)


class Caller:
    """Holds the model and what it has read; one question at a time, from any thread."""

    def __init__(
        self, lm: Likelihood, meaning: Meaning | None = None, wording: Wording | None = None
    ) -> None:
        self.lm, self.chooser = lm, Chooser(lm, meaning, wording)
        self._lock = threading.RLock()

    @cached_property
    def _examples(self) -> Prefix:
        return self.lm.read(SHOTS)

    @cached_property
    def _plain(self) -> Prefix:
        return self.lm.read("Text:")

    def calls(
        self,
        question: str,
        tools: Sequence[dict[str, Any]],
        choice: dict[str, Any] | None = None,
        earlier: Sequence[tuple[str, list[ToolCall]]] = (),
    ) -> list[ToolCall]:
        """The calls that the question asks for, none if no tool fits.

        `choice` is the request's `tool_choice`; `earlier`: questions before this one with their calls.
        """
        choice = choice or {"type": "auto"}
        forced = choice["type"] in ("any", "tool")
        tools = [tool for tool in tools if choice["type"] != "tool" or tool["name"] == choice["name"]]
        if choice["type"] == "none" or not tools or not question.strip():
            return []
        with self._lock:
            found = self._calls(question[:LONGEST].strip(), tools, forced)
        return found[:1] if choice.get("disable_parallel_tool_use") else found

    def _calls(self, question: str, tools: Sequence[dict[str, Any]], forced: bool) -> list[ToolCall]:
        said = self._read(question, tools)
        clauses = self.chooser.clauses("".join(each.mended for each in said), tools, forced)
        if sum(len(clause.pieces) for clause in clauses) != len(said):  # mending has made or unmade a joint
            said = [Said(each, each, each) for clause in clauses for each in clause.pieces]
        whole, place = _joined(said), 0
        found: list[ToolCall] = []
        context: list[Said] = []
        carried: list[Said] = []
        for clause, starts in _together(clauses):
            own = said[place : place + len(clause.pieces)]
            place += len(own)
            if clause.tool is None:
                context += own
                continue
            own, carried = carried + own, []
            starts = {each + len(own) - len(clause.pieces) for each in starts}
            calls = self._best(clause, tools, _joined(context), own, starts, whole, forced)
            carried = [] if calls else own  # its tool finds nothing there: perhaps the next one does
            for call in calls:
                required = next(
                    set(t["input_schema"].get("required", [])) for t in tools if t["name"] == call.name
                )
                found += [] if _amends(call, found, required) else [call]
            context = []
        if not found and not forced:
            found = self._rescue(max(clauses, key=lambda clause: max(clause.margins)), tools, whole)
        return found

    def _rescue(self, clause: Clause, tools: Sequence[dict[str, Any]], whole: Said) -> list[ToolCall]:
        """The nearest tool all the same, where the question has several arguments that fit it well."""
        k = max(range(len(tools)), key=clause.margins.__getitem__)
        required = tools[k]["input_schema"].get("required", [])
        if clause.margins[k] < -NEAR or len(required) < 2:
            return []
        filled = self._fill(tools[k], whole)
        score = self._score(whole.mended, clause.margins[k], tools[k], filled)
        sure = all(_sure(filled.margins.get(name, 0.0)) == SUREST for name in required)
        return [ToolCall(tools[k]["name"], filled.arguments)] if sure and score > 0 else []

    def _best(
        self,
        clause: Clause,
        tools: Sequence[dict[str, Any]],
        context: Said,
        own: Sequence[Said],
        starts: set[int],
        question: Said,
        forced: bool,
    ) -> list[ToolCall]:
        """The calls of the clause's tool, or of one that is nearly as probable and finds what it needs."""
        top = max(clause.margins)
        near = [k for k, margin in enumerate(clause.margins) if margin > top - NEAR]
        options = []
        for k in sorted(near, key=lambda k: -clause.margins[k])[:MOST_NEAR]:
            calls = self._fill_all(tools[k], context, own, starts, question)
            scores = [self._score(clause.text, clause.margins[k], tools[k], filled) for filled in calls]
            kept = [
                ToolCall(tools[k]["name"], filled.arguments)
                for filled, score in zip(calls, scores, strict=True)
                if score > 0 or (forced and score > NEVER)
            ]
            options.append((max(scores), kept))
        return max(options, key=lambda option: option[0])[1]

    def _score(self, text: str, margin: float, tool: dict[str, Any], filled: Filled) -> float:
        """Nats by which the tool is meant: its margin, less for arguments that are missing, more for sure ones."""
        required = tool["input_schema"].get("required", [])
        if any(name not in filled.arguments for name in required):
            return NEVER
        margins = [filled.margins[name] for name in required]
        lacking = sum(max(DEEPEST, min(0.0, each - GIVEN)) for each in margins)
        optional = [each for name, each in filled.margins.items() if name not in required]
        sure = sum(_sure(each) for each in margins) + sum(_sure(each) for each in optional) / 2 * (
            not lacking
        )
        score = margin + DOUBT * lacking + SURE * sure
        if orders.is_beyond(text, tool):
            score -= BEYOND
        return score - KNOWLEDGE * orders.is_of_knowledge(text)

    def _read(self, question: str, tools: Sequence[dict[str, Any]]) -> list[Said]:
        """The pieces of the question, with misspelt words mended and names in capitals."""
        vocabulary = _vocabulary(tools)
        if any(asks_currency(text) for text in _descriptions(tools)):
            vocabulary |= set(CURRENCY_WORDS.split())
        mended = pieces(mend(question, vocabulary, lambda word: len(self.lm.encode(f" {word}")) == 1))
        names = question if has_names(question) else truecase(self.lm, self._plain, question, vocabulary)
        read, original = pieces(names), pieces(question)
        if not len(read) == len(mended) == len(original):
            read = mended = original
        return [Said(*each) for each in zip(read, mended, original, strict=True)]

    def _fill_all(
        self, tool: dict[str, Any], context: Said, own: Sequence[Said], starts: set[int], question: Said
    ) -> list[Filled]:
        """The arguments of each call of one tool that the pieces of a clause ask for.

        `starts` are the pieces at which the chooser would begin anew. A piece begins another call when it
        gives a value for what the call before has already: "Rome | and Vienna".
        """
        required = set(tool["input_schema"].get("required", []))
        takes_list = any(
            kind_of(each) == "array" for each in tool["input_schema"].get("properties", {}).values()
        )
        groups: list[tuple[Said, Filled]] = []
        text = context
        for i, piece in enumerate(own):
            is_next = i in starts or (not takes_list and is_item([each.read for each in own], i))
            if groups and is_next:
                alone = self._fill(tool, piece, partial=True)
                before = groups[-1][1].arguments
                given = {name for name, margin in alone.margins.items() if margin > GIVEN}
                other = {name for name in given if name in before and before[name] != alone.arguments[name]}
                if given & required or other or (given and not required):
                    groups.append((piece, _inherit(alone, groups[-1][1], given)))
                    text = piece
                    continue
            text = text + piece
            filled = self._fill(tool, text, partial=bool(groups))
            if groups:
                given = {name for name, margin in filled.margins.items() if margin > GIVEN}
                groups[-1] = text, _inherit(filled, groups[-1][1], given)
            elif _is_complete(filled, required):
                groups.append((text, filled))
        if len(groups) > 1:
            whole = self._fill(tool, context + _joined(own))
            if set().union(*(_values(filled) for _, filled in groups)) <= _values(whole):
                groups = [(context + _joined(own), whole)]  # "12 and 18": two arguments of one call
        if not groups:
            filled = self._fill(tool, text)
            asks = text.read.rstrip().endswith("?") or shares_words(text.mended, tool)
            if text != question and asks and not _is_complete(filled, required):
                filled = self._fill(tool, question)
            groups = [(text, filled)]
        expanded = [each for text, filled in groups for each in self._each_option(tool, text, filled)]
        return _share(expanded, required)

    def _fill(self, tool: dict[str, Any], text: Said, partial: bool = False) -> Filled:
        form = Form(self.lm, self._examples, text.read, text.mended, text.original)
        return fill(form, tool["input_schema"], _about(tool), partial)

    def _each_option(self, tool: dict[str, Any], text: Said, filled: Filled) -> list[Filled]:
        """A call for each option of an enumeration: "Saturday and Sunday weather"."""
        form = Form(self.lm, self._examples, text.read, text.mended, text.original)
        for slot in slots(tool["input_schema"], _about(tool)):
            if slot.kind != "string" or slot.name not in filled.arguments or slot.is_source or slot.is_target:
                continue
            named = enumerated(form, slot)
            if len(named) > 1:
                rest = {name: value for name, value in filled.arguments.items() if name != slot.name}
                return [Filled({**rest, slot.name: option}, filled.margins) for option in named]
        return [filled]


def _sure(margin: float) -> float:
    return min(SUREST, max(0.0, margin))


def _amends(call: ToolCall, found: list[ToolCall], required: set[str]) -> bool:
    """Whether the call only adds to one before it: "Numbers in Fahrenheit, please." Then those have it now."""
    same = [each for each in found if each.name == call.name]
    extra = {name: value for name, value in call.input.items() if name not in required}
    for each in same:
        is_same = all(each.input.get(name) == call.input.get(name) for name in required)
        if is_same and all(each.input.get(name, value) == value for name, value in extra.items()):
            for other in same:
                other.input.update({name: value for name, value in extra.items() if name not in other.input})
            return True
    return False


def _about(tool: dict[str, Any]) -> str:
    return f"{as_words(tool['name'])} {tool.get('description') or ''}"


def _joined(parts: Sequence[Said]) -> Said:
    return sum(parts, Said("", "", ""))


def _is_complete(filled: Filled, required: set[str]) -> bool:
    return all(filled.margins.get(name, DEEPEST) > GIVEN for name in required)


def _together(clauses: Sequence[Clause]) -> list[tuple[Clause, set[int]]]:
    """Neighbours that belong to one tool as one clause, and at which of its pieces the later ones began.

    Those with the same tool do, and those without a tool that an "and" joins: "Track A1 | and B2".
    """
    found: list[tuple[Clause, set[int]]] = []
    for clause in clauses:
        before, starts = found[-1] if found else (Clause((), None, ()), set())
        same = clause.tool == before.tool
        joined = begins_item(clause.pieces[0]) and None in (clause.tool, before.tool)
        if found and ((same and clause.tool is not None) or (joined and not same)):
            tool = before.tool if clause.tool is None else clause.tool
            margins = tuple(map(max, before.margins, clause.margins))
            begun = starts | ({len(before.pieces)} if same else set())
            found[-1] = Clause(before.pieces + clause.pieces, tool, margins), begun
        else:
            found.append((clause, set()))
    return found


def _values(filled: Filled) -> set[str]:
    """Every value that the arguments hold, those in lists one by one."""
    values = [
        each
        for value in filled.arguments.values()
        for each in (value if isinstance(value, list) else [value])
    ]
    return {str(value) for value in values}


def _inherit(new: Filled, before: Filled, given: set[str]) -> Filled:
    """What a piece gives, and for the rest what the call before had."""
    arguments = {**before.arguments, **{name: new.arguments[name] for name in given}}
    return Filled(arguments, {**before.margins, **{name: new.margins[name] for name in given}})


def _share(calls: list[Filled], required: set[str]) -> list[Filled]:
    """Optional arguments that stand at one of several calls hold for those before it that have none."""
    for call, after in zip(calls[-2::-1], calls[:0:-1], strict=True):
        for name, value in after.arguments.items():
            if name not in required and name not in call.arguments:
                call.put(name, value, after.margins[name])
    return calls


def _descriptions(tools: Sequence[dict[str, Any]]) -> list[str]:
    fields = [field for tool in tools for field in tool["input_schema"].get("properties", {}).values()]
    return [field.get("description") or "" for field in fields]


def _vocabulary(tools: Sequence[dict[str, Any]]) -> set[str]:
    """The words of the tools' names and descriptions, and of their options."""
    found: set[str] = set()
    for tool in tools:
        found.update(plain_words(f"{as_words(tool['name'])} {tool.get('description') or ''}"))
        for name, field in tool["input_schema"].get("properties", {}).items():
            options = " ".join(map(str, field.get("enum") or []))
            found.update(plain_words(f"{as_words(name)} {field.get('description') or ''} {options}"))
    return found
